import { request } from "node:https";
import { ClusterRole, ClusterRoleBinding } from "@coracle/api/rbac/v1";
import { silentLogger, systemClock } from "@coracle/base";
import { createTestControlPlane, type TestControlPlane } from "@coracle/testing";
import { ServiceAccount } from "@coracle/api/core/v1";
import { afterAll, beforeAll, expect, it } from "vitest";
import { serveComponent, type ComponentEndpoint } from "./component-endpoint.ts";

let plane: TestControlPlane;
let endpoint: ComponentEndpoint;

beforeAll(async () => {
  plane = await createTestControlPlane({ components: [] });
  const client = plane.clientOf("system:kube-scheduler");
  const options = { client, clock: systemClock, logger: silentLogger };
  endpoint = await serveComponent({ ...options, port: 0, address: "127.0.0.1" });
});
afterAll(async () => {
  await endpoint[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
});

async function get(path: string, token?: string): Promise<{ status: number; body: string }> {
  return await new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const options = { host: "127.0.0.1", port: endpoint.port, path, headers, rejectUnauthorized: false, agent: false };
    request(options, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (body += part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .on("error", reject)
      .end();
  });
}

it.each(["/healthz", "/livez", "/readyz?verbose"])("anybody may ask for %s", async (path) => {
  expect(await get(path)).toEqual({ status: 200, body: "ok" });
});

it("metrics are for those who may see them", async () => {
  expect(await get("/metrics")).toEqual({
    status: 403,
    body: 'forbidden: User "system:anonymous" cannot get path "/metrics"\n',
  });
  expect((await get("/metrics", "nonsense")).status).toBe(401);

  const { admin } = plane;
  await admin.create(ServiceAccount, { metadata: { name: "prometheus", namespace: "default" } });
  const { status } = await admin.post<{ status?: { token?: string } }>(
    ServiceAccount,
    { namespace: "default", name: "prometheus" },
    "token",
    { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", metadata: {}, spec: { audiences: [] } },
  );
  const token = status?.token ?? "";
  expect((await get("/metrics", token)).status).toBe(403);
  await admin.create(ClusterRole, {
    metadata: { name: "metrics" },
    rules: [{ nonResourceURLs: ["/metrics"], verbs: ["get"] }],
  });
  await admin.create(ClusterRoleBinding, {
    metadata: { name: "metrics" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "metrics" },
    subjects: [{ kind: "ServiceAccount", namespace: "default", name: "prometheus" }],
  });
  await expect.poll(async () => (await get("/metrics", token)).status).toBe(200);
  expect((await get("/metrics", token)).body).toMatch(/^process_resident_memory_bytes [1-9]\d+$/m);
});
