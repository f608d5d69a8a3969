import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Node } from "@coracle/api/core/v1";
import { Cleanup, createSeededRandom, silentLogger, sleep, systemClock } from "@coracle/base";
import { createApiClient, createHttpTransport, type ApiClient, type Transport } from "@coracle/client";
import { parseControllerManagerFlags, runControllerManager } from "@coracle/kube-controller-manager";
import { runScheduler } from "@coracle/kube-scheduler";
import { openClusterPki } from "@coracle/pki";
import { Ensemble } from "../control-plane/ensemble.ts";
import type { SimulatedNode } from "../control-plane/simulated-node.ts";
import { startOurServer, startPeerServer, type ServerUnderTest } from "../differential/server.ts";

/** Who serves and who controls: our program, or upstream's by its path. */
export interface Sides {
  readonly apiServer: "ours" | { readonly kubeApiserver: string; readonly etcd: string };
  /** `"process"`: ours in a process of their own. */
  readonly controllers: "ours" | "process" | { readonly kubeControllerManager: string };
  /** Of the controllers, beside the usual ones. */
  readonly flags?: readonly string[];
}

/** A control plane of parts of both sides, with simulated nodes; all of it is gone when disposed of. */
export interface Arena extends AsyncDisposable {
  readonly admin: ApiClient;
  /** Adds a node that says of its pods what a kubelet would, and runs nothing. */
  addNode(node: SimulatedNode): Promise<void>;
  /** The node says nothing any more, as after a power cut; its object stays. */
  silenceNode(name: string): void;
  /** Kills controllers that have a process of their own (SIGKILL), and starts them again. */
  killControllers(): Promise<void>;
  until<T>(what: string, attempt: () => Promise<T | undefined | false>): Promise<T>;
  /** What the controllers asked the API server for so far, as `verb resource/subresource`; only where ours serves. */
  callsOfControllers(): readonly string[];
}

const coracle = fileURLToPath(new URL("../../../../distribution/cli/bin/coracle.mjs", import.meta.url));
const WITHIN_MS = 100_000;
const POLL_MS = 40;

/** Everything is recorded, without bodies. */
const POLICY = JSON.stringify({
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata" }],
});

export async function startArena(sides: Sides, nodes: readonly SimulatedNode[]): Promise<Arena> {
  const cleanup = new Cleanup();
  try {
    return await start(sides, nodes, cleanup);
  } catch (error) {
    await cleanup[Symbol.asyncDispose]();
    throw error;
  }
}

async function start(sides: Sides, nodes: readonly SimulatedNode[], cleanup: Cleanup): Promise<Arena> {
  const server = cleanup.use(
    sides.apiServer === "ours"
      ? await startOurServer(coracle, (dir) => {
          writeFileSync(join(dir, "policy.json"), POLICY);
          return [`--audit-policy-file=${join(dir, "policy.json")}`, `--audit-log-path=${join(dir, "audit.log")}`];
        })
      : await startPeerServer(sides.apiServer),
  );
  const pki = openClusterPki({ dir: join(server.dir, "pki"), apiServerNames: [], now: systemClock.now() });
  const { url, ca } = server.target;
  const transportOf = (commonName: string, ...organizations: string[]): Transport =>
    cleanup.use(createHttpTransport({ server: url, ca, ...pki.issueClient({ commonName, organizations }) }));
  const clientOf = (commonName: string, ...organizations: string[]): ApiClient =>
    createApiClient({ transport: transportOf(commonName, ...organizations), userAgent: commonName });
  const admin = clientOf("kubernetes-admin", "system:masters");

  const ensemble = cleanup.use(new Ensemble(systemClock));

  let killControllers = async (): Promise<void> => {
    throw new Error("the controllers have no process of their own");
  };
  const random = createSeededRandom(1);
  const common = { clock: systemClock, random, logger: silentLogger };
  ensemble.run("kube-scheduler", (signal) =>
    runScheduler({ client: clientOf("system:kube-scheduler"), ...common, signal }),
  );
  if (sides.controllers === "ours") {
    const anonymousTransport = cleanup.use(createHttpTransport({ server: url, ca }));
    ensemble.run("kube-controller-manager", (signal) =>
      runControllerManager({
        client: clientOf("system:kube-controller-manager"),
        anonymousTransport,
        ...common,
        signal,
        freeze: true,
        flags: {
          ...parseControllerManagerFlags(sides.flags ?? []),
          leaderElect: false,
          useServiceAccountCredentials: true,
          rootCaFile: pki.path("ca.crt"),
          serviceAccountPrivateKeyFile: pki.path("sa.key"),
        },
      }),
    );
  } else if (sides.controllers === "process")
    startPeer(process.execPath, [coracle, "kube-controller-manager"], server, pki.path("sa.key"), pki.path("ca.crt"));
  else startPeer(sides.controllers.kubeControllerManager, [], server, pki.path("sa.key"), pki.path("ca.crt"));

  const addNode = (node: SimulatedNode): Promise<void> =>
    ensemble.addNode(node, clientOf(`system:node:${node.name}`, "system:nodes"));
  for (const node of nodes) await addNode(node);

  function startPeer(
    program: string,
    args: readonly string[],
    { dir, target }: ServerUnderTest,
    saKey: string,
    rootCa: string,
  ): void {
    const kubeconfig = join(dir, "manager.kubeconfig");
    const { cert, key } = pki.issueClient({ commonName: "system:kube-controller-manager" });
    const data = (text: string): string => Buffer.from(text).toString("base64");
    const user = { "client-certificate-data": data(cert), "client-key-data": data(key) };
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server: target.url, "certificate-authority-data": data(target.ca) } }],
      users: [{ name: "u", user }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
    const log = openSync(join(dir, "manager.log"), "a");
    const flags = [
      `--kubeconfig=${kubeconfig}`,
      "--leader-elect=false",
      "--secure-port=0",
      "--use-service-account-credentials=true",
      `--service-account-private-key-file=${saKey}`,
      `--root-ca-file=${rootCa}`,
      "--kube-api-qps=5000",
      "--kube-api-burst=5000",
      ...(sides.flags ?? []),
    ];
    let child: ChildProcess;
    let gone: Promise<void>;
    let isKilled = false;
    let isOver = false;
    const begin = (): void => {
      isKilled = false;
      child = spawn(program, [...args, ...flags], { stdio: ["ignore", log, log], cwd: dir });
      gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
      child.once("close", (code) => {
        if (isKilled) return;
        const said = readFileSync(join(dir, "manager.log"), "utf8").slice(-2000);
        ensemble.fail(new Error(`the controllers ended with ${code}: ${said}`));
      });
    };
    begin();
    const kill = async (): Promise<void> => {
      isKilled = true;
      child.kill("SIGKILL");
      await gone;
    };
    killControllers = async () => {
      await kill();
      if (!isOver) begin();
    };
    cleanup.add(async () => {
      isOver = true;
      await kill();
      closeSync(log);
    });
  }

  const arena: Arena = {
    admin,
    addNode,
    killControllers: async () => killControllers(),
    silenceNode: (name) => ensemble.silenceNode(name),
    until: (what, attempt) =>
      ensemble.until(what, attempt, { limitMs: WITHIN_MS, pass: () => sleep(systemClock, POLL_MS) }),
    callsOfControllers() {
      const log = join(server.dir, "audit.log");
      if (!existsSync(log)) return [];
      return readFileSync(log, "utf8").split("\n").flatMap(callOfController);
    },
    [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
  };
  await arena.until("the nodes are there", async () => (await admin.list(Node, {})).items.length === nodes.length);
  return arena;
}

interface AuditEvent {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string; readonly namespace?: string };
}

function callOfController(line: string): readonly string[] {
  if (!line.startsWith("{")) return [];
  const { verb, user, objectRef } = JSON.parse(line) as AuditEvent;
  const isController =
    user.username === "system:kube-controller-manager" ||
    /^system:serviceaccount:kube-system:.*(-controller|-collector|-autoscaler)$/.test(user.username);
  if (!isController) return [];
  const { resource = "", subresource, namespace = "" } = objectRef ?? {};
  return [`${namespace} ${verb} ${resource}${subresource === undefined ? "" : `/${subresource}`}`];
}
