import { isObject, type Draft } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";

/** A port of a Service. */
export type ServicePort = { name?: string; protocol?: string; port?: number; nodePort?: number };

export const specOf = (service: ApiDraft | ApiObject | undefined): Draft =>
  isObject(service?.spec) ? service.spec : {};

export const typeOf = (spec: Draft): string => (spec["type"] as string | undefined) ?? "ClusterIP";

export const portsOf = (spec: Draft): ServicePort[] => (spec["ports"] as ServicePort[] | undefined) ?? [];

const textList = (value: unknown): readonly string[] => (Array.isArray(value) ? (value as string[]) : []);

export const familiesOf = (spec: Draft): readonly string[] => textList(spec["ipFamilies"]);

export const clusterIpsOf = (spec: Draft): readonly string[] => {
  const list = textList(spec["clusterIPs"]);
  if (list.length > 0) return list;
  return typeof spec["clusterIP"] === "string" && spec["clusterIP"] !== "" ? [spec["clusterIP"]] : [];
};

/** The cluster IPs that are addresses. */
export const addressesOf = (spec: Draft): readonly string[] =>
  needsClusterIp(spec) ? clusterIpsOf(spec).filter((ip) => ip !== "None") : [];

export const isHeadless = (spec: Draft): boolean => clusterIpsOf(spec)[0] === "None";

export const selectsNothing = (spec: Draft): boolean =>
  Object.keys((spec["selector"] as Draft | undefined) ?? {}).length === 0;

export const needsClusterIp = (spec: Draft): boolean => typeOf(spec) !== "ExternalName";

export const mayHaveNodePort = (spec: Draft): boolean => typeOf(spec) === "NodePort" || typeOf(spec) === "LoadBalancer";

export const needsNodePort = (spec: Draft): boolean =>
  typeOf(spec) === "NodePort" || (typeOf(spec) === "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] !== false);

export const needsHealthPort = (spec: Draft): boolean =>
  typeOf(spec) === "LoadBalancer" && spec["externalTrafficPolicy"] === "Local";

/** All node ports of a service, the health check's among them. */
export function nodePortsOf(spec: Draft): Set<number> {
  const ports = portsOf(spec).map((port) => port.nodePort ?? 0);
  ports.push((spec["healthCheckNodePort"] as number | undefined) ?? 0);
  return new Set(ports.filter((port) => port !== 0));
}
