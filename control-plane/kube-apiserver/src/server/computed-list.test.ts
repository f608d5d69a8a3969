import { describe, expect, it } from "vitest";
import type { ApiObject } from "../registry/resource-definition.ts";
import { listComputed, notWatched } from "./computed-list.ts";

const named = (name: string): ApiObject => ({ apiVersion: "v1", kind: "ComponentStatus", metadata: { name } });
const OBJECTS = [named("scheduler"), named("etcd-0")];

describe("objects that are made when asked for", () => {
  it.each([
    [{}, ["scheduler", "etcd-0"]],
    [{ fieldSelector: "metadata.name=etcd-0" }, ["etcd-0"]],
    [{ fieldSelector: "metadata.name!=etcd-0" }, ["scheduler"]],
    [{ labelSelector: "absent" }, []],
    [{ labelSelector: "!absent" }, ["scheduler", "etcd-0"]],
  ])("are selected by %j", (query, names) => {
    const list = listComputed(OBJECTS, { resourceVersion: undefined, ...query });
    expect(list.items.map(({ name }) => name)).toEqual(names);
  });

  it("are not watched", () => {
    expect(notWatched("componentstatuses").message).toBe(
      'watch is not supported on resources of kind "componentstatuses"',
    );
  });
});
