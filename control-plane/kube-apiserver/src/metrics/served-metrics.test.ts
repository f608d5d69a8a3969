import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import type { Transport } from "@coracle/client";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { openClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";

let dir: string;
let store: Store;
let server: RunningApiServer;
let admin: Transport;
let text: string;

async function call(method: string, path: string, body?: unknown): Promise<string> {
  const response = await admin.request({
    method,
    path,
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
  });
  const parts: Uint8Array[] = [];
  for await (const part of response.body) parts.push(part);
  return Buffer.concat(parts).toString();
}

const RANGES = "/api/v1/namespaces/default/limitranges";
const range = (name: string): object => ({ metadata: { name }, spec: { limits: [{ type: "Pod" }] } });

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "served-metrics-"));
  const pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
  store = createMemoryStore({ clock: systemClock });
  server = await startApiServer({
    config: {
      serviceClusterIpRanges: ["10.0.0.0/24"],
      serviceNodePortRange: "30000-32767",
      advertiseAddress: "192.0.2.1",
      authorizationModes: ["RBAC"],
      anonymousAuth: true,
      clientCa: pki.ca.cert,
      serviceAccounts: {
        issuers: ["https://kubernetes.default.svc.cluster.local"],
        signingKey: pki.serviceAccountKey,
        extendTokenExpiration: true,
      },
      maxRequestsInflight: 400,
      maxMutatingRequestsInflight: 200,
      minRequestTimeoutSeconds: 1800,
      admission: { enable: [], disable: [] },
    },
    store,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  admin = server.transport({ clientCertificate: pki.client("admin").cert });
  await call("POST", RANGES, range("a"));
  await call("PUT", `${RANGES}/a`, { ...range("a"), spec: { limits: [] } });
  await call("POST", `${RANGES}?dryRun=All`, range("b"));
  await call("GET", `${RANGES}/a`);
  await call("GET", RANGES);
  await call("GET", `${RANGES}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Da`);
  await call("POST", "/api/v1/namespaces/nowhere/limitranges", range("c"));
  await call("DELETE", `${RANGES}/a`);
  text = await call("GET", "/metrics");
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

const OF_RANGES = 'component="apiserver",group="",resource="limitranges"';
const FINE = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];

/** Family, labels, how often it was counted. */
const COUNTED: readonly (readonly [string, string, number])[] = [
  ["apiserver_response_sizes_count", `${OF_RANGES},scope="resource",subresource="",verb="GET",version="v1"`, 1],
  ["apiserver_response_sizes_count", `${OF_RANGES},scope="namespace",subresource="",verb="LIST",version="v1"`, 1],
  // The dry run is not counted.
  [
    "apiserver_request_sli_duration_seconds_count",
    `${OF_RANGES},scope="namespace",subresource="",verb="CREATE",version="v1"`,
    2,
  ],
  ["apiserver_watch_events_total", 'group="",resource="limitranges",version="v1"', 1],
  ["apiserver_watch_events_sizes_count", 'group="",resource="limitranges",version="v1"', 1],
  [
    "apiserver_request_total",
    'code="201",component="apiserver",dry_run="",group="",resource="limitranges",scope="namespace",subresource="",verb="CREATE",version="v1"',
    1,
  ],
  [
    "apiserver_request_duration_seconds_count",
    'component="apiserver",dry_run="All",group="",resource="limitranges",scope="namespace",subresource="",verb="CREATE",version="v1"',
    1,
  ],
  ["apiserver_request_body_size_bytes_count", 'group="",resource="limitranges",verb="create"', 3],
  [
    "apiserver_longrunning_requests",
    'component="apiserver",group="",resource="limitranges",scope="resource",subresource="",verb="WATCH",version="v1"',
    0,
  ],
  ["apiserver_watch_cache_events_dispatched_total", 'group="",resource="limitranges"', 3],
  ["apiserver_storage_events_received_total", 'group="",resource="limitranges"', 3],
  ["apiserver_watch_cache_initializations_total", 'group="apps",resource="deployments"', 1],
  ["workqueue_depth", 'name="crd_naming_condition_controller"', 0],
  ["kubernetes_feature_enabled", 'name="WatchList",stage="BETA"', 1],
  ["version_info", 'binary="1.35.4",component="kube",emulation="1.35",min_compat="1.34"', 1],
  ["etcd_requests_total", 'group="",operation="create",resource="limitranges"', 1],
  ["etcd_requests_total", 'group="",operation="update",resource="limitranges"', 1],
  ["etcd_request_duration_seconds_count", 'group="",operation="delete",resource="limitranges"', 1],
];

const PRESENT: readonly string[] = [
  'apiserver_admission_controller_admission_duration_seconds_count{name="NamespaceLifecycle",operation="CREATE",rejected="false",type="admit"}',
  'apiserver_admission_controller_admission_duration_seconds_count{name="NamespaceLifecycle",operation="CREATE",rejected="true",type="admit"}',
  'apiserver_admission_controller_admission_duration_seconds_count{name="ResourceQuota",operation="CREATE",rejected="false",type="validate"}',
  'apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="true",type="admit"}',
  'apiserver_admission_step_admission_duration_seconds_count{operation="UPDATE",rejected="false",type="validate"}',
  'apiserver_storage_size_bytes{storage_cluster_id="etcd-0"}',
  'apiserver_storage_objects{resource="limitranges"}',
  'apiserver_watch_cache_resource_version{group="",resource="limitranges"}',
  'apiserver_cache_list_total{index="",group="",resource="limitranges"}',
  'watch_cache_capacity{group="",resource="limitranges"}',
  "apiserver_tls_handshake_errors_total",
];

const BUCKETS: readonly (readonly [string, string, readonly number[]])[] = [
  ["apiserver_response_sizes", 'verb="LIST"', [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]],
  ["apiserver_request_sli_duration_seconds", 'verb="DELETE"', FINE.slice(2)],
  ["apiserver_watch_events_sizes", "limitranges", [1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072]],
  ["etcd_request_duration_seconds", 'operation="delete",resource="limitranges"', FINE],
  [
    "apiserver_admission_step_admission_duration_seconds",
    'operation="DELETE",rejected="false",type="validate"',
    [0.005, 0.025, 0.1, 0.5, 1, 2.5],
  ],
];

describe("the metrics page after a few requests", () => {
  it.each(COUNTED)("has %s{%s} %i", (name, labels, count) => {
    expect(text.split("\n")).toContain(`${name}{${labels}} ${count}`);
  });

  it.each(PRESENT)("has %s", (series) => {
    expect(text).toContain(`\n${series} `);
  });

  it.each(BUCKETS)("%s of %s has upstream's buckets", (name, part, limits) => {
    const lines = text.split("\n").filter((line) => line.startsWith(`${name}_bucket{`) && line.includes(part));
    const found = [...new Set(lines.map((line) => /le="([^"]*)"/.exec(line)?.[1]))];
    expect(found).toEqual([...limits.map(String), "+Inf"]);
  });

  it("says each family's type once", () => {
    const types = text.split("\n").filter((line) => line.startsWith("# TYPE "));
    expect(types).toEqual([...new Set(types)]);
  });
});
