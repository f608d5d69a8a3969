import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPeer, testCaBundle, testClient, type Peer } from "../outbound/peer-fixture.ts";
import { startOurs, type ServerUnderTest } from "./webhook/webhook-fixture.ts";

const PODS = "/api/v1/namespaces/default/pods";
const base64 = (text: string): string => Buffer.from(text).toString("base64");

let dir: string;
let peer: Peer;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "images-"));
  peer = await startPeer(() => ({ body: "{}" }));
});
afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

function start(defaultAllow: boolean, server = peer.url): Promise<ServerUnderTest> {
  const kubeConfigFile = join(dir, "images.kubeconfig");
  const cluster = { server: `${server}/images`, "certificate-authority-data": testCaBundle };
  const user = { "client-certificate-data": base64(testClient.cert), "client-key-data": base64(testClient.key) };
  const kubeconfig = {
    "current-context": "c",
    clusters: [{ name: "images", cluster }],
    users: [{ name: "us", user }],
    contexts: [{ name: "c", context: { cluster: "images", user: "us" } }],
  };
  writeFileSync(kubeConfigFile, JSON.stringify(kubeconfig));
  const configurationFile = join(dir, "images.json");
  writeFileSync(configurationFile, JSON.stringify({ imagePolicy: { kubeConfigFile, retryBackoff: 1, defaultAllow } }));
  return startOurs({ admission: { enable: ["ImagePolicyWebhook"], disable: ["ServiceAccount"], configurationFile } });
}

const pod = (name: string, image: string): object => ({
  metadata: { name, annotations: { "team.image-policy.k8s.io/ticket": "7", other: "x" } },
  spec: { containers: [{ name: "c", image }], initContainers: [{ name: "i", image: "first:1" }] },
});

const verdict = (status: object): void => {
  peer.behave = () => ({
    body: JSON.stringify({ kind: "ImageReview", apiVersion: "imagepolicy.k8s.io/v1alpha1", status }),
  });
  peer.seen.length = 0;
};

describe("the image policy webhook", () => {
  it("is asked about a pod's images, and kept to", async () => {
    await using server = await start(false);
    verdict({ allowed: false, reason: "too old" });
    const refused = await server.ask("POST", PODS, pod("old", "old:1"));
    expect([refused.status, refused.json["message"]]).toEqual([
      403,
      'pods "old" is forbidden: image policy webhook backend denied one or more images: too old',
    ]);
    expect(peer.seen[0]?.client).toBe("system:apiserver-client");
    expect(JSON.parse(peer.seen[0]?.body ?? "")).toMatchObject({
      kind: "ImageReview",
      apiVersion: "imagepolicy.k8s.io/v1alpha1",
      spec: {
        containers: [{ image: "old:1" }, { image: "first:1" }],
        annotations: { "team.image-policy.k8s.io/ticket": "7" },
        namespace: "default",
      },
    });
    verdict({ allowed: true });
    expect((await server.ask("POST", PODS, pod("new", "new:1"))).status).toBe(201);
    expect((await server.ask("POST", PODS, pod("newer", "new:1"))).status).toBe(201);
    // The second has the first one's images: the verdict is known.
    expect(peer.seen).toHaveLength(1);
  });

  it("that cannot be asked lets nothing in, unless told otherwise", async () => {
    verdict({});
    peer.behave = () => ({ status: 404, body: "gone", headers: { "content-type": "text/plain" } });
    await using strict = await start(false);
    const refused = await strict.ask("POST", PODS, pod("one", "a:1"));
    expect([refused.status, refused.json["message"]]).toEqual([
      403,
      'pods "one" is forbidden: the server could not find the requested resource',
    ]);
    await using lenient = await start(true);
    const taken = await lenient.ask("POST", PODS, pod("two", "a:1"));
    expect(taken.status).toBe(201);
    expect(taken.json).toMatchObject({
      metadata: { annotations: { "alpha.image-policy.k8s.io/failed-open": "true" } },
    });
  });

  it("is asked again after failures that may pass", async () => {
    await using server = await start(false);
    let count = 0;
    verdict({});
    peer.behave = () =>
      ++count < 3
        ? { status: 500, body: "not yet", headers: { "content-type": "text/plain" } }
        : { body: JSON.stringify({ status: { allowed: true } }) };
    expect((await server.ask("POST", PODS, pod("three", "b:1"))).status).toBe(201);
    expect(count).toBe(3);
  });

  it("must be configured", async () => {
    const change = { admission: { enable: ["ImagePolicyWebhook"], disable: [] } };
    await expect(startOurs(change)).rejects.toThrow(/ImagePolicyWebhook": no config specified/);
  });
});
