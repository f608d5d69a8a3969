import { isObject, type JsonObject } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { HealthCheck } from "./health.ts";

const LEASES = { group: "coordination.k8s.io", version: "v1", plural: "leases" };
/** Component → the lease of its leader. */
const LEADERS = { "controller-manager": "kube-controller-manager", scheduler: "kube-scheduler" } as const;

const componentStatus = (name: string, fault: string | undefined): JsonObject => ({
  apiVersion: "v1",
  kind: "ComponentStatus",
  metadata: { name },
  conditions: [{ type: "Healthy", status: fault === undefined ? "True" : "False", message: fault ?? "ok" }],
});

/**
 * The deprecated ComponentStatuses, made when asked for. A controller manager or scheduler counts as healthy while its
 * leader renews its lease: it need not run on this machine, nor serve a port.
 */
export async function componentStatuses(deps: {
  readonly objects: RegistryReader;
  readonly clock: Clock;
  readonly checks: readonly HealthCheck[];
}): Promise<readonly JsonObject[]> {
  const { objects, clock, checks } = deps;
  const leaders = Object.entries(LEADERS).map(async ([name, lease]) => {
    const spec = (await objects.get(LEASES, "kube-system", lease))?.["spec"];
    return componentStatus(name, leaderFault(isObject(spec) ? spec : {}, clock.now()));
  });
  const etcd = async (): Promise<JsonObject> => {
    try {
      return componentStatus("etcd-0", await checks.find(({ name }) => name === "etcd")?.check());
    } catch (error) {
      return componentStatus("etcd-0", error instanceof Error ? error.message : String(error));
    }
  };
  return await Promise.all([...leaders, etcd()]);
}

/** Why the holder of a lease does not lead at `now` (epoch milliseconds); undefined when it does. */
export function leaderFault(spec: Readonly<Record<string, unknown>>, now: number): string | undefined {
  const { holderIdentity, renewTime, leaseDurationSeconds } = spec;
  if (typeof holderIdentity !== "string" || holderIdentity === "" || typeof renewTime !== "string")
    return "nobody leads";
  const until = Date.parse(renewTime) + Number(leaseDurationSeconds ?? 0) * 1000;
  return until > now ? undefined : `${holderIdentity} has not renewed its lease since ${renewTime}`;
}
