import { Deployment, ReplicaSet } from "@coracle/api/apps/v1";
import { ConfigMap, Namespace, Pod, ReplicationController, Service, ServiceAccount } from "@coracle/api/core/v1";
import type { OwnerReference } from "@coracle/api/meta/v1";
import { isNotFound } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const labels = { app: "web" };
const template = { metadata: { labels }, spec: { containers: [{ name: "web", image: "web:1" }] } };

let plane: TestControlPlane;
beforeEach(async () => {
  plane = await createTestControlPlane({ components: ["kube-controller-manager"] });
  await plane.until("pods have an account to run as", async () => {
    return !(await isGone(plane.admin.get(ServiceAccount, { name: "default", namespace })));
  });
});
afterEach(async () => plane[Symbol.asyncDispose]());

const isGone = async (attempt: Promise<unknown>): Promise<boolean> => {
  try {
    await attempt;
    return false;
  } catch (error) {
    return isNotFound(error);
  }
};

describe("what belongs to somebody", () => {
  const sets = async (): Promise<readonly ReplicaSet[]> => (await plane.admin.list(ReplicaSet, { namespace })).items;
  const pods = async (): Promise<readonly Pod[]> => (await plane.admin.list(Pod, { namespace })).items;
  const deploy = async (): Promise<void> => {
    await plane.admin.create(Deployment, {
      metadata: { name: "web", namespace },
      spec: { replicas: 2, selector: { matchLabels: labels }, template },
    });
    await plane.until("it has a set", async () => (await sets()).length === 1);
  };
  const own = (owner: { readonly metadata: Pod["metadata"] }, blocks = false): OwnerReference => ({
    apiVersion: "v1",
    kind: "Pod",
    name: owner.metadata.name ?? "",
    uid: owner.metadata.uid ?? "",
    ...(blocks && { blockOwnerDeletion: true }),
  });
  const pod = (name: string, ...ownerReferences: OwnerReference[]): Promise<Pod> =>
    plane.admin.create(Pod, { metadata: { name, namespace, ownerReferences }, spec: template.spec });

  it("a Deployment's set goes with it", async () => {
    await deploy();
    await plane.admin.delete(Deployment, { name: "web", namespace }, { propagationPolicy: "Background" });
    await plane.until("the set and its pods are gone", async () => {
      return (await sets()).length === 0 && (await pods()).length === 0;
    });
  });

  it("a Deployment's set that is orphaned stays, and belongs to nobody", async () => {
    await deploy();
    await plane.admin.delete(Deployment, { name: "web", namespace }, { propagationPolicy: "Orphan" });
    await plane.until("the Deployment is gone", () => isGone(plane.admin.get(Deployment, { name: "web", namespace })));
    const [left] = await sets();
    expect(left?.metadata.ownerReferences ?? []).toEqual([]);
    expect(left?.metadata.deletionTimestamp).toBeUndefined();
  });

  it("a ReplicationController's pods go with it, stay when orphaned, and are waited for in the foreground", async () => {
    for (const [name, propagationPolicy, count] of [
      ["background", "Background", 0],
      ["orphan", "Orphan", 2],
      ["foreground", "Foreground", 0],
    ] as const) {
      const selector = { rc: name };
      const metadata = { labels: selector };
      await plane.admin.create(ReplicationController, {
        metadata: { name, namespace },
        spec: { replicas: 2, selector, template: { ...template, metadata } },
      });
      const mine = async (): Promise<readonly Pod[]> =>
        (await plane.admin.list(Pod, { namespace, labelSelector: `rc=${name}` })).items;
      await plane.until("it has its pods", async () => (await mine()).length === 2);
      await plane.admin.delete(ReplicationController, { name, namespace }, { propagationPolicy });
      await plane.until("it is gone", () => isGone(plane.admin.get(ReplicationController, { name, namespace })));
      if (propagationPolicy === "Foreground") expect(await mine()).toEqual([]);
      await plane.until(`${count} pods are left`, async () => (await mine()).length === count);
    }
  });

  it("a circle of owners does not block", async () => {
    const first = await pod("first");
    const second = await pod("second", own(first, true));
    const third = await pod("third", own(second, true));
    await plane.admin.patch(Pod, { name: "first", namespace }, "merge", {
      metadata: { ownerReferences: [own(third, true)] },
    });
    await plane.admin.delete(Pod, { name: "first", namespace }, { propagationPolicy: "Foreground" });
    await plane.until("all are gone", async () => (await pods()).length === 0);
  });

  it("what has a living owner stays when another one waits for it, and no longer names that one", async () => {
    const going = await pod("going");
    const staying = await pod("staying");
    await pod("shared", own(going, true), own(staying));
    await plane.admin.delete(Pod, { name: "going", namespace }, { propagationPolicy: "Foreground" });
    await plane.until("it is gone", () => isGone(plane.admin.get(Pod, { name: "going", namespace })));
    const shared = await plane.admin.get(Pod, { name: "shared", namespace });
    expect(shared.metadata.ownerReferences?.map(({ name }) => name)).toEqual(["staying"]);
    expect(shared.metadata.deletionTimestamp).toBeUndefined();
  });
});

describe("a namespace that is deleted", () => {
  beforeEach(async () => {
    await plane.admin.create(Namespace, { metadata: { name: "going" }, spec: {} });
    await plane.until("it has its account", async () =>
      (await plane.admin.list(ServiceAccount, { namespace: "going" })).items.some(
        ({ metadata }) => metadata.name === "default",
      ),
    );
  });

  it("takes its pods and services along; a new one of its name is empty", async () => {
    await plane.admin.create(Pod, { metadata: { name: "p", namespace: "going" }, spec: template.spec });
    await plane.admin.create(Service, {
      metadata: { name: "s", namespace: "going" },
      spec: { selector: labels, ports: [{ port: 80 }] },
    });
    await plane.admin.delete(Namespace, { name: "going" });
    await plane.until("it is gone", () => isGone(plane.admin.get(Namespace, { name: "going" })));
    await plane.admin.create(Namespace, { metadata: { name: "going" }, spec: {} });
    expect((await plane.admin.list(Pod, { namespace: "going" })).items).toEqual([]);
    expect((await plane.admin.list(Service, { namespace: "going" })).items).toEqual([]);
  });

  it("deletes its pods first: as long as one is held, all else stays", async () => {
    await plane.admin.create(Pod, {
      metadata: { name: "held", namespace: "going", finalizers: ["story.example.com/held"] },
      spec: template.spec,
    });
    await plane.admin.create(ConfigMap, { metadata: { name: "kept", namespace: "going" } });
    await plane.admin.delete(Namespace, { name: "going" });
    await plane.until("it says what holds it", async () => {
      const { status } = await plane.admin.get(Namespace, { name: "going" });
      return status?.conditions?.some(
        ({ type, status: is }) => type === "NamespaceFinalizersRemaining" && is === "True",
      );
    });
    const held = await plane.admin.get(Pod, { name: "held", namespace: "going" });
    expect(held.metadata.deletionTimestamp).toBeDefined();
    const kept = await plane.admin.get(ConfigMap, { name: "kept", namespace: "going" });
    expect(kept.metadata.deletionTimestamp).toBeUndefined();
    await plane.admin.patch(Pod, { name: "held", namespace: "going" }, "merge", { metadata: { finalizers: null } });
    await plane.until("it is gone", () => isGone(plane.admin.get(Namespace, { name: "going" })), { limitMs: 15_000 });
  });
});

describe("accounts", () => {
  const root = { name: "kube-root-ca.crt", namespace };
  const authority = async (): Promise<string | undefined> => (await plane.admin.get(ConfigMap, root)).data?.["ca.crt"];

  it("every namespace has the authority's certificate, also after somebody deleted or changed it", async () => {
    await plane.until("it is there", async () => !(await isGone(plane.admin.get(ConfigMap, root))));
    const right = await authority();
    expect(right).toContain("BEGIN CERTIFICATE");
    await plane.admin.delete(ConfigMap, root);
    await plane.until("it is back", async () => !(await isGone(plane.admin.get(ConfigMap, root))));
    await plane.admin.patch(ConfigMap, root, "merge", { data: { "ca.crt": "nonsense" } });
    await plane.until("it is right again", async () => (await authority()) === right);
  });

  it.each([
    [undefined, undefined, true],
    [true, undefined, true],
    [false, undefined, false],
    [undefined, true, true],
    [undefined, false, false],
    [true, false, false],
    [false, true, true],
  ])("account says %s, pod says %s: a token is mounted: %s", async (ofAccount, ofPod, isMounted) => {
    await plane.admin.create(ServiceAccount, {
      metadata: { name: "robot", namespace },
      ...(ofAccount !== undefined && { automountServiceAccountToken: ofAccount }),
    });
    const made = await plane.admin.create(Pod, {
      metadata: { name: "p", namespace },
      spec: {
        ...template.spec,
        serviceAccountName: "robot",
        ...(ofPod !== undefined && { automountServiceAccountToken: ofPod }),
      },
    });
    const mounts = made.spec.containers[0]?.volumeMounts?.map(({ mountPath }) => mountPath) ?? [];
    expect(mounts).toEqual(isMounted ? ["/var/run/secrets/kubernetes.io/serviceaccount"] : []);
    const sources = made.spec.volumes?.[0]?.projected?.sources ?? [];
    expect(sources.map((source) => Object.keys(source)[0])).toEqual(
      isMounted ? ["serviceAccountToken", "configMap", "downwardAPI"] : [],
    );
  });
});
