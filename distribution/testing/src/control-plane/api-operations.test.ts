import type { KubeObject, ResourceType } from "@coracle/api";
import {
  MutatingWebhookConfiguration,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhookConfiguration,
} from "@coracle/api/admissionregistration/v1";
import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { CertificateSigningRequest } from "@coracle/api/certificates/v1";
import {
  ConfigMap,
  Event,
  Namespace,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  ResourceQuota,
  ServiceAccount,
} from "@coracle/api/core/v1";
import { Event as GroupEvent } from "@coracle/api/events/v1";
import { FlowSchema, PriorityLevelConfiguration } from "@coracle/api/flowcontrol/v1";
import { DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice } from "@coracle/api/resource/v1";
import {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
  VolumeAttributesClass,
} from "@coracle/api/storage/v1";
import { isNotFound, isStatusError } from "@coracle/apimachinery";
import type { WatchEvent } from "@coracle/client";
import { createAuthority } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const labels = { story: "operations" };
const client = { url: "https://127.0.0.1:1/" };
const LATER = Date.UTC(2100, 0, 1);

/** Made by OpenSSL: O=system:nodes, CN=system:node:n9. */
const REQUEST = `-----BEGIN CERTIFICATE REQUEST-----
MIHrMIGSAgEAMDAxFTATBgNVBAoMDHN5c3RlbTpub2RlczEXMBUGA1UEAwwOc3lz
dGVtOm5vZGU6bjkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2h0iv3AnXfA4V
mAQBG+OVJp/S3sJ2zL13GbnUIQMd79XGI/U3tMUAJFhvnjuZzKhFrg7I3yyRopbo
aS4vAz2FoAAwCgYIKoZIzj0EAwIDSAAwRQIgCUcszHGUPHEp6HMY31gNECX+gd3k
CdeAVeJPnXRPj5wCIQCuZBRefrJ9hhiBS2xmeUbCyZGDQFbKH4WOslGP1+Ugcw==
-----END CERTIFICATE REQUEST-----`;

interface Kind {
  readonly type: ResourceType<KubeObject>;
  /** All but the metadata. */
  readonly body: Readonly<Record<string, unknown>>;
  /** What a merge patch of the subresource status says. */
  readonly status?: Readonly<Record<string, unknown>>;
  /** Finalizers hold it that controllers take away. */
  readonly isHeld?: true;
}

const webhook = {
  name: "story.example.com",
  clientConfig: client,
  sideEffects: "None",
  admissionReviewVersions: ["v1"],
  rules: [{ operations: ["CREATE"], apiGroups: ["nobody.example.com"], apiVersions: ["v1"], resources: ["none"] }],
};
const devices = { requests: [{ name: "gpu", exactly: { deviceClassName: "gpus" } }] };
const storage = { accessModes: ["ReadWriteOnce"], storageClassName: "none" };
const involved = { kind: "Pod", name: "p", namespace };

const kinds: readonly Kind[] = [
  {
    type: FlowSchema,
    body: { spec: { matchingPrecedence: 9000, priorityLevelConfiguration: { name: "exempt" } } },
    status: {
      conditions: [
        {
          type: "Story",
          status: "False",
          reason: "Story",
          message: "said by the test",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
    },
  },
  {
    type: PriorityLevelConfiguration,
    body: { spec: { type: "Limited", limited: { nominalConcurrencyShares: 2, limitResponse: { type: "Reject" } } } },
    status: {
      conditions: [
        {
          type: "Story",
          status: "True",
          reason: "Story",
          message: "said by the test",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
    },
  },
  { type: MutatingWebhookConfiguration, body: { webhooks: [webhook] } },
  { type: ValidatingWebhookConfiguration, body: { webhooks: [webhook] } },
  {
    type: ValidatingAdmissionPolicy,
    body: {
      spec: {
        matchConstraints: { resourceRules: webhook.rules },
        validations: [{ expression: "object.spec.replicas <= 100" }],
      },
    },
    status: {
      conditions: [
        {
          type: "Story",
          status: "True",
          reason: "Story",
          message: "said by the test",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
    },
  },
  { type: ValidatingAdmissionPolicyBinding, body: { spec: { policyName: "nobody", validationActions: ["Deny"] } } },
  {
    type: CertificateSigningRequest,
    body: {
      spec: {
        request: Buffer.from(REQUEST).toString("base64"),
        signerName: "example.com/story",
        usages: ["client auth"],
      },
    },
  },
  { type: Event, body: { involvedObject: involved, reason: "Story", message: "told", type: "Normal" } },
  {
    type: GroupEvent,
    body: {
      regarding: involved,
      reason: "Story",
      note: "told",
      type: "Normal",
      action: "Telling",
      eventTime: "2026-01-01T00:00:00.000000Z",
      reportingController: "story.example.com/teller",
      reportingInstance: "one",
    },
  },
  { type: ServiceAccount, body: { automountServiceAccountToken: false } },
  {
    type: ResourceQuota,
    body: { spec: { hard: { "count/secrets": "7" } } },
    status: { hard: { "count/secrets": "6" } },
  },
  { type: ConfigMap, body: { data: { a: "b" } } },
  {
    type: PersistentVolume,
    isHeld: true,
    body: { spec: { ...storage, capacity: { storage: "1Gi" }, csi: { driver: "d.example.com", volumeHandle: "h" } } },
    status: { phase: "Available", message: "said by the test", reason: "Story" },
  },
  {
    type: PersistentVolumeClaim,
    isHeld: true,
    body: { spec: { ...storage, resources: { requests: { storage: "1Gi" } } } },
    status: { conditions: [{ type: "Story", status: "True", reason: "Story", message: "said by the test" }] },
  },
  { type: StorageClass, body: { provisioner: "d.example.com" } },
  { type: CSIDriver, body: { spec: { attachRequired: false } } },
  { type: CSINode, body: { spec: { drivers: [{ name: "d.example.com", nodeID: "n" }] } } },
  { type: CSIStorageCapacity, body: { storageClassName: "none", capacity: "1Gi" } },
  {
    type: VolumeAttachment,
    body: { spec: { attacher: "d.example.com", nodeName: "n", source: { persistentVolumeName: "v" } } },
    status: { attached: true },
  },
  { type: VolumeAttributesClass, isHeld: true, body: { driverName: "d.example.com", parameters: { iops: "9" } } },
  { type: DeviceClass, body: { spec: { selectors: [{ cel: { expression: "true" } }] } } },
  {
    type: ResourceClaim,
    body: { spec: { devices } },
    status: {
      allocation: { devices: { results: [{ request: "gpu", driver: "d.example.com", pool: "p", device: "gpu-0" }] } },
    },
  },
  { type: ResourceClaimTemplate, body: { spec: { spec: { devices } } } },
  {
    type: ResourceSlice,
    body: {
      spec: { driver: "d.example.com", nodeName: "n", pool: { name: "p", generation: 1, resourceSliceCount: 1 } },
    },
  },
  {
    type: {
      group: "kinds.example.com",
      version: "v1",
      kind: "Boat",
      listKind: "BoatList",
      plural: "boats",
      namespaced: true,
    },
    body: { spec: { oars: 2 } },
    status: { afloat: true },
  },
];

const boats = {
  metadata: { name: "boats.kinds.example.com" },
  spec: {
    group: "kinds.example.com",
    scope: "Namespaced",
    names: { plural: "boats", kind: "Boat" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: { type: "object", properties: { oars: { type: "integer" } } },
              status: { type: "object", properties: { afloat: { type: "boolean" } } },
            },
          },
        },
      },
    ],
  },
} as unknown as CustomResourceDefinition;

let plane: TestControlPlane;
beforeAll(async () => {
  plane = await createTestControlPlane({ components: [] });
  await plane.admin.create(CustomResourceDefinition, boats);
  await plane.until("it is established", async () => {
    const { status } = await plane.admin.get(CustomResourceDefinition, { name: boats.metadata.name ?? "" });
    return status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True");
  });
});
afterAll(async () => plane?.[Symbol.asyncDispose]());

/** Path of the collection. */
const pathOf = ({ group, version, plural, namespaced }: ResourceType<unknown>): string =>
  `/${group === "" ? "api" : `apis/${group}`}/${version}${namespaced ? `/namespaces/${namespace}` : ""}/${plural}`;
const draft = ({ type, body }: Kind, name: string): KubeObject =>
  ({
    ...body,
    metadata: { name, labels, ...(type.namespaced && { namespace }) },
  }) as unknown as KubeObject;
/** Others may have said more. */
const atLeast = ({ conditions, ...rest }: Readonly<Record<string, unknown>>): object => ({
  ...rest,
  ...(Array.isArray(conditions) && {
    conditions: expect.arrayContaining(conditions.map((each: object) => expect.objectContaining(each) as object)),
  }),
});
const versionOf = (object: KubeObject): string => object.metadata.resourceVersion ?? "";

describe("every kind can be found, created, read, watched, patched, replaced and deleted", () => {
  it.each(kinds.map((kind) => [`${kind.type.group}/${kind.type.version} ${kind.type.plural}`, kind] as const))(
    "%s",
    async (_, kind) => {
      const { type } = kind;
      const key = (name: string): { name: string; namespace?: string } =>
        type.namespaced ? { name, namespace } : { name };
      const all = { labelSelector: "story=operations", ...(type.namespaced && { namespace }) };
      const base = type.group === "" ? "/api" : `/apis/${type.group}`;
      const { resources } = (await plane.admin.raw("GET", `${base}/${type.version}`)) as {
        resources: { name: string; kind: string }[];
      };
      expect(resources.find(({ name }) => name === type.plural)?.kind).toBe(type.kind);
      expect(resources.some(({ name }) => name === `${type.plural}/status`)).toBe(
        kind.status !== undefined || type.kind === "CertificateSigningRequest",
      );

      const { metadata: before } = await plane.admin.list(type, all);
      const seen: WatchEvent<KubeObject>[] = [];
      const stop = new AbortController();
      const watching = (async () => {
        const options = { ...all, resourceVersion: before.resourceVersion, signal: stop.signal };
        for await (const event of plane.admin.watch(type, options)) seen.push(event);
      })().catch((error: unknown) => {
        if (!stop.signal.aborted) throw error;
      });

      for (const name of ["one", "two", "three"]) {
        const made = await plane.admin.create(type, draft(kind, name));
        expect(made.metadata).toMatchObject({ name, uid: expect.any(String), creationTimestamp: expect.any(String) });
      }
      expect(await plane.admin.get(type, key("one"))).toMatchObject(kind.body);
      const { items } = await plane.admin.list(type, all);
      expect(items.map(({ metadata }) => metadata.name)).toEqual(["one", "three", "two"]);
      if (type.namespaced) {
        const everywhere = await plane.admin.list(type, { labelSelector: all.labelSelector });
        expect(everywhere.items).toHaveLength(3);
      }

      const patched = await plane.admin.patch(type, key("one"), "merge", {
        metadata: { annotations: { patched: "yes" } },
      });
      expect(patched.metadata.annotations).toMatchObject({ patched: "yes" });
      // Controllers may write in between: read, change and write again until nobody did.
      const replaced = await plane.until("it is replaced", async () => {
        const read = await plane.admin.get(type, key("one"));
        const annotations = { ...read.metadata.annotations, replaced: "yes" };
        return plane.admin.update(type, { ...read, metadata: { ...read.metadata, annotations } });
      });
      expect(replaced.metadata.annotations).toMatchObject({ patched: "yes", replaced: "yes" });
      expect(versionOf(replaced)).not.toBe(versionOf(patched));
      await expect(plane.admin.update(type, patched)).rejects.toMatchObject({ code: 409 });

      if (kind.status !== undefined) {
        const path = `${pathOf(type)}/one/status`;
        const options = { contentType: "application/merge-patch+json" };
        const after = await plane.admin.raw("PATCH", path, { status: kind.status, spec: null }, options);
        expect(after).toMatchObject({ ...kind.body, status: atLeast(kind.status) });
        const put = await plane.until("its status is replaced", async () =>
          plane.admin.raw("PUT", path, await plane.admin.raw("GET", path)),
        );
        expect(put).toMatchObject({ status: atLeast(kind.status) });
      }

      if (kind.isHeld === true)
        for (const name of ["one", "two", "three"])
          await plane.admin.patch(type, key(name), "merge", { metadata: { finalizers: null } });
      await plane.admin.delete(type, key("one"));
      await expect(plane.admin.get(type, key("one"))).rejects.toSatisfy(isNotFound);
      await plane.admin.deleteCollection(type, all);
      expect((await plane.admin.list(type, all)).items).toEqual([]);
      await plane.until("the watch saw the end", () => seen.filter((event) => event.type === "DELETED").length === 3);
      stop.abort();
      await watching;
      const told = seen.flatMap((event) => ("object" in event ? [`${event.type} ${event.object.metadata.name}`] : []));
      expect(told.filter((event) => event.startsWith("ADDED"))).toEqual(["ADDED one", "ADDED two", "ADDED three"]);
      expect(told.filter((event) => event === "MODIFIED one").length).toBeGreaterThanOrEqual(2);
      expect(told.at(-1)).toMatch(/^DELETED/);
    },
  );
});

describe("what only some kinds have", () => {
  it("a pod names a volume of a driver, which is kept as it is", async () => {
    const metadata = { name: "inline", namespace, labels };
    await plane.admin.create(ServiceAccount, { metadata: { name: "inline", namespace } });
    const volume = { name: "v", csi: { driver: "d.example.com", volumeAttributes: { a: "b" } } };
    const spec = { serviceAccountName: "inline", containers: [{ name: "c", image: "c:1" }], volumes: [volume] };
    const made = await plane.admin.create(Pod, { metadata, spec });
    expect(made.spec.volumes?.[0]).toEqual(volume);
    const patch = { metadata: { labels: { patched: "yes" } } };
    const patched = await plane.admin.patch(Pod, { namespace, name: "inline" }, "strategic", patch);
    expect(patched.metadata.labels).toEqual({ ...labels, patched: "yes" });
    expect(patched.spec.volumes?.[0]).toEqual(volume);
    await plane.admin.delete(Pod, { namespace, name: "inline" });
    await expect(plane.admin.get(Pod, { namespace, name: "inline" })).rejects.toSatisfy(isNotFound);
  });

  it("a certificate request is approved, and given its certificate, each at a place of its own", async () => {
    const [kind] = kinds.filter(({ type }) => type.kind === "CertificateSigningRequest");
    await plane.admin.create(CertificateSigningRequest, draft(kind!, "signed") as CertificateSigningRequest);
    const path = `${pathOf(CertificateSigningRequest)}/signed`;
    const approve = (await plane.admin.raw("GET", `${path}/approval`)) as CertificateSigningRequest;
    const conditions = [{ type: "Approved", status: "True", reason: "Story", message: "said by the test" }];
    const approved = await plane.admin.raw("PUT", `${path}/approval`, { ...approve, status: { conditions } });
    expect(approved).toMatchObject({ status: { conditions } });
    const { cert } = createAuthority({ subject: { commonName: "story" }, notBefore: 0, notAfter: LATER });
    const certificate = Buffer.from(cert).toString("base64");
    const signed = await plane.admin.raw(
      "PATCH",
      `${path}/status`,
      { status: { certificate } },
      { contentType: "application/merge-patch+json" },
    );
    expect(signed).toMatchObject({ status: { conditions, certificate } });
    await plane.admin.delete(CertificateSigningRequest, { name: "signed" });
  });

  it("a namespace has labels, a status, and finalizers at a place of their own", async () => {
    await plane.admin.create(Namespace, { metadata: { name: "operated" }, spec: {} });
    const key = { name: "operated" };
    const patched = await plane.admin.patch(Namespace, key, "strategic", { metadata: { labels: { patched: "yes" } } });
    const updated = await plane.admin.update(Namespace, {
      ...patched,
      metadata: { ...patched.metadata, labels: { ...patched.metadata.labels, updated: "yes" } },
    });
    expect(updated.metadata.labels).toMatchObject({
      "kubernetes.io/metadata.name": "operated",
      patched: "yes",
      updated: "yes",
    });
    const conditions = [{ type: "Story", status: "True", reason: "Story", message: "said by the test" }];
    const path = "/api/v1/namespaces/operated";
    const merge = { contentType: "application/merge-patch+json" };
    expect(await plane.admin.raw("PATCH", `${path}/status`, { status: { conditions } }, merge)).toMatchObject({
      status: { phase: "Active", conditions },
    });
    const read = (await plane.admin.raw("GET", path)) as Namespace;
    const status = { ...read.status, conditions: [...conditions, { ...conditions[0], type: "Second" }] };
    expect(await plane.admin.raw("PUT", `${path}/status`, { ...read, status })).toMatchObject({ status });
    const latest = (await plane.admin.raw("GET", path)) as Namespace;
    const spec = { finalizers: ["kubernetes", "example.com/story"] };
    expect(await plane.admin.raw("PUT", `${path}/finalize`, { ...latest, spec })).toMatchObject({ spec });
    const without = (await plane.admin.raw("GET", path)) as Namespace;
    const back = { ...without, spec: { finalizers: ["kubernetes"] } };
    expect(await plane.admin.raw("PUT", `${path}/finalize`, back)).toMatchObject({ spec: back.spec });
  });

  it("a definition is listed, its status read, patched and replaced, and goes with others of its labels", async () => {
    const definition = (plural: string): CustomResourceDefinition =>
      ({
        metadata: { name: `${plural}.operations.example.com`, labels },
        spec: {
          group: "operations.example.com",
          scope: "Cluster",
          names: { plural, kind: `Kind${plural}` },
          versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
        },
      }) as unknown as CustomResourceDefinition;
    const names = ["as", "bs", "cs"];
    for (const plural of names) await plane.admin.create(CustomResourceDefinition, definition(plural));
    const all = { labelSelector: "story=operations" };
    expect((await plane.admin.list(CustomResourceDefinition, all)).items).toHaveLength(3);
    const path = `${pathOf(CustomResourceDefinition)}/as.operations.example.com/status`;
    await plane.until("it is established", async () => {
      const { status } = (await plane.admin.raw("GET", path)) as CustomResourceDefinition;
      return status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True");
    });
    const condition = { type: "Story", status: "True", reason: "Story", message: "said by the test" };
    const read = (await plane.admin.raw("GET", path)) as CustomResourceDefinition;
    const conditions = [...(read.status?.conditions ?? []), condition];
    const updated = await plane.admin.raw("PUT", path, { ...read, status: { ...read.status, conditions } });
    expect(updated).toMatchObject({
      status: { conditions: expect.arrayContaining([expect.objectContaining(condition)]) },
    });
    const merge = { contentType: "application/merge-patch+json" };
    const patched = await plane.admin.raw("PATCH", path, { metadata: { annotations: { a: "b" } } }, merge);
    expect(patched).toMatchObject({ kind: "CustomResourceDefinition" });
    await plane.admin.deleteCollection(CustomResourceDefinition, all);
    await plane.until("all are gone", async () => {
      return (await plane.admin.list(CustomResourceDefinition, all)).items.length === 0;
    });
  });
});

describe("the server as a whole", () => {
  it("says its version", async () => {
    expect(await plane.admin.raw("GET", "/version")).toMatchObject({
      major: "1",
      minor: expect.stringMatching(/^\d+/),
    });
  });

  it("every group has a preferred version among those it serves, and every version its resources", async () => {
    const { groups } = (await plane.admin.raw("GET", "/apis")) as {
      groups: {
        name: string;
        preferredVersion: { groupVersion: string; version: string };
        versions: { groupVersion: string; version: string }[];
      }[];
    };
    for (const group of groups) {
      expect(group.versions).toContainEqual(group.preferredVersion);
      expect(await plane.admin.raw("GET", `/apis/${group.name}`)).toMatchObject({
        preferredVersion: group.preferredVersion,
      });
      for (const { groupVersion } of group.versions) {
        const list = (await plane.admin.raw("GET", `/apis/${groupVersion}`)) as { resources: { name: string }[] };
        expect(list).toMatchObject({ kind: "APIResourceList", groupVersion });
        expect(list.resources.length).toBeGreaterThan(0);
      }
    }
    expect(groups.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"]),
    );
  });

  it("what has no table is not shown as one: 406", async () => {
    const review = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { nonResourceAttributes: { path: "/", verb: "get" } },
    };
    const accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    await expect(plane.admin.raw("POST", path, review, { accept })).rejects.toSatisfy(
      (error) => isStatusError(error) && error.code === 406,
    );
  });
});
