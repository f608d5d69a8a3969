import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Cleanup,
  createFakeClock,
  createSeededRandom,
  silentLogger,
  sleep,
  systemClock,
  type Clock,
  type FakeClock,
  type Instant,
  type Logger,
} from "@coracle/base";
import { createApiClient, type OwnedApiClient, type Transport } from "@coracle/client";
import { createMemoryStore } from "@coracle/etcd";
import { parseApiServerFlags, readApiServerConfig, startApiServer } from "@coracle/kube-apiserver";
import { defaultFlags, runControllerManager } from "@coracle/kube-controller-manager";
import { runScheduler } from "@coracle/kube-scheduler";
import { openClusterPki } from "@coracle/pki";
import { Ensemble } from "./ensemble.ts";
import type { SimulatedNode } from "./simulated-node.ts";

export interface TestControlPlaneOptions {
  /** Which components run beside the API server; default: both. */
  readonly components?: readonly ("kube-scheduler" | "kube-controller-manager")[];
  /** Time stands still but for `until` and `clock.advance`; default: the host's time. */
  readonly fakeClock?: boolean;
  /** What a clock that stands still shows at first. */
  readonly startsAt?: Instant;
  readonly logger?: Logger;
  /** `NAME=true`, for the API server and the controllers. */
  readonly featureGates?: readonly string[];
  /** As `--runtime-config` has them. */
  readonly runtimeConfig?: readonly string[];
  /** As `--controllers` has them; default: those that are on by default. */
  readonly controllers?: readonly string[];
}

/**
 * The real API server over the memory store, the real scheduler and controllers, in this process without a socket.
 * Every request passes authentication, RBAC and admission: each component has its own certificate.
 */
export interface TestControlPlane extends AsyncDisposable {
  /** As a cluster's administrator. */
  readonly admin: OwnedApiClient;
  readonly clock: Clock;
  /** Only with `fakeClock`. */
  readonly fakeClock: FakeClock | undefined;
  /** As anybody: the certificate's common name and organizations. */
  clientOf(commonName: string, ...organizations: string[]): OwnedApiClient;
  /** As anybody, for requests as they go over the wire. */
  transportOf(commonName: string, ...organizations: string[]): Transport;
  /** PEM of the authority by which servers of other API groups know this one. */
  readonly frontProxyCa: string;
  /** As nobody: for those who bring tokens. */
  readonly anonymousTransport: Transport;
  /** As the holder of a bearer token. */
  clientWith(token: string): OwnedApiClient;
  /** Adds a node that says of its pods what a kubelet would, and runs nothing. */
  addNode(node: SimulatedNode): Promise<void>;
  /** The node says nothing any more, as after a power cut; its object stays. */
  silenceNode(name: string): void;
  /** Runs one more component until the control plane ends; should it fail, `until` does too. */
  run(name: string, work: (signal: AbortSignal) => Promise<void>): void;
  /**
   * Waits until `attempt` answers something other than undefined or false; time goes on meanwhile, a fake one in
   * steps of `stepMs`. Throws when it does not within `limitMs` of the control plane's time.
   */
  until<T>(
    what: string,
    attempt: () => Promise<T | undefined | false> | T | undefined | false,
    options?: { readonly limitMs?: number; readonly stepMs?: number },
  ): Promise<T>;
}

/** So many turns of the event loop without a request under way: what became due is done. */
const QUIET_TURNS = 30;
/** Somebody asks again and again: time goes on all the same. */
const MOST_TURNS = 20_000;

/** Starts one; everything of it has ended when it is disposed. */
export async function createTestControlPlane(options: TestControlPlaneOptions = {}): Promise<TestControlPlane> {
  const { components = ["kube-scheduler", "kube-controller-manager"], logger = silentLogger } = options;
  const { featureGates = [], runtimeConfig = [], controllers = defaultFlags.controllers } = options;
  const fakeClock = options.fakeClock === true ? createFakeClock(options.startsAt) : undefined;
  const clock = fakeClock ?? systemClock;
  const random = createSeededRandom(1);
  const cleanup = new Cleanup();
  const dir = mkdtempSync(join(tmpdir(), "cor-control-plane-"));
  cleanup.add(() => rmSync(dir, { recursive: true, force: true }));
  const pki = openClusterPki({ dir, apiServerNames: [], now: clock.now() });
  const store = cleanup.use(createMemoryStore({ clock }));
  const flags = parseApiServerFlags([
    "--advertise-address=127.0.0.1",
    "--authorization-mode=Node,RBAC",
    "--service-cluster-ip-range=10.96.0.0/16",
    `--client-ca-file=${pki.path("ca.crt")}`,
    `--tls-cert-file=${pki.path("apiserver.crt")}`,
    `--tls-private-key-file=${pki.path("apiserver.key")}`,
    `--service-account-signing-key-file=${pki.path("sa.key")}`,
    `--service-account-key-file=${pki.path("sa.pub")}`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--proxy-client-cert-file=${pki.path("front-proxy-client.crt")}`,
    `--proxy-client-key-file=${pki.path("front-proxy-client.key")}`,
    ...featureGates.map((gate) => `--feature-gates=${gate}`),
    ...runtimeConfig.map((item) => `--runtime-config=${item}`),
  ]);
  const { config } = readApiServerConfig(flags, clock.now());
  const server = cleanup.use(await startApiServer({ config, store, clock, random, logger }));

  const transportOf = (commonName: string, ...organizations: string[]): Transport =>
    counted(server.transport({ clientCertificate: pki.issueClient({ commonName, organizations }).cert }));
  let underWay = 0;
  const counted = (transport: Transport): Transport => ({
    async request(request) {
      underWay += 1;
      try {
        return await transport.request(request);
      } finally {
        underWay -= 1;
      }
    },
    [Symbol.asyncDispose]: async () => transport[Symbol.asyncDispose](),
  });
  const settle = async (): Promise<void> => {
    for (let quiet = 0, turn = 0; quiet < QUIET_TURNS && turn < MOST_TURNS; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      quiet = underWay === 0 ? quiet + 1 : 0;
    }
  };

  const clientOf = (commonName: string, ...organizations: string[]): OwnedApiClient => {
    return createApiClient({
      transport: transportOf(commonName, ...organizations),
      clock,
      random,
      userAgent: commonName,
    });
  };

  const ensemble = cleanup.use(new Ensemble(clock));

  if (components.includes("kube-scheduler"))
    ensemble.run("kube-scheduler", (signal) =>
      runScheduler({ client: clientOf("system:kube-scheduler"), clock, random, logger, signal }),
    );
  if (components.includes("kube-controller-manager"))
    ensemble.run("kube-controller-manager", (signal) =>
      runControllerManager({
        client: clientOf("system:kube-controller-manager"),
        anonymousTransport: server.transport({}),
        clock,
        random,
        logger,
        signal,
        freeze: true,
        flags: {
          ...defaultFlags,
          leaderElect: false,
          featureGates,
          controllers,
          useServiceAccountCredentials: true,
          allocateNodeCidrs: true,
          clusterCidr: ["10.244.0.0/16"],
          serviceClusterIpRange: ["10.96.0.0/16"],
          rootCaFile: pki.path("ca.crt"),
          serviceAccountPrivateKeyFile: pki.path("sa.key"),
          clusterSigningCertFile: pki.path("ca.crt"),
          clusterSigningKeyFile: pki.path("ca.key"),
        },
      }),
    );

  return {
    admin: clientOf("kubernetes-admin", "system:masters"),
    clock,
    fakeClock,
    clientOf,
    transportOf,
    frontProxyCa: pki.frontProxyCa.cert,
    anonymousTransport: counted(server.transport({})),
    clientWith(token) {
      const transport = server.transport({});
      const headers = { authorization: `Bearer ${token}` };
      return createApiClient({
        transport: {
          request: async (request) => transport.request({ ...request, headers: { ...request.headers, ...headers } }),
          [Symbol.asyncDispose]: async () => transport[Symbol.asyncDispose](),
        },
        clock,
        random,
      });
    },
    run: (name, work) => ensemble.run(name, work),
    silenceNode: (name) => ensemble.silenceNode(name),
    addNode: (node) => ensemble.addNode(node, clientOf(`system:node:${node.name}`, "system:nodes")),
    until: (what, attempt, { limitMs = 60_000, stepMs = 20 } = {}) =>
      ensemble.until(what, attempt, {
        limitMs,
        async pass() {
          if (fakeClock === undefined) return await sleep(systemClock, stepMs);
          await fakeClock.advance(stepMs);
          // What became due talks to the server and reacts to the answers: that takes turns, not time.
          await settle();
        },
      }),
    [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
  };
}
