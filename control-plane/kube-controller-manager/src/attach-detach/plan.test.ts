import type { Node, Pod } from "@coracle/api/core/v1";
import type { VolumeAttachment } from "@coracle/api/storage/v1";
import { describe, expect, it } from "vitest";
import { attachmentName, isTerminated, type Attachable } from "./attachable.ts";
import { MAX_WAIT_FOR_UNMOUNT_MS, planNode, whyBlocked, type NodeView } from "./plan.ts";

const NOW = 1_000_000_000;
const disk = (handle: string, accessModes = ["ReadWriteOnce"]): Attachable => ({
  name: `pv-${handle}`,
  unique: `kubernetes.io/csi/d^${handle}`,
  accessModes,
  by: { driver: "d", handle, source: { persistentVolumeName: `pv-${handle}` } },
});
const A = disk("a");
const SHARED = disk("shared", ["ReadWriteOnce", "ReadOnlyMany"]);
const node = (ready = "True", taints: readonly string[] = []): Node => ({
  metadata: { name: "n" },
  spec: { taints: taints.map((key) => ({ key, effect: "NoExecute" })) },
  status: { conditions: [{ type: "Ready", status: ready }] },
});
const attachmentOf = (attachable: Attachable) => ({
  name: attachmentName(attachable, "n"),
  unique: attachable.unique,
  nodeName: "n",
});
const pod = (namespace: string, name: string): Pod => ({ metadata: { namespace, name }, spec: { containers: [] } });
const seenAs = (attached: boolean, deletionTimestamp?: string): VolumeAttachment => ({
  metadata: deletionTimestamp === undefined ? {} : { deletionTimestamp },
  spec: { attacher: "d", nodeName: "n", source: {} },
  status: { attached },
});
const view = (more: Partial<NodeView>): NodeView => ({
  nodeName: "n",
  node: node(),
  inUse: [],
  wanted: [],
  attachments: [],
  seen: () => seenAs(true),
  nodesWith: () => [],
  unwantedSince: () => NOW,
  now: NOW,
  forcesOnTimeout: true,
  ...more,
});
const wants = (attachable: Attachable) => ({ attachable, pods: [pod("ns", "p")] });

describe("a volume that a pod of the node wants", () => {
  it.each<[string, string, Partial<NodeView>]>([
    ["is attached", "attach a", { wanted: [wants(A)] }],
    ["is attached once", "", { wanted: [wants(A)], attachments: [attachmentOf(A)] }],
    ["is not attached while another node has it", "blocked a", { wanted: [wants(A)], nodesWith: () => ["m"] }],
    [
      "is attached to many when its modes allow it",
      "attach shared",
      { wanted: [wants(SHARED)], nodesWith: () => ["m"] },
    ],
    [
      "is attached to many when it has no modes",
      "attach x",
      { wanted: [wants(disk("x", []))], nodesWith: () => ["m"] },
    ],
  ])("%s", (_rule, expected, more) => {
    const { attach, blocked, detach } = planNode(view(more));
    expect(detach).toEqual([]);
    const said = [
      ...attach.map(({ attachable }) => `attach ${attachable.by?.handle}`),
      ...blocked.map(({ attachable }) => `blocked ${attachable.by?.handle}`),
    ];
    expect(said.join()).toBe(expected);
  });

  it("is told to the node once it is attached, and until it is to go", () => {
    const attachments = [attachmentOf(A), attachmentOf(SHARED)];
    expect(planNode(view({ attachments, wanted: [wants(A)] })).attached).toEqual([A.unique]);
    const both = { attachments, wanted: [wants(A), wants(SHARED)] };
    expect(planNode(view(both)).attached).toEqual([A.unique, SHARED.unique]);
    expect(planNode(view({ ...both, seen: () => seenAs(false) })).attached).toEqual([]);
    expect(planNode(view({ ...both, seen: () => seenAs(true, "2026-01-01T00:00:00Z") })).attached).toEqual([]);
    expect(planNode(view({ ...both, seen: () => undefined })).attached).toEqual([]);
  });
});

describe("a volume that nobody on the node wants", () => {
  const inUse = [A.unique];
  const longAgo = NOW - MAX_WAIT_FOR_UNMOUNT_MS - 1;
  it.each<[string, string, Partial<NodeView>]>([
    ["goes once the node, asked again, does not use it", "detach asks", {}],
    ["stays while the node uses it", "wait undefined", { inUse }],
    ["stays while a ready node uses it, however long", "wait undefined", { inUse, unwantedSince: () => longAgo }],
    ["stays six minutes with a node that is not ready", "wait 360001", { inUse, node: node("Unknown") }],
    [
      "goes after six minutes from a node that is not ready",
      "detach timeout",
      { inUse, node: node("Unknown"), unwantedSince: () => longAgo },
    ],
    [
      "goes after six minutes from a node that is gone",
      "detach timeout",
      { inUse, node: undefined, unwantedSince: () => longAgo },
    ],
    [
      "stays for ever with --disable-force-detach-on-timeout",
      "wait undefined",
      { inUse, node: node("False"), unwantedSince: () => longAgo, forcesOnTimeout: false },
    ],
    [
      "goes at once from a node that is out of service",
      "detach out-of-service",
      { inUse, node: node("False", ["node.kubernetes.io/out-of-service"]) },
    ],
    ["goes but once", "wait undefined", { seen: () => seenAs(true, "2026-01-01T00:00:00Z") }],
  ])("%s", (_rule, expected, more) => {
    const { detach, againMs } = planNode(view({ attachments: [attachmentOf(A)], ...more }));
    expect(
      detach.length === 0
        ? `wait ${againMs}`
        : detach[0]?.force === undefined
          ? "detach asks"
          : `detach ${detach[0].force}`,
    ).toBe(expected);
  });
});

describe("why a volume is not attached", () => {
  const start = 'Multi-Attach error for volume "pv"';
  it.each<[string, string, Pod[]]>([
    [
      "nobody seems to use it",
      "Volume is already exclusively attached to one node and can't be attached to another",
      [],
    ],
    ["pods nearby use it", "Volume is already used by pod(s) a, b", [pod("ns", "a"), pod("ns", "b")]],
    [
      "pods nearby and elsewhere use it",
      "Volume is already used by pod(s) a and 1 pod(s) in different namespaces",
      [pod("ns", "a"), pod("x", "b")],
    ],
    [
      "pods elsewhere use it, whose names are not told",
      "Volume is already used by 2 pod(s) in different namespaces",
      [pod("x", "a"), pod("x", "b")],
    ],
  ])("%s", (_when, expected, users) => expect(whyBlocked(pod("ns", "me"), "pv", users)).toBe(`${start} ${expected}`));
});

describe("a pod uses its volumes", () => {
  const status = (state: object): Pod["status"] => ({
    phase: "Running",
    containerStatuses: [{ name: "c", state } as never],
  });
  const leaving = (of: Pod["status"]): Pod => ({
    metadata: { name: "p", deletionTimestamp: "2026-01-01T00:00:00Z" },
    spec: { containers: [] },
    ...(of === undefined ? {} : { status: of }),
  });
  it.each<[string, boolean, Pod]>([
    ["while it is there", false, pod("ns", "p")],
    ["until it has ended", true, { ...pod("ns", "p"), status: { phase: "Failed" } }],
    ["while it is deleted and runs", false, leaving(status({ running: {} }))],
    ["until it is deleted and its containers have ended", true, leaving(status({ terminated: { exitCode: 0 } }))],
    ["until it is deleted and never ran", true, leaving(undefined)],
  ])("%s", (_when, expected, of) => expect(isTerminated(of)).toBe(expected));
});
