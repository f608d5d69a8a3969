import { PersistentVolumeClaim, Service } from "@coracle/api/core/v1";
import { IPAddress, ServiceCIDR } from "@coracle/api/networking/v1";
import { VolumeAttributesClass } from "@coracle/api/storage/v1";
import { isNotFound } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
let plane: TestControlPlane;

beforeEach(async () => {
  plane = await createTestControlPlane({ components: ["kube-controller-manager"], fakeClock: true });
});
afterEach(() => plane[Symbol.asyncDispose]());

async function isGone(attempt: Promise<unknown>): Promise<boolean> {
  try {
    await attempt;
    return false;
  } catch (error) {
    return isNotFound(error);
  }
}

const makeService = (name: string, clusterIP: string): Promise<Service> =>
  plane.admin.create(Service, { metadata: { namespace, name }, spec: { clusterIP, ports: [{ port: 80 }] } });

describe("a ServiceCIDR", () => {
  const name = "more";
  const readiness = async (): Promise<string | undefined> => {
    const { status } = await plane.admin.get(ServiceCIDR, { name });
    const ready = status?.conditions?.find(({ type }) => type === "Ready");
    return ready === undefined ? undefined : `${ready.status} ${ready.reason} ${ready.message}`;
  };
  const make = (of: string, cidr: string): Promise<ServiceCIDR> =>
    plane.admin.create(ServiceCIDR, { metadata: { name: of }, spec: { cidrs: [cidr] } });

  it("is ready and protected, and goes when no Service has an address of it any more", async () => {
    await make(name, "192.168.77.0/24");
    await plane.until("ready", async () => (await readiness()) === "True  Kubernetes Service CIDR is ready");
    const made = await plane.admin.get(ServiceCIDR, { name });
    expect(made.metadata.finalizers).toEqual(["networking.k8s.io/service-cidr-finalizer"]);
    await makeService("a", "192.168.77.9");
    await plane.admin.delete(ServiceCIDR, { name });
    await plane.until("held", async () =>
      (await readiness())?.startsWith("False Terminating There are still IPAddresses referencing the ServiceCIDR"),
    );
    await plane.admin.delete(Service, { namespace, name: "a" });
    await plane.until("gone", () => isGone(plane.admin.get(ServiceCIDR, { name })), { limitMs: 60_000 });
    expect(await isGone(plane.admin.get(IPAddress, { name: "192.168.77.9" }))).toBe(true);
  });

  it("goes at once when another takes over its addresses", async () => {
    await make(name, "192.168.77.0/24");
    await plane.until("ready", async () => (await readiness())?.startsWith("True"));
    await makeService("a", "192.168.77.9");
    await plane.admin.delete(ServiceCIDR, { name });
    await plane.until("held", async () => (await readiness())?.startsWith("False"));
    await make("larger", "192.168.0.0/16");
    await plane.until("gone", () => isGone(plane.admin.get(ServiceCIDR, { name })), { limitMs: 60_000 });
    const { spec } = await plane.admin.get(IPAddress, { name: "192.168.77.9" });
    expect(spec?.parentRef).toEqual({ resource: "services", namespace, name: "a" });
  });
});

describe("a class of volume attributes", () => {
  it("goes when no claim has it any more", async () => {
    const name = "gold";
    await plane.admin.create(VolumeAttributesClass, {
      metadata: { name },
      driverName: "csi.example.com",
      parameters: { iops: "9" },
    });
    const claim = {
      metadata: { namespace, name: "data" },
      spec: {
        accessModes: ["ReadWriteOnce"],
        volumeAttributesClassName: name,
        resources: { requests: { storage: "1Gi" } },
      },
    };
    await plane.admin.create(PersistentVolumeClaim, claim);
    await plane.admin.delete(VolumeAttributesClass, { name });
    const { metadata } = await plane.admin.get(VolumeAttributesClass, { name });
    expect(metadata.finalizers).toEqual(["kubernetes.io/vac-protection"]);
    await plane.admin.delete(PersistentVolumeClaim, { namespace, name: "data" });
    await plane.until("gone", () => isGone(plane.admin.get(VolumeAttributesClass, { name })));
  });
});
