import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  busyboxImage,
  createTestHost,
  hostLeftovers,
  snapshotHost,
  startRegistry,
  type TestHost,
} from "../src/index.ts";

describe("a host made by a test", () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await createTestHost();
  });
  afterEach(async () => host[Symbol.asyncDispose]());

  it("has an address and no route to the outside", async () => {
    const { stdout } = await host.run("ip", ["-4", "-o", "addr", "show", "eth0"]);
    expect(stdout).toContain(`${host.address}/24`);
    const outside = await host.run("ip", ["route", "get", "192.0.2.1"], { allowFailure: true });
    expect(outside.stderr).toContain("Network is unreachable");
  });

  it("serves pushed images from a real registry", async () => {
    const registry = await startRegistry(host);
    const name = await registry.push("lib/busybox:1", busyboxImage());
    expect(name).toBe(`${registry.address}/lib/busybox:1`);
    const { stdout } = await host.run("busybox", [
      "wget",
      "-qO-",
      `http://${registry.address}/v2/lib/busybox/tags/list`,
    ]);
    expect(JSON.parse(stdout)).toEqual({ name: "lib/busybox", tags: ["1"] });
  });

  it("its leak check sees a process, a link, a mount, a namespace, a rule and a file, and that they are gone", async () => {
    const before = await snapshotHost(host);
    const sleeper = host.spawn("sleep", ["60"]);
    await host.run("ip", ["link", "add", "left0", "type", "veth", "peer", "name", "left1"]);
    await host.run("nft", ["add", "table", "inet", `${host.name}-left`.replaceAll("-", "_")]);
    await host.run("ip", ["netns", "add", `${host.name}-left`]);
    const left = (await hostLeftovers(host, before)).join("\n");
    expect(left).toContain("processes: ");
    expect(left).toMatch(/namespaces: .*-left/);
    expect(left).toContain("mounts: /run/netns/");
    expect(left).toContain("left0");
    sleeper.kill();
    await sleeper.exited;
    await host.run("ip", ["link", "del", "left0"]);
    await host.run("nft", ["delete", "table", "inet", `${host.name}-left`.replaceAll("-", "_")]);
    await host.run("ip", ["netns", "del", `${host.name}-left`]);
    expect(await hostLeftovers(host, before)).toEqual([]);
  });

  it("ends what it started", async () => {
    const other = await createTestHost();
    const sleeper = other.spawn("sleep", ["60"]);
    await other[Symbol.asyncDispose]();
    expect(await sleeper.exited).toBeGreaterThan(128);
    expect(other.processes()).toEqual([]);
  });
});
