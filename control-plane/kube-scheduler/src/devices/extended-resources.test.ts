import type { Container, Pod } from "@coracle/api/core/v1";
import type { DeviceClass } from "@coracle/api/resource/v1";
import { describe, expect, it } from "vitest";
import { DevicesByResource, extendedRequests, mayBeDevices } from "./extended-resources.ts";

const classOf = (name: string, creationTimestamp: string, extendedResourceName?: string): DeviceClass => ({
  metadata: { name, creationTimestamp },
  spec: extendedResourceName === undefined ? {} : { extendedResourceName },
});
const GPU = "x.io/gpu";
const asking = (name: string, count: number, part: Partial<Container> = {}): Container => ({
  name,
  resources: { requests: { cpu: "1", ...(count === 0 ? {} : { [GPU]: String(count) }) } },
  ...part,
});
const sidecar = { restartPolicy: "Always" } as const;

describe("the class of devices behind a resource", () => {
  it("is the one of that name, or the newest that names it, or the first by name", () => {
    const classes = [classOf("b", "2026-01-02T00:00:00Z", GPU), classOf("a", "2026-01-02T00:00:00Z", GPU)];
    const byResource = new DevicesByResource(() => classes);
    expect(byResource.classOf(GPU)?.metadata.name).toBe("a");
    expect(byResource.classOf("deviceclass.resource.kubernetes.io/b")?.metadata.name).toBe("b");
    expect(byResource.classOf("x.io/other")).toBeUndefined();
    const { version } = byResource;
    classes.push(classOf("z", "2026-01-03T00:00:00Z", GPU));
    byResource.changed();
    expect(byResource.classOf(GPU)?.metadata.name).toBe("z");
    expect(byResource.version).not.toBe(version);
  });

  it.each([
    ["cpu", false],
    ["kubernetes.io/thing", false],
    ["requests.x.io/gpu", false],
    ["x.io/gpu", true],
    ["deviceclass.resource.kubernetes.io/gpus", true],
  ])("%s may have one: %s", (name, expected) => expect(mayBeDevices(name)).toBe(expected));
});

describe("requests for devices in the name of containers", () => {
  const requestsOf = (initContainers: Container[], containers: Container[]) => {
    const pod: Pod = { metadata: { name: "p" }, spec: { initContainers, containers } };
    const { requests, mappings } = extendedRequests(pod, [GPU], () => classOf("gpus", ""));
    return {
      requests: requests.map(({ name, exactly }) => `${name}=${exactly?.count}`),
      mappings: mappings.map(({ containerName, requestName }) => `${containerName}:${requestName}`),
    };
  };

  it.each<[string, Container[], Container[], string[], string[]]>([
    ["one container", [], [asking("a", 2)], ["container-0-request-1=2"], ["a:container-0-request-1"]],
    [
      "containers that run at once have their own",
      [],
      [asking("a", 2), asking("b", 0), asking("c", 1)],
      ["container-0-request-1=2", "container-2-request-1=1"],
      ["a:container-0-request-1", "c:container-2-request-1"],
    ],
    [
      "an init container uses those of containers after it",
      [asking("i", 3)],
      [asking("a", 2), asking("b", 2)],
      ["container-1-request-1=2", "container-2-request-1=2"],
      ["a:container-1-request-1", "b:container-2-request-1", "i:container-1-request-1", "i:container-2-request-1"],
    ],
    [
      "and has its own beyond them, shared with other init containers",
      [asking("i", 3), asking("j", 5)],
      [asking("a", 2)],
      ["container-1-request-1=3", "container-2-request-1=2"],
      [
        "a:container-2-request-1",
        "i:container-2-request-1",
        "i:container-1-request-1",
        "j:container-2-request-1",
        "j:container-1-request-1",
      ],
    ],
    [
      "not those of sidecars that were started before it",
      [asking("s", 1, sidecar), asking("i", 1)],
      [asking("a", 0)],
      ["container-0-request-1=1", "container-1-request-1=1"],
      ["s:container-0-request-1", "i:container-1-request-1"],
    ],
  ])("%s", (_, inits, containers, requests, mappings) =>
    expect(requestsOf(inits, containers)).toEqual({ requests, mappings }),
  );
});
