import { describe, expect, it } from "vitest";
import { loadCriCodec, loadCsiCodec, loadEtcdCodec } from "./contracts.ts";
import { ProtoError } from "./wire.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("the gRPC codec", () => {
  const cri = loadCriCodec();

  it("writes what the protobuf encoding guide says", () => {
    expect(hex(cri.encode("runtime.v1.VersionRequest", { version: "testing" }))).toBe("0a0774657374696e67");
    expect(hex(cri.encode("runtime.v1.Int64Value", { value: 150 }))).toBe("089601");
    expect(hex(cri.encode("runtime.v1.Int64Value", { value: -2 }))).toBe("08feffffffffffffffff01");
  });

  it("leaves zero values out, and fills enums when reading", () => {
    expect(cri.encode("runtime.v1.ContainerStatus", { exitCode: 0, state: "CONTAINER_CREATED" })).toHaveLength(0);
    expect(cri.decode("runtime.v1.ContainerStatus", Buffer.alloc(0))).toEqual({
      state: "CONTAINER_CREATED",
      stopSignal: "RUNTIME_DEFAULT",
    });
  });

  it("brings back nested messages, maps, lists, enums and large numbers", () => {
    const status = {
      id: "abc",
      state: "CONTAINER_EXITED" as const,
      createdAt: 2 ** 52,
      exitCode: -1,
      image: { image: "busybox", annotations: { __proto__x: "1", é: "ü" } },
      mounts: [{ containerPath: "/a", readonly: true, propagation: "PROPAGATION_BIDIRECTIONAL" as const }],
      labels: { a: "", b: "x".repeat(300) },
    };
    expect(cri.decode("runtime.v1.ContainerStatus", cri.encode("runtime.v1.ContainerStatus", status))).toMatchObject(
      status,
    );
    const ids = { runAsGroup: { value: 0 }, supplementalGroups: [1, 2, 70000] };
    expect(
      cri.decode(
        "runtime.v1.LinuxContainerSecurityContext",
        cri.encode("runtime.v1.LinuxContainerSecurityContext", ids),
      ),
    ).toMatchObject({ runAsGroup: {}, supplementalGroups: [1, 2, 70000] });
  });

  it("keeps nanosecond times close, as doubles can", () => {
    const value = Number(1764000000123456789n);
    expect(cri.decode("runtime.v1.Int64Value", cri.encode("runtime.v1.Int64Value", { value })).value).toBe(value);
  });

  it("steps over unknown fields and refuses wrong wire types", () => {
    expect(cri.decode("runtime.v1.VersionRequest", Buffer.from("f801010a0161", "hex"))).toEqual({ version: "a" });
    expect(cri.decode("runtime.v1.VersionRequest", Buffer.from("fa0102ffff0a0161", "hex"))).toEqual({ version: "a" });
    expect(() => cri.decode("runtime.v1.VersionRequest", Buffer.from("0801", "hex"))).toThrow(ProtoError);
  });

  it("writes a oneof's member even when it is zero, with bigints for etcd", () => {
    const etcd = loadEtcdCodec();
    const compare = { result: "EQUAL" as const, target: "MOD" as const, key: Buffer.from("k"), modRevision: 0n };
    const bytes = etcd.encode("etcdserverpb.Compare", compare);
    expect(etcd.decode("etcdserverpb.Compare", bytes)).toEqual(compare);
    expect(
      etcd.decode("etcdserverpb.Compare", etcd.encode("etcdserverpb.Compare", { lease: -(2n ** 63n) })).lease,
    ).toBe(-(2n ** 63n));
  });

  it("describes services as grpc-js takes them", () => {
    const watch = loadEtcdCodec().service("etcdserverpb.Watch")["Watch"];
    expect(watch).toMatchObject({ path: "/etcdserverpb.Watch/Watch", requestStream: true, responseStream: true });
    const version = cri.service("runtime.v1.RuntimeService")["Version"];
    expect(version?.requestDeserialize(version.requestSerialize({ version: "v1" }))).toEqual({ version: "v1" });
    expect(Object.keys(loadCsiCodec().service("csi.v1.Node"))).toContain("NodePublishVolume");
    expect(() => cri.service("nothing")).toThrow("no service");
  });

  it("throws nothing but ProtoError on random bytes", () => {
    let seed = 42;
    const next = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16;
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(Array.from({ length: next() % 60 }, () => next() & 0xff));
      try {
        cri.decode("runtime.v1.ContainerStatusResponse", bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtoError);
      }
    }
  });
});
