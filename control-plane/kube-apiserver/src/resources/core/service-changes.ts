import { equalJson, type Draft } from "@coracle/apimachinery";
import {
  mayHaveNodePort,
  needsClusterIp,
  needsHealthPort,
  needsNodePort,
  portsOf,
  typeOf,
} from "../../allocators/service-fields.ts";

const ipOf = (spec: Draft): string => (typeof spec["clusterIP"] === "string" ? spec["clusterIP"] : "");
const ipsOf = (spec: Draft): readonly unknown[] => (Array.isArray(spec["clusterIPs"]) ? spec["clusterIPs"] : []);
const sameIps = (spec: Draft, old: Draft): boolean => equalJson(ipsOf(spec), ipsOf(old));

/** Whether anything outside the cluster reaches a Service. */
export const isExternal = (spec: Draft): boolean =>
  mayHaveNodePort(spec) ||
  (typeOf(spec) === "ClusterIP" && ((spec["externalIPs"] as unknown[] | undefined) ?? []).length > 0);

/** `clusterIP` is the first of `clusterIPs`; whichever is given gives the other. */
export function normalizeClusterIps(spec: Draft, old?: Draft): void {
  const ip = ipOf(spec);
  if (old === undefined) {
    if (ip !== "" && ipsOf(spec).length === 0) spec["clusterIPs"] = [ip];
    return;
  }
  const oldIp = ipOf(old);
  if (oldIp === ip) {
    if (ipsOf(old).length > 0 && ipsOf(spec).length === 0) spec["clusterIPs"] = [...ipsOf(old)] as string[];
    return;
  }
  if (oldIp !== "" && ip === "") {
    if (sameIps(spec, old)) delete spec["clusterIPs"];
  } else if (sameIps(spec, old)) spec["clusterIPs"] = [ip];
}

/** What was allocated stays unless the update says otherwise. */
export function keepAllocations(spec: Draft, old: Draft): void {
  if (needsClusterIp(old) && needsClusterIp(spec)) {
    if (ipOf(spec) === "" && ipOf(old) !== "") spec["clusterIP"] = ipOf(old);
    if (ipsOf(spec).length === 0 && ipsOf(old).length > 0) spec["clusterIPs"] = [...ipsOf(old)] as string[];
  }
  if (needsNodePort(old) && needsNodePort(spec)) keepNodePorts(spec, old);
  if (
    needsHealthPort(old) &&
    needsHealthPort(spec) &&
    ((spec["healthCheckNodePort"] as number | undefined) ?? 0) === 0
  ) {
    const port = (old["healthCheckNodePort"] as number | undefined) ?? 0;
    if (port !== 0) spec["healthCheckNodePort"] = port;
  }
}

const portNumbers = (spec: Draft): Set<number> =>
  new Set(
    portsOf(spec)
      .map(({ nodePort = 0 }) => nodePort)
      .filter((port) => port !== 0),
  );

/** By the ports' names, except for node ports that the update gives to another. */
function keepNodePorts(spec: Draft, old: Draft): void {
  const now = portNumbers(spec);
  const used = new Set([...portNumbers(old)].filter((port) => now.has(port)));
  const byName = new Map(portsOf(old).map((port) => [port.name ?? "", port.nodePort ?? 0]));
  for (const port of portsOf(spec)) {
    if ((port.nodePort ?? 0) !== 0) continue;
    const before = byName.get(port.name ?? "") ?? 0;
    if (before !== 0 && !used.has(before)) port.nodePort = before;
  }
}

/** Fields that only the old type has go with it, unless the update changed them. */
export function dropTypeFields(spec: Draft, old: Draft): void {
  const same = (field: string): boolean => equalJson(spec[field] ?? null, old[field] ?? null);
  if (needsClusterIp(old) && !needsClusterIp(spec)) {
    if (ipOf(spec) === ipOf(old) && sameIps(spec, old)) {
      delete spec["clusterIP"];
      delete spec["clusterIPs"];
    }
    for (const field of ["ipFamilies", "ipFamilyPolicy"]) if (same(field)) delete spec[field];
  }
  if (mayHaveNodePort(old) && !mayHaveNodePort(spec)) {
    const before = portNumbers(old);
    if ([...portNumbers(spec)].every((port) => before.has(port)))
      for (const port of portsOf(spec)) delete port.nodePort;
  }
  if (needsHealthPort(old) && !needsHealthPort(spec) && same("healthCheckNodePort")) delete spec["healthCheckNodePort"];
  if (typeOf(old) === "LoadBalancer" && typeOf(spec) !== "LoadBalancer")
    for (const field of ["allocateLoadBalancerNodePorts", "loadBalancerClass"]) if (same(field)) delete spec[field];
  if (isExternal(old) && !isExternal(spec) && same("externalTrafficPolicy")) delete spec["externalTrafficPolicy"];
}
