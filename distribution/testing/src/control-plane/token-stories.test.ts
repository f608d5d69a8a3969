import { ConfigMap, Node, Pod, Secret, ServiceAccount } from "@coracle/api/core/v1";
import { isNotFound, type StatusError } from "@coracle/apimachinery";
import { createSeededRandom, silentLogger } from "@coracle/base";
import { parseControllerManagerFlags, runControllerManager } from "@coracle/kube-controller-manager";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const DAY_MS = 86_400_000;
const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");

describe("controllers of tokens, with time in the test's hand", () => {
  let plane: TestControlPlane;

  beforeEach(async () => {
    plane = await createTestControlPlane({ fakeClock: true, components: [] });
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  function runControllers(...args: string[]): void {
    plane.run("controllers", async (signal) =>
      runControllerManager({
        client: plane.clientOf("kubernetes-admin", "system:masters"),
        clock: plane.clock,
        random: createSeededRandom(2),
        logger: silentLogger,
        signal,
        freeze: true,
        flags: parseControllerManagerFlags(["--leader-elect=false", ...args]),
      }),
    );
  }

  const isGone = async (read: Promise<unknown>): Promise<boolean> =>
    read.then(
      () => false,
      (error: StatusError) => isNotFound(error),
    );

  it("cluster-info is signed with every token that may sign, until the token expires and goes", async () => {
    await plane.admin.create(ConfigMap, {
      metadata: { name: "cluster-info", namespace: "kube-public" },
      data: { kubeconfig: "apiVersion: v1\n" },
    });
    const token = (id: string, part: Record<string, string>) => ({
      metadata: { name: `bootstrap-token-${id}`, namespace: "kube-system" },
      type: "bootstrap.kubernetes.io/token",
      data: Object.fromEntries(
        Object.entries({ "token-id": id, "token-secret": "0123456789abcdef", ...part }).map(([key, value]) => [
          key,
          base64(value),
        ]),
      ),
    });
    const expiration = new Date(plane.clock.now() + 600_000).toISOString();
    await plane.admin.create(Secret, token("abcdef", { "usage-bootstrap-signing": "true", expiration }));
    await plane.admin.create(Secret, token("fedcba", { "usage-bootstrap-authentication": "true" }));
    runControllers("--controllers=bootstrapsigner,tokencleaner");
    const info = async () => plane.admin.get(ConfigMap, { namespace: "kube-public", name: "cluster-info" });
    const signed = await plane.until("signed", async () => {
      const { data = {} } = await info();
      return Object.keys(data).length === 2 && data;
    });
    // As upstream's signer writes it.
    expect(signed["jws-kubeconfig-abcdef"]).toBe(
      "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..K1chermAQEq0rdqy-ehj0VDfmA_ytv8Wzh9g26FldrE",
    );
    await plane.until("nothing signs any more", async () => Object.keys((await info()).data ?? {}).length === 1, {
      limitMs: 700_000,
      stepMs: 10_000,
    });
    const left = (await plane.admin.list(Secret, { namespace: "kube-system" })).items;
    expect(left.map(({ metadata }) => metadata.name)).toEqual(["bootstrap-token-fedcba"]);
  });

  it("a former token of an account that nobody used for a period is refused, and goes after another", async () => {
    const namespace = "default";
    const tokenOf = (name: string) => ({
      metadata: { name, namespace, annotations: { "kubernetes.io/service-account.name": "old" } },
      type: "kubernetes.io/service-account-token",
    });
    await plane.admin.create(ServiceAccount, {
      metadata: { name: "old", namespace },
      secrets: [{ name: "unused" }, { name: "mounted" }],
    });
    for (const name of ["unused", "mounted", "asked-for"]) await plane.admin.create(Secret, tokenOf(name));
    await plane.admin.create(ServiceAccount, { metadata: { name: "default", namespace } });
    await plane.admin.create(Pod, {
      metadata: { name: "p", namespace },
      spec: {
        automountServiceAccountToken: false,
        containers: [{ name: "c", image: "i" }],
        volumes: [{ name: "v", secret: { secretName: "mounted" } }],
      },
    });
    runControllers(
      "--controllers=legacy-service-account-token-cleaner",
      "--legacy-service-account-token-clean-up-period=48h",
    );
    const secret = async (name: string) => plane.admin.get(Secret, { namespace, name });
    const days = { limitMs: 10 * DAY_MS, stepMs: DAY_MS / 4 };
    const began = plane.clock.now();
    const since = await plane.until(
      "it is invalid",
      async () => (await secret("unused")).metadata.labels?.["kubernetes.io/legacy-token-invalid-since"],
      days,
    );
    expect(plane.clock.now() - began).toBeGreaterThanOrEqual(2 * DAY_MS);
    expect(since).toBe(new Date(plane.clock.now()).toISOString().slice(0, 10));
    await plane.until("it goes", async () => isGone(secret("unused")), days);
    for (const name of ["mounted", "asked-for"]) expect((await secret(name)).metadata.labels).toBeUndefined();
  });

  it("nodes are told how long they may keep what they read", async () => {
    await plane.admin.create(Node, { metadata: { name: "n1" }, spec: {} });
    runControllers("--controllers=ttl");
    await plane.until("told", async () => {
      const { metadata } = await plane.admin.get(Node, { name: "n1" });
      return metadata.annotations?.["node.alpha.kubernetes.io/ttl"] === "0";
    });
  });
});
