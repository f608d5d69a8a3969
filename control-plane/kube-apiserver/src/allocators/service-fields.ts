import { equalJson, isObject, type Draft } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";

/** A port of a Service. */
export type ServicePort = { name?: string; protocol?: string; port?: number; nodePort?: number };

export const specOf = (service: ApiDraft | ApiObject | undefined): Draft =>
  isObject(service?.spec) ? service.spec : {};
export const typeOf = (spec: Draft): string => (spec.type as string | undefined) ?? "ClusterIP";
export const portsOf = (spec: Draft): ServicePort[] => (spec.ports as ServicePort[] | undefined) ?? [];
export const clusterIpsOf = (spec: Draft): readonly string[] => {
  const list = spec.clusterIPs as string[] | undefined;
  if (list !== undefined && list.length > 0) return list;
  return typeof spec.clusterIP === "string" && spec.clusterIP !== "" ? [spec.clusterIP] : [];
};
export const isHeadless = (spec: Draft): boolean => clusterIpsOf(spec)[0] === "None";
export const needsClusterIp = (spec: Draft): boolean => typeOf(spec) !== "ExternalName";
export const needsNodePort = (spec: Draft): boolean =>
  typeOf(spec) === "NodePort" || (typeOf(spec) === "LoadBalancer" && spec.allocateLoadBalancerNodePorts !== false);
const mayHaveNodePort = (spec: Draft): boolean => typeOf(spec) === "NodePort" || typeOf(spec) === "LoadBalancer";
export const needsHealthPort = (spec: Draft): boolean =>
  typeOf(spec) === "LoadBalancer" && spec.externalTrafficPolicy === "Local";

/** All node ports of a service, the health check's among them. */
export function nodePortsOf(spec: Draft): Set<number> {
  const ports = portsOf(spec).map((port) => port.nodePort ?? 0);
  ports.push((spec.healthCheckNodePort as number | undefined) ?? 0);
  return new Set(ports.filter((port) => port !== 0));
}

/** Fills what an update left out and the old service has: addresses and ports that were given to it stay. */
export function keepAllocated(spec: Draft, old: Draft): void {
  if (needsClusterIp(old) && needsClusterIp(spec)) {
    const given = spec.clusterIP as string | undefined;
    if (given === undefined || given === "") {
      if (old.clusterIP !== undefined) spec.clusterIP = old.clusterIP;
      if (((spec.clusterIPs as unknown[] | undefined) ?? []).length === 0 && old.clusterIPs !== undefined) {
        spec.clusterIPs = old.clusterIPs;
      }
    } else if (given === old.clusterIP && ((spec.clusterIPs as unknown[] | undefined) ?? []).length === 0) {
      spec.clusterIPs = old.clusterIPs;
    }
    spec.ipFamilies ??= old.ipFamilies;
    spec.ipFamilyPolicy ??= old.ipFamilyPolicy;
  }
  if (needsNodePort(old) && needsNodePort(spec)) keepNodePorts(spec, old);
  if (needsHealthPort(old) && needsHealthPort(spec) && old.healthCheckNodePort !== undefined) {
    spec.healthCheckNodePort ||= old.healthCheckNodePort;
  }
}

function keepNodePorts(spec: Draft, old: Draft): void {
  const now = nodePortsOf(spec);
  const used = new Set([...nodePortsOf(old)].filter((port) => now.has(port)));
  const byName = new Map(portsOf(old).map((port) => [port.name ?? "", port.nodePort ?? 0]));
  for (const port of portsOf(spec)) {
    if ((port.nodePort ?? 0) !== 0) continue;
    const before = byName.get(port.name ?? "") ?? 0;
    if (before === 0 || used.has(before)) continue;
    port.nodePort = before;
    used.add(before);
  }
}

/** Clears what the new type of a service has no use for, unless the update itself set it. */
export function dropUnused(spec: Draft, old: Draft): void {
  if (needsClusterIp(old) && !needsClusterIp(spec) && equalJson(clusterIpsOf(spec), clusterIpsOf(old))) {
    for (const member of ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]) delete spec[member];
  }
  if (mayHaveNodePort(old) && !mayHaveNodePort(spec)) {
    const before = nodePortsOf(old);
    for (const port of portsOf(spec)) if (before.has(port.nodePort ?? 0)) delete port.nodePort;
  }
  if (needsHealthPort(old) && !needsHealthPort(spec) && spec.healthCheckNodePort === old.healthCheckNodePort) {
    delete spec.healthCheckNodePort;
  }
  if (typeOf(old) === "LoadBalancer" && typeOf(spec) !== "LoadBalancer") {
    for (const member of ["allocateLoadBalancerNodePorts", "loadBalancerClass"]) {
      if (equalJson(spec[member], old[member])) delete spec[member];
    }
  }
  if (
    mayHaveNodePort(old) &&
    !mayHaveNodePort(spec) &&
    ((spec.externalIPs as unknown[] | undefined) ?? []).length === 0
  ) {
    if (spec.externalTrafficPolicy === old.externalTrafficPolicy) delete spec.externalTrafficPolicy;
  }
}
