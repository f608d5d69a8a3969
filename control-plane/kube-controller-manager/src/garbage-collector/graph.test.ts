import type { OwnerReference } from "@coracle/api/meta/v1";
import { describe, expect, it } from "vitest";
import { FOREGROUND, ORPHAN, OwnerGraph, type GraphNode } from "./graph.ts";

const type = {
  group: "",
  version: "v1",
  kind: "Pod",
  listKind: "PodList",
  plural: "pods",
  namespaced: true,
  verbs: new Set<string>(),
  versions: new Set(["v1"]),
  hasScale: false,
};

function node(uid: string, owners: readonly string[] = [], extra: Partial<GraphNode> = {}): GraphNode {
  return {
    type,
    uid,
    namespace: "n",
    name: uid,
    resourceVersion: "1",
    owners: owners.map((owner) => ({
      apiVersion: "v1",
      kind: "Pod",
      name: owner,
      uid: owner,
      blockOwnerDeletion: true,
    })),
    isBeingDeleted: false,
    finalizers: [],
    ...extra,
  };
}

function graphOf(...nodes: readonly GraphNode[]): OwnerGraph {
  const graph = new OwnerGraph();
  for (const each of nodes) graph.upsert(each);
  return graph;
}

describe("owner graph", () => {
  it("leaves alone what has no owner or a living one", () => {
    const graph = graphOf(node("a"), node("b", ["a"]));
    expect(graph.decide("a")).toEqual({ action: "none" });
    expect(graph.decide("b")).toEqual({ action: "none" });
  });

  it("asks about an owner it has never seen, and deletes when there is none", () => {
    const graph = graphOf(node("b", ["gone"]));
    expect(graph.decide("b")).toMatchObject({ action: "ask" });
    const dependent = node("b", ["gone"]);
    graph.markAbsent(dependent.owners[0] as OwnerReference, dependent, true);
    expect(graph.decide("b")).toEqual({ action: "delete", policy: "Background" });
  });

  it("looks at the dependents of what was deleted", () => {
    const graph = graphOf(node("a"), node("b", ["a"]));
    expect(graph.remove("a")).toEqual(["b"]);
    expect(graph.decide("b")).toEqual({ action: "delete", policy: "Background" });
  });

  it("breaks a circle of objects that wait for each other", () => {
    const waiting = { isBeingDeleted: true, finalizers: [FOREGROUND] };
    const graph = graphOf(node("a", ["c"], waiting), node("b", ["a"], waiting), node("c", ["b"]));
    expect(graph.decide("c")).toEqual({ action: "unblock" });
    const { owners } = node("c", ["b"]);
    const unblocked = owners.map((owner) => ({ ...owner, blockOwnerDeletion: false }));
    expect(graph.upsert(node("c", [], { owners: unblocked }))).toContain("c");
    expect(graph.decide("c")).toEqual({ action: "delete", policy: "Foreground" });
    expect(graph.decide("b")).toEqual({ action: "removeFinalizer", finalizer: FOREGROUND });
  });

  it("keeps what has one living owner left, without the dead one", () => {
    const graph = graphOf(node("a"), node("b"), node("c", ["a", "b"]));
    graph.remove("a");
    expect(graph.decide("c")).toEqual({ action: "removeOwners", uids: ["a"] });
  });

  it("an owner in another namespace, of another kind or name, or of nothing that is served, is asked for", () => {
    const [wrong] = node("b", ["a"]).owners as [OwnerReference];
    const asked = (owner: OwnerReference, extra: Partial<GraphNode> = {}) =>
      graphOf(node("a", [], extra), node("b", [], { owners: [owner] })).decide("b");
    expect(asked(wrong)).toEqual({ action: "none" });
    expect(asked(wrong, { namespace: "other" })).toEqual({ action: "ask", owners: [wrong] });
    for (const part of [{ kind: "Secret" }, { name: "nobody" }, { apiVersion: "v2" }]) {
      const owner = { ...wrong, ...part };
      expect(asked(owner)).toEqual({ action: "ask", owners: [owner] });
    }
  });

  it("an owner of whom a reference says something wrong does not count, whoever else refers to it rightly", () => {
    const right = node("b", ["a"]);
    const wrong = node("c", ["a"]);
    const [reference] = wrong.owners as [OwnerReference];
    const owners = [{ ...reference, name: "nobody" }];
    const graph = graphOf(node("a"), right, { ...wrong, owners });
    graph.markAbsent(owners[0] as OwnerReference, wrong, true);
    expect(graph.decide("c")).toEqual({ action: "delete", policy: "Background" });
    expect(graph.decide("b")).toEqual({ action: "none" });
  });

  it("an owner known by another version counts as the server says", () => {
    const dependent = node("b", ["a"]);
    const owners = dependent.owners.map((owner) => ({ ...owner, apiVersion: "v2" }));
    const graph = graphOf(node("a"), { ...dependent, owners });
    const [owner] = owners as [OwnerReference];
    expect(graph.decide("b", new Map([[owner, "solid"]]))).toEqual({ action: "none" });
    expect(graph.decide("b", new Map([[owner, "waiting"]]))).toEqual({ action: "delete", policy: "Background" });
  });

  it("foreground: dependents first, then the finalizer", () => {
    const graph = graphOf(node("a", [], { isBeingDeleted: true, finalizers: [FOREGROUND] }), node("b", ["a"]));
    expect(graph.decide("a")).toEqual({ action: "collectDependents", uids: ["b"] });
    expect(graph.decide("b")).toEqual({ action: "delete", policy: "Background" });
    expect(graph.remove("b")).toContain("a");
    expect(graph.decide("a")).toEqual({ action: "removeFinalizer", finalizer: FOREGROUND });
  });

  it("an orphaning owner is worth a look and decides nothing itself", () => {
    const graph = new OwnerGraph();
    expect(graph.upsert(node("a", [], { isBeingDeleted: true, finalizers: [ORPHAN] }))).toEqual(["a"]);
    expect(graph.decide("a")).toEqual({ action: "none" });
  });
});
