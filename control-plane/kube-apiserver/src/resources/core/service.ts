import type { Service, ServiceSpec } from "@coracle/api/core/v1";
import { isIP } from "node:net";
import {
  duplicate,
  forbiddenField,
  invalidValue,
  isCidr,
  notSupported,
  required,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { oneOf, portNumberOrName, pushInvalid, requiredOneOf } from "../validation/field-values.ts";
import { dns1123Label, dns1123Subdomain, portNumber, qualifiedName, nameIsDns1035Label } from "../validation/names.ts";
import { validateImmutable, validateLabels } from "../validation/object-meta.ts";
import { objectIn, objectsIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import { validateNonSpecialIp } from "./endpoints.ts";

const TYPES = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const AFFINITIES = ["ClientIP", "None"];
const MAX_AFFINITY_SECONDS = 86_400;

const isExternal = (spec: Decoded<ServiceSpec>): boolean =>
  spec.type === "NodePort" ||
  spec.type === "LoadBalancer" ||
  (spec.type === "ClusterIP" && (spec.externalIPs?.length ?? 0) > 0);
const isHeadless = (spec: Decoded<ServiceSpec>): boolean =>
  spec.clusterIP === "None" || spec.clusterIPs?.[0] === "None";

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
  if (isExternal(as<ServiceSpec>(spec))) setDefaultText(spec, "externalTrafficPolicy", "Cluster");
  if (spec["type"] !== "ExternalName" && TYPES.includes(spec["type"] as string))
    setDefaultText(spec, "internalTrafficPolicy", "Cluster");
  if (spec["type"] === "LoadBalancer") setDefault(spec, "allocateLoadBalancerNodePorts", true);
}

/** `clusterIP` is the first of `clusterIPs`; whichever is given gives the other. */
function normalizeClusterIps(spec: Draft, old?: Draft): void {
  const ip = typeof spec["clusterIP"] === "string" ? spec["clusterIP"] : "";
  const ips = Array.isArray(spec["clusterIPs"]) ? (spec["clusterIPs"] as string[]) : [];
  if (old === undefined) {
    if (ip !== "" && ips.length === 0) spec["clusterIPs"] = [ip];
    return;
  }
  const oldIp = typeof old["clusterIP"] === "string" ? old["clusterIP"] : "";
  const oldIps = Array.isArray(old["clusterIPs"]) ? (old["clusterIPs"] as string[]) : [];
  if (oldIp === ip) return;
  if (oldIp === "" && ips.length === 0) spec["clusterIPs"] = [ip];
  else if (ip === "" && ips.join() === oldIps.join()) delete spec["clusterIPs"];
  else if (ip !== "" && (ips.length === 0 || ips.join() === oldIps.join())) spec["clusterIPs"] = [ip];
}

/** What was allocated stays unless the update says otherwise. */
function keepAllocations(spec: Draft, old: Draft): void {
  const hasIp = (type: unknown): boolean => type === "ClusterIP" || type === "NodePort" || type === "LoadBalancer";
  if (hasIp(spec["type"]) && hasIp(old["type"])) {
    if ((spec["clusterIP"] ?? "") === "" && old["clusterIP"] !== undefined) {
      spec["clusterIP"] = old["clusterIP"];
      if (((spec["clusterIPs"] as unknown[] | undefined)?.length ?? 0) === 0) spec["clusterIPs"] = old["clusterIPs"];
    }
  }
  const hasPorts = (type: unknown): boolean => type === "NodePort" || type === "LoadBalancer";
  if (hasPorts(spec["type"]) && hasPorts(old["type"])) {
    const used = new Set(objectsIn(spec, "ports").map((p) => p["nodePort"]));
    for (const port of objectsIn(spec, "ports")) {
      if ((port["nodePort"] ?? 0) !== 0) continue;
      const match = objectsIn(old, "ports").find(
        (p) => p["port"] === port["port"] && p["protocol"] === port["protocol"],
      );
      if (match !== undefined && !used.has(match["nodePort"]) && match["nodePort"] !== undefined) {
        port["nodePort"] = match["nodePort"];
        used.add(match["nodePort"]);
      }
    }
  }
  const health = (s: Draft): boolean => s["type"] === "LoadBalancer" && s["externalTrafficPolicy"] === "Local";
  if (health(spec) && health(old) && (spec["healthCheckNodePort"] ?? 0) === 0)
    spec["healthCheckNodePort"] = old["healthCheckNodePort"];
}

/** Fields that only the old type has go with it, unless the update changed them. */
function dropTypeFields(spec: Draft, old: Draft): void {
  const same = (field: string): boolean => JSON.stringify(spec[field]) === JSON.stringify(old[field]);
  const type = spec["type"];
  if (old["type"] !== "ExternalName" && type === "ExternalName") {
    for (const field of ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"])
      if (same(field)) delete spec[field];
  }
  const nodePorts = (t: unknown): boolean => t === "NodePort" || t === "LoadBalancer";
  if (nodePorts(old["type"]) && !nodePorts(type)) {
    const before = objectsIn(old, "ports");
    objectsIn(spec, "ports").forEach((port, i) => {
      if (port["nodePort"] === before[i]?.["nodePort"]) delete port["nodePort"];
    });
  }
  const wasLocal = old["type"] === "LoadBalancer" && old["externalTrafficPolicy"] === "Local";
  if (
    wasLocal &&
    !(type === "LoadBalancer" && spec["externalTrafficPolicy"] === "Local") &&
    same("healthCheckNodePort")
  )
    delete spec["healthCheckNodePort"];
  if (old["type"] === "LoadBalancer" && type !== "LoadBalancer") {
    for (const field of ["allocateLoadBalancerNodePorts", "loadBalancerClass"]) if (same(field)) delete spec[field];
  }
  if (isExternal(as<ServiceSpec>(old)) && !isExternal(as<ServiceSpec>(spec)) && same("externalTrafficPolicy"))
    delete spec["externalTrafficPolicy"];
}

function validatePorts(errors: FieldError[], spec: Decoded<ServiceSpec>): void {
  const ports = spec.ports ?? [];
  if (ports.length === 0 && !isHeadless(spec) && spec.type !== "ExternalName") errors.push(required("spec.ports"));
  const names = new Set<string>();
  const keys = new Set<string>();
  const nodePorts = new Set<string>();
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
    const key = `${text(port.protocol)}/${number}`;
    if (keys.has(key)) errors.push(duplicate(path, port));
    keys.add(key);
    const nodePort = port.nodePort ?? 0;
    if (nodePort === 0) return;
    if (spec.type === "ClusterIP")
      errors.push(forbiddenField(`${path}.nodePort`, "may not be used when `type` is 'ClusterIP'"));
    const nodeKey = `${text(port.protocol)}/${nodePort}`;
    if (nodePorts.has(nodeKey)) errors.push(duplicate(`${path}.nodePort`, nodePort));
    nodePorts.add(nodeKey);
  });
}

function validateClusterIps(errors: FieldError[], spec: Decoded<ServiceSpec>): void {
  const ips = spec.clusterIPs ?? [];
  if (spec.type === "ExternalName") {
    if (ips.length > 0 || text(spec.clusterIP) !== "")
      errors.push(forbiddenField("spec.clusterIPs", "may not be set for ExternalName services"));
    return;
  }
  if (ips.length > 0 && text(spec.clusterIP) !== ips[0])
    errors.push(invalidValue("spec.clusterIPs", ips, "first value must match `clusterIP`"));
  if ((spec.type === "NodePort" || spec.type === "LoadBalancer") && isHeadless(spec))
    errors.push(invalidValue("spec.clusterIPs[0]", "None", `may not be set to 'None' for ${spec.type} services`));
  ips.forEach((ip, i) => {
    if (i === 0 && ip === "None") {
      if (ips.length > 1) errors.push(invalidValue("spec.clusterIPs", ips, "'None' must be the first and only value"));
    } else if (isIP(ip) === 0)
      errors.push(
        invalidValue(`spec.clusterIPs[${i}]`, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
      );
  });
  if (ips.length > 2) errors.push(invalidValue("spec.clusterIPs", ips, "may only hold up to 2 values"));
  if (spec.ipFamilyPolicy !== undefined)
    oneOf(errors, "spec.ipFamilyPolicy", spec.ipFamilyPolicy, ["PreferDualStack", "RequireDualStack", "SingleStack"]);
  spec.ipFamilies?.forEach((family, i) => {
    oneOf(errors, `spec.ipFamilies[${i}]`, family, ["IPv4", "IPv6"]);
    if (spec.ipFamilies?.indexOf(family) !== i) errors.push(duplicate(`spec.ipFamilies[${i}]`, family));
  });
}

function validateTraffic(errors: FieldError[], spec: Decoded<ServiceSpec>): void {
  const external = spec.externalTrafficPolicy;
  if (isExternal(spec)) {
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
  else
    ranges.forEach((range, i) => {
      if (isCidr(range.trim()).length > 0)
        errors.push(
          invalidValue(
            `spec.LoadBalancerSourceRanges[${i}]`,
            range,
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
  validateClusterIps(errors, spec);
  spec.externalIPs?.forEach((ip, i) => validateNonSpecialIp(errors, `spec.externalIPs[${i}]`, ip));
  if (text(spec.type) === "") errors.push(required("spec.type"));
  else if (!TYPES.includes(text(spec.type))) errors.push(notSupported("spec.type", spec.type, TYPES));
  validateLoadBalancer(errors, spec);
  validateTraffic(errors, spec);
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
      // A cluster IP is forever, except for services that never had one.
      if (
        spec.type !== "ExternalName" &&
        before.type !== "ExternalName" &&
        text(before.clusterIP) !== "" &&
        spec.clusterIP !== before.clusterIP &&
        (spec.clusterIP === "None" || isIP(text(spec.clusterIP)) !== 0)
      )
        validateImmutable(errors, "spec.clusterIPs[0]", spec.clusterIP, before.clusterIP);
      if (spec.type === "LoadBalancer" && before.type === "LoadBalancer")
        validateImmutable(errors, "spec.loadBalancerClass", spec.loadBalancerClass, before.loadBalancerClass);
      return errors;
    },
  },
  subresources: { status: statusUpdate },
  selectableFields: {
    "spec.clusterIP": (o) => text(as<Service>(o).spec?.clusterIP),
    "spec.type": (o) => text(as<Service>(o).spec?.type),
  },
};
