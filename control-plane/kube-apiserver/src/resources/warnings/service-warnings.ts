import type { LoadBalancerStatus, Service } from "@coracle/api/core/v1";
import type { ApiObject } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { warningsForCidr, warningsForIp } from "./address-warnings.ts";

const TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE = "service.kubernetes.io/topology-mode";

/** Old fields of a service, those that its type ignores, and addresses that are oddly written. */
export function warningsForService(object: ApiObject): string[] {
  const { metadata, spec = {} } = as<Service>(object);
  const out: string[] = [];
  if (metadata?.annotations?.[TOPOLOGY_HINTS] !== undefined)
    out.push(`annotation ${TOPOLOGY_HINTS} is deprecated, please use ${TOPOLOGY_MODE} instead`);
  const hasIps = spec.type !== "ExternalName" && text(spec.clusterIP) !== "" && spec.clusterIP !== "None";
  if (hasIps) spec.clusterIPs?.forEach((ip, i) => out.push(...warningsForIp(`spec.clusterIPs[${i}]`, ip)));
  if (spec.type === "ClusterIP" && spec.clusterIP === "None") {
    const ignored = (field: string): void => void out.push(`spec.${field} is ignored for headless services`);
    if (text(spec.loadBalancerIP) !== "") ignored("loadBalancerIP");
    if ((spec.externalIPs ?? []).length > 0) ignored("externalIPs");
    if (spec.sessionAffinity !== "None") ignored("SessionAffinity");
  }
  spec.externalIPs?.forEach((ip, i) => out.push(...warningsForIp(`spec.externalIPs[${i}]`, ip)));
  if (text(spec.loadBalancerIP) !== "") out.push(...warningsForIp("spec.loadBalancerIP", text(spec.loadBalancerIP)));
  spec.loadBalancerSourceRanges?.forEach((cidr, i) =>
    out.push(...warningsForCidr(`spec.loadBalancerSourceRanges[${i}]`, cidr)),
  );
  if (spec.type === "ExternalName" && (spec.externalIPs ?? []).length > 0)
    out.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  if (spec.type !== "ExternalName" && text(spec.externalName) !== "")
    out.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  if (spec.trafficDistribution === "PreferClose")
    out.push('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"');
  return out;
}

interface Balanced {
  readonly status?: { readonly loadBalancer?: Decoded<LoadBalancerStatus> | undefined } | undefined;
}

/** Addresses that a load balancer reports. */
export const ingressAddressWarnings = (object: ApiObject): string[] =>
  (as<Balanced>(object).status?.loadBalancer?.ingress ?? []).flatMap(({ ip }, i) =>
    text(ip) === "" ? [] : warningsForIp(`status.loadBalancer.ingress[${i}]`, text(ip)),
  );
