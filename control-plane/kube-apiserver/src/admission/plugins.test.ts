import { readFileSync } from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFakeClock, createSeededRandom, silentLogger } from "@coracle/base";
import type { Transport } from "@coracle/client";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { openClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";

/** One request, and what upstream's server said to it with the same plugins and the same requests before. */
interface Step {
  /** Empty: it prepares what follows. */
  readonly plugin: string;
  readonly title: string;
  readonly as: "admin" | "alice" | "node";
  /** Method and path. */
  readonly do: string;
  readonly body?: unknown;
  readonly type?: string;
  readonly observed: {
    readonly code: number;
    readonly message?: string;
    readonly warnings?: readonly string[];
    readonly fields?: Readonly<Record<string, unknown>>;
  };
}

const steps = JSON.parse(
  readFileSync(new URL("./testdata/observed-plugins.json", import.meta.url), "utf8"),
) as readonly Step[];

const ENABLED = [
  "NodeRestriction",
  "ExtendedResourceToleration",
  "OwnerReferencesPermissionEnforcement",
  "LimitPodHardAntiAffinityTopology",
  "PodNodeSelector",
  "PodTolerationRestriction",
  "DenyServiceExternalIPs",
  "EventRateLimit",
];
const CONFIGURATIONS = {
  EventRateLimit: { limits: [{ type: "Namespace", qps: 1, burst: 2, cacheSize: 10 }] },
  PodNodeSelector: { clusterDefaultNodeSelector: "cluster=default", psel: "zone=a" },
  PodTolerationRestriction: { default: [{ key: "dk", value: "dv" }], whitelist: [] },
  ResourceQuota: {
    limitedResources: [
      {
        resource: "pods",
        matchScopes: [{ scopeName: "PriorityClass", operator: "In", values: ["limited-class"] }],
      },
      {
        resource: "persistentvolumeclaims",
        matchContains: ["limited.storageclass.storage.k8s.io/requests.storage"],
      },
    ],
  },
} as const;
const UID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** `spec.containers.0.resources` of an answer. */
function at(value: unknown, path: string): unknown {
  let found: unknown = value;
  for (const key of path.split(".")) found = (found as Record<string, unknown> | null | undefined)?.[key];
  return found ?? null;
}

describe("plugins answer as upstream's, request by request", () => {
  let dir: string;
  let store: Store;
  let server: RunningApiServer;
  const transports = new Map<string, Transport>();

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "cor-admission-"));
    const clock = createFakeClock();
    const pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: clock.now() });
    store = createMemoryStore({ clock });
    server = await startApiServer({
      config: {
        serviceClusterIpRanges: ["10.0.0.0/24"],
        serviceNodePortRange: "30000-32767",
        advertiseAddress: "192.0.2.1",
        authorizationModes: ["Node", "RBAC"],
        anonymousAuth: false,
        clientCa: pki.ca.cert,
        serviceAccounts: {
          issuers: ["https://kubernetes.default.svc.cluster.local"],
          signingKey: pki.serviceAccountKey,
          extendTokenExpiration: true,
        },
        maxRequestsInflight: 400,
        maxMutatingRequestsInflight: 200,
        minRequestTimeoutSeconds: 1800,
        admission: { enable: ENABLED, disable: ["ServiceAccount"], configurations: CONFIGURATIONS },
      },
      store,
      clock,
      random: createSeededRandom(1),
      logger: silentLogger,
    });
    const as = (commonName: string, ...organizations: string[]): Transport =>
      server.transport({ clientCertificate: pki.issueClient({ commonName, organizations }).cert });
    transports.set("admin", as("admin", "system:masters"));
    transports.set("alice", as("alice"));
    transports.set("node", as("system:node:n1", "system:nodes"));
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true });
  });

  async function ask(
    who: string,
    request: string,
    body?: unknown,
    type = "application/json",
  ): Promise<{ code: number; json: Record<string, unknown>; warnings: string[] }> {
    const [method = "", path = ""] = request.split(" ");
    const answer = await transports.get(who)!.request({
      method,
      path,
      headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": type }) },
      body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
    });
    const chunks: Buffer[] = [];
    for await (const chunk of answer.body) chunks.push(chunk);
    const said = answer.headers["warning"] ?? [];
    return {
      code: answer.status,
      json: JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>,
      warnings: (Array.isArray(said) ? said : [said]).flatMap((line) =>
        [...String(line).matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)].map((match) => match[1]!.replaceAll('\\"', '"')),
      ),
    };
  }

  /** The body with the uids that it asks for (`$uid:PATH`). */
  async function filled(value: unknown): Promise<unknown> {
    if (typeof value === "string" && value.startsWith("$uid:")) {
      return at((await ask("admin", `GET ${value.slice("$uid:".length)}`)).json, "metadata.uid");
    }
    if (Array.isArray(value)) return Promise.all(value.map(filled));
    if (typeof value !== "object" || value === null) return value;
    const entries = await Promise.all(
      Object.entries(value).map(async ([key, one]) => [key, await filled(one)] as const),
    );
    return Object.fromEntries(entries);
  }

  it.each(steps.map((step) => [step.plugin === "" ? `(${step.do})` : `${step.plugin}: ${step.title}`, step] as const))(
    "%s",
    async (_, { as, do: request, body, type, observed }) => {
      const answer = await ask(as, request, body === undefined ? undefined : await filled(body), type);
      const message = answer.code < 400 ? undefined : String(answer.json["message"]).replaceAll(UID, "UID");
      // A generated name is another each time.
      const even = (text: string | undefined): string | undefined => text?.replace(/"gen-\w+"/, '"gen-"');
      expect({ code: answer.code, message: even(message) }).toEqual({
        code: observed.code,
        message: even(observed.message),
      });
      expect(answer.warnings).toEqual(observed.warnings ?? []);
      for (const [path, value] of Object.entries(observed.fields ?? {})) {
        expect({ path, value: at(answer.json, path) }).toEqual({ path, value });
      }
    },
  );
});
