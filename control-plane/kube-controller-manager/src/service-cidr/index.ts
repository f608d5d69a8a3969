import { IPAddress, ServiceCIDR } from "@coracle/api/networking/v1";
import { isNotFound } from "@coracle/apimachinery";
import { referenceTo } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { instantOf, timestamp } from "../time/timestamp.ts";
import { cidrsWith, mayGo, overlaps } from "./plan.ts";

const FINALIZER = "networking.k8s.io/service-cidr-finalizer";
const MANAGER = "service-cidr-controller";
/** So long until every API server knows that no address may be taken from a block any more. */
const GRACE_MS = 10_000;

type Ready = { readonly status: "True" | "False"; readonly reason: string; readonly message: string };

const READY: Ready = { status: "True", reason: "", message: "Kubernetes Service CIDR is ready" };
const IN_USE: Ready = {
  status: "False",
  reason: "Terminating",
  message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
};

/** Says when addresses may be taken from a ServiceCIDR, and lets one go when no Service loses its address. */
export function createServiceCidrController(deps: ControllerDeps): Controller {
  const { client, informers, clock, recorder } = deps;
  const cidrs = informers.informer(ServiceCIDR).lister;
  const addresses = informers.informer(IPAddress).lister;
  const leaving = (): ServiceCIDR[] => cidrs.list().filter(({ metadata }) => metadata.deletionTimestamp !== undefined);

  async function patch(name: string, metadata: Record<string, unknown>, signal: AbortSignal): Promise<void> {
    try {
      await client.patch(ServiceCIDR, { name }, "strategic", { metadata }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async function report(cidr: ServiceCIDR, ready: Ready, signal: AbortSignal): Promise<void> {
    const known = cidr.status?.conditions?.find(({ type }) => type === "Ready");
    if (
      known?.status === ready.status &&
      (known.reason ?? "") === ready.reason &&
      (known.message ?? "") === ready.message
    )
      return;
    const { name = "" } = cidr.metadata;
    const condition = { type: "Ready", ...ready, lastTransitionTime: timestamp(clock.now()) };
    await client.patch(
      ServiceCIDR,
      { name },
      "apply",
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "ServiceCIDR",
        metadata: { name },
        status: { conditions: [condition] },
      },
      { subresource: "status", fieldManager: MANAGER, force: true, signal },
    );
  }

  return defineController<ServiceCIDR>(deps, {
    name: "service-cidr",
    for: ServiceCIDR,
    watches: [
      mapped(IPAddress, ({ metadata }) => cidrsWith(metadata.name ?? "", leaving())),
      mapped(ServiceCIDR, (cidr) =>
        leaving()
          .filter((other) => overlaps(cidr, other))
          .map(({ metadata }) => metadata.name ?? ""),
      ),
    ],
    async reconcile(name, { signal }) {
      const cidr = cidrs.byKey(name);
      if (cidr === undefined) return done;
      const { deletionTimestamp, finalizers = [] } = cidr.metadata;
      if (deletionTimestamp !== undefined) {
        if (!mayGo(cidr, cidrs.list(), addresses.list())) {
          await report(cidr, IN_USE, signal);
          return done;
        }
        const leftMs = (instantOf(deletionTimestamp) ?? 0) + GRACE_MS - clock.now();
        if (leftMs > 0) return requeueAfter(leftMs);
        if (finalizers.includes(FINALIZER))
          await patch(name, { "$deleteFromPrimitiveList/finalizers": [FINALIZER] }, signal);
        return done;
      }
      if (!finalizers.includes(FINALIZER)) await patch(name, { finalizers: [FINALIZER] }, signal);
      try {
        await report(cidr, READY, signal);
      } catch (error) {
        const message = "The ServiceCIDR Status can not be set to Ready=True";
        recorder.event(referenceTo(ServiceCIDR, cidr), "Warning", "KubernetesServiceCIDRError", message);
        throw error;
      }
      return done;
    },
  });
}
