import type { Service, ServicePort, ServiceSpec } from "@coracle/api/core/v1";
import {
  duplicate,
  forbiddenField,
  invalidValue,
  parseLegacyCidr,
  notSupported,
  required,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { oneOf, portNumberOrName, pushInvalid, requiredOneOf } from "../validation/field-values.ts";
import { dns1123Label, dns1123Subdomain, portNumber, qualifiedName, nameIsDns1035Label } from "../validation/names.ts";
import { validateLabels } from "../validation/object-meta.ts";
import { objectIn, objectsIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import { validateNonSpecialIp } from "./endpoints.ts";
import { dropTypeFields, isExternal, keepAllocations, normalizeClusterIps } from "./service-changes.ts";
import {
  checkClusterIpChange,
  checkClusterIpFields,
  checkClusterIpType,
  isHeadlessSpec,
} from "./service-cluster-ips.ts";

const TYPES = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const AFFINITIES = ["ClientIP", "None"];
const DISTRIBUTIONS = ["PreferClose", "PreferSameZone", "PreferSameNode"];
const MAX_AFFINITY_SECONDS = 86_400;

function defaults(draft: ApiDraft): void {
  setDefault(draft, "spec", {});
  const spec = objectIn(draft, "spec");
  if (spec === undefined) return;
  setDefaultText(spec, "sessionAffinity", "None");
  if (spec["sessionAffinity"] === "None") delete spec["sessionAffinityConfig"];
  if (spec["sessionAffinity"] === "ClientIP") {
    setDefault(spec, "sessionAffinityConfig", {});
    const config = objectIn(spec, "sessionAffinityConfig") as Draft;
    setDefault(config, "clientIP", {});
    const client = objectIn(config, "clientIP");
    if (client !== undefined) setDefault(client, "timeoutSeconds", 10_800);
  }
  setDefaultText(spec, "type", "ClusterIP");
  for (const port of objectsIn(spec, "ports")) {
    setDefaultText(port, "protocol", "TCP");
    if (port["targetPort"] === undefined || port["targetPort"] === 0 || port["targetPort"] === "")
      port["targetPort"] = port["port"] ?? 0;
  }
  if (isExternal(spec)) setDefaultText(spec, "externalTrafficPolicy", "Cluster");
  if (spec["type"] !== "ExternalName" && TYPES.includes(spec["type"] as string))
    setDefaultText(spec, "internalTrafficPolicy", "Cluster");
  if (spec["type"] !== "LoadBalancer") return;
  setDefault(spec, "allocateLoadBalancerNodePorts", true);
  for (const address of objectsIn(objectIn(objectIn(draft, "status"), "loadBalancer"), "ingress"))
    if (text(address["ip"] as string | undefined) !== "") setDefault(address, "ipMode", "VIP");
}

function validatePorts(errors: FieldError[], spec: Decoded<ServiceSpec>): void {
  const ports = spec.ports ?? [];
  if (ports.length === 0 && !isHeadlessSpec(spec) && spec.type !== "ExternalName") errors.push(required("spec.ports"));
  const names = new Set<string>();
  ports.forEach((port, i) => {
    const path = `spec.ports[${i}]`;
    const name = text(port.name);
    if (name === "") {
      if (ports.length > 1) errors.push(required(`${path}.name`));
    } else {
      pushInvalid(errors, `${path}.name`, name, dns1123Label(name));
      if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
      names.add(name);
    }
    const number = port.port ?? 0;
    pushInvalid(errors, `${path}.port`, number, portNumber(number));
    requiredOneOf(errors, `${path}.protocol`, port.protocol, ["SCTP", "TCP", "UDP"]);
    portNumberOrName(errors, `${path}.targetPort`, port.targetPort);
    if (port.appProtocol !== undefined)
      pushInvalid(errors, `${path}.appProtocol`, port.appProtocol, qualifiedName(port.appProtocol));
  });
}

/** Ports of nodes are for some types only, and given once. */
function validateNodePorts(errors: FieldError[], spec: Decoded<ServiceSpec>): void {
  const ports = spec.ports ?? [];
  ports.forEach((port, i) => {
    if (spec.type === "ClusterIP" && (port.nodePort ?? 0) !== 0)
      errors.push(forbiddenField(`spec.ports[${i}].nodePort`, "may not be used when `type` is 'ClusterIP'"));
  });
  validatePortsOnce(errors, ports);
}

/** A port of a protocol is given once, on the service and on nodes. */
function validatePortsOnce(errors: FieldError[], ports: readonly Decoded<ServicePort>[]): void {
  const nodePorts = new Set<string>();
  ports.forEach(({ protocol, nodePort = 0 }, i) => {
    const key = `${text(protocol)}/${nodePort}`;
    if (nodePort !== 0 && nodePorts.has(key)) errors.push(duplicate(`spec.ports[${i}].nodePort`, nodePort));
    nodePorts.add(key);
  });
  const keys = new Set<string>();
  ports.forEach(({ protocol, port = 0 }, i) => {
    const key = `${text(protocol)}/${port}`;
    // What is compared is all that is told, in Go's form.
    const told = { Name: "", Protocol: text(protocol), AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 };
    if (keys.has(key)) errors.push(duplicate(`spec.ports[${i}]`, told));
    keys.add(key);
  });
}

function validateTraffic(errors: FieldError[], spec: Decoded<ServiceSpec>): void {
  const external = spec.externalTrafficPolicy;
  if (isExternal(spec as unknown as Draft)) {
    if (external === undefined) errors.push(required("spec.externalTrafficPolicy"));
    else oneOf(errors, "spec.externalTrafficPolicy", external, ["Cluster", "Local"]);
  } else if (external !== undefined && external !== "") {
    errors.push(
      invalidValue("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services"),
    );
  }
  if (spec.internalTrafficPolicy !== undefined)
    oneOf(errors, "spec.internalTrafficPolicy", spec.internalTrafficPolicy, ["Cluster", "Local"]);
  const health = spec.healthCheckNodePort ?? 0;
  if (health !== 0) {
    if (!(spec.type === "LoadBalancer" && external === "Local"))
      errors.push(
        invalidValue(
          "spec.healthCheckNodePort",
          health,
          "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
      );
    else pushInvalid(errors, "spec.healthCheckNodePort", health, portNumber(health));
  }
}

function validateLoadBalancer(errors: FieldError[], spec: Decoded<ServiceSpec>): void {
  const ranges = spec.loadBalancerSourceRanges ?? [];
  if (ranges.length > 0 && spec.type !== "LoadBalancer")
    errors.push(forbiddenField("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'"));
  ranges.forEach((range, i) => {
    if (parseLegacyCidr(range.trim()) === undefined)
      errors.push(
        invalidValue(
          `spec.LoadBalancerSourceRanges[${i}]`,
          range.trim(),
          "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ),
      );
  });
  if (spec.type === "LoadBalancer") {
    if (spec.allocateLoadBalancerNodePorts === undefined) errors.push(required("spec.allocateLoadBalancerNodePorts"));
    if (spec.loadBalancerClass !== undefined)
      pushInvalid(errors, "spec.loadBalancerClass", spec.loadBalancerClass, qualifiedName(spec.loadBalancerClass));
  } else {
    if (spec.allocateLoadBalancerNodePorts !== undefined)
      errors.push(
        forbiddenField("spec.allocateLoadBalancerNodePorts", "may only be used when `type` is 'LoadBalancer'"),
      );
    if (spec.loadBalancerClass !== undefined)
      errors.push(forbiddenField("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'"));
  }
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<Service>(object).spec ?? {};
  validatePorts(errors, spec);
  errors.push(...checkClusterIpType(spec));
  if (spec.type === "ExternalName") {
    const name = text(spec.externalName).replace(/\.$/, "");
    if (text(spec.externalName) === "") errors.push(required("spec.externalName"));
    else pushInvalid(errors, "spec.externalName", spec.externalName, dns1123Subdomain(name));
  }
  validateLabels(errors, "spec.selector", spec.selector);
  requiredOneOf(errors, "spec.sessionAffinity", spec.sessionAffinity, AFFINITIES);
  if (spec.sessionAffinity === "ClientIP") {
    const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds;
    if (seconds === undefined || seconds <= 0 || seconds > MAX_AFFINITY_SECONDS)
      errors.push(
        invalidValue(
          "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
          seconds,
          `must be greater than 0 and less than ${MAX_AFFINITY_SECONDS}`,
        ),
      );
  } else if (spec.sessionAffinityConfig !== undefined)
    errors.push(forbiddenField("spec.sessionAffinityConfig", "must not be set when session affinity is None"));
  errors.push(...checkClusterIpFields(spec, undefined));
  spec.externalIPs?.forEach((ip, i) => validateNonSpecialIp(errors, `spec.externalIPs[${i}]`, ip));
  if (text(spec.type) === "") errors.push(required("spec.type"));
  else if (!TYPES.includes(text(spec.type))) errors.push(notSupported("spec.type", spec.type, TYPES));
  validateNodePorts(errors, spec);
  validateLoadBalancer(errors, spec);
  validateTraffic(errors, spec);
  if (spec.trafficDistribution !== undefined)
    oneOf(errors, "spec.trafficDistribution", spec.trafficDistribution, DISTRIBUTIONS);
  return errors;
}

export const service: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "services",
  kind: "Service",
  allowCreateOnUpdate: true,
  defaults,
  prepareForCreate(draft) {
    draft["status"] = { loadBalancer: {} };
    normalizeClusterIps(draft["spec"] as Draft);
  },
  validateName: nameIsDns1035Label,
  validate,
  update: {
    prepare(draft, old) {
      keepStatus(draft, old);
      const spec = draft["spec"] as Draft;
      const before = old["spec"] as unknown as Draft;
      keepAllocations(spec, before);
      normalizeClusterIps(spec, before);
      dropTypeFields(spec, before);
    },
    validate(object, old) {
      const errors: FieldError[] = [];
      const spec = as<Service>(object).spec ?? {};
      const before = as<Service>(old).spec ?? {};
      // Addresses that are wrong by themselves are told alone.
      if (checkClusterIpFields(spec, before).length === 0) errors.push(...checkClusterIpChange(spec, before));
      if (
        spec.type === "LoadBalancer" &&
        before.type === "LoadBalancer" &&
        spec.loadBalancerClass !== before.loadBalancerClass
      )
        errors.push(invalidValue("spec.loadBalancerClass", spec.loadBalancerClass, "may not change once set"));
      const checksHealth = (s: Decoded<ServiceSpec>): boolean =>
        s.type === "LoadBalancer" && s.externalTrafficPolicy === "Local";
      if (checksHealth(spec) && checksHealth(before) && spec.healthCheckNodePort !== before.healthCheckNodePort)
        errors.push(forbiddenField("spec.healthCheckNodePort", "field is immutable"));
      return errors;
    },
  },
  subresources: { status: statusUpdate },
  selectableFields: {
    "spec.clusterIP": (o) => text(as<Service>(o).spec?.clusterIP),
    "spec.type": (o) => text(as<Service>(o).spec?.type),
  },
};
