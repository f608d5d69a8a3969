import type { Json } from "@coracle/apimachinery";
import type { ApiObject } from "../../registry/resource-definition.ts";
import {
  NONE,
  UNSET,
  age,
  at,
  condition,
  count,
  cut,
  images,
  list,
  map,
  nameOf,
  names,
  orText,
  selector,
  simple,
  size,
  strings,
  text,
  type CellsOf,
} from "./cell-values.ts";
import { configurationCells } from "./configuration-cells.ts";
import { age as ageOf, humanDuration } from "./duration.ts";
import { podCells } from "./pod-cells.ts";

const createdAt: CellsOf = (object) => [nameOf(object), text(object.metadata["creationTimestamp"])];

function nodeCells(object: ApiObject, now: number): readonly Json[] {
  const ready = condition(object, "Ready");
  const status = ready === undefined ? "Unknown" : ready["status"] === "True" ? "Ready" : "NotReady";
  const roles = new Set<string>();
  for (const [key, value] of Object.entries((object.metadata["labels"] ?? {}) as Record<string, string>)) {
    if (key.startsWith("node-role.kubernetes.io/")) roles.add(key.slice("node-role.kubernetes.io/".length));
    else if (key === "kubernetes.io/role" && value !== "") roles.add(value);
  }
  const address = (type: string): string =>
    orText(list(at(object, "status.addresses")).find((one) => one["type"] === type)?.["address"], NONE);
  const info = (member: string): string => orText(at(object, `status.nodeInfo.${member}`), "<unknown>");
  return [
    nameOf(object),
    at(object, "spec.unschedulable") === true ? `${status},SchedulingDisabled` : status,
    [...roles].toSorted().join(",") || NONE,
    age(object, now),
    text(at(object, "status.nodeInfo.kubeletVersion")),
    address("InternalIP"),
    address("ExternalIP"),
    info("osImage"),
    info("kernelVersion"),
    info("containerRuntimeVersion"),
  ];
}

function balancerAddresses(object: ApiObject): string[] {
  const ingress = list(at(object, "status.loadBalancer.ingress"));
  return [...new Set(ingress.map((one) => text(one["ip"]) || text(one["hostname"])))]
    .filter((one) => one !== "")
    .toSorted();
}

function externalIp(object: ApiObject): string {
  const external = strings(at(object, "spec.externalIPs"));
  switch (at(object, "spec.type")) {
    case "ClusterIP":
    case "NodePort":
      return external.join(",") || NONE;
    case "LoadBalancer": {
      const all = [...balancerAddresses(object), ...external];
      return all.length === 0 ? "<pending>" : all.join(",");
    }
    case "ExternalName":
      return text(at(object, "spec.externalName"));
    default:
      return "<unknown>";
  }
}

function serviceCells(object: ApiObject, now: number): readonly Json[] {
  const ports = list(at(object, "spec.ports")).map((port) => {
    const nodePort = count(port["nodePort"]);
    return nodePort > 0
      ? `${text(port["port"])}:${nodePort}/${text(port["protocol"])}`
      : `${text(port["port"])}/${text(port["protocol"])}`;
  });
  return [
    nameOf(object),
    text(at(object, "spec.type")),
    strings(at(object, "spec.clusterIPs"))[0] || NONE,
    externalIp(object),
    ports.join(",") || NONE,
    age(object, now),
    map(at(object, "spec.selector")),
  ];
}

function jobStatus(object: ApiObject): string {
  const isTrue = (type: string): boolean => condition(object, type)?.["status"] === "True";
  if (isTrue("Complete")) return "Complete";
  if (isTrue("Failed")) return "Failed";
  if (object.metadata["deletionTimestamp"] !== undefined) return "Terminating";
  return ["Suspended", "FailureTarget", "SuccessCriteriaMet"].find(isTrue) ?? "Running";
}

function jobCells(object: ApiObject, now: number): readonly Json[] {
  const succeeded = count(at(object, "status.succeeded"));
  const completions = at(object, "spec.completions");
  const parallelism = count(at(object, "spec.parallelism"));
  const start = at(object, "status.startTime");
  const end = at(object, "status.completionTime");
  const duration =
    typeof start !== "string"
      ? ""
      : humanDuration((typeof end === "string" ? Date.parse(end) : now) - Date.parse(start));
  const template = at(object, "spec.template");
  return [
    nameOf(object),
    jobStatus(object),
    typeof completions === "number"
      ? `${succeeded}/${completions}`
      : parallelism > 1
        ? `${succeeded}/1 of ${parallelism}`
        : `${succeeded}/1`,
    duration,
    age(object, now),
    names(template),
    images(template),
    selector(at(object, "spec.selector")),
  ];
}

function cronJobCells(object: ApiObject, now: number): readonly Json[] {
  const last = at(object, "status.lastScheduleTime");
  const suspend = at(object, "spec.suspend");
  const template = at(object, "spec.jobTemplate.spec.template");
  return [
    nameOf(object),
    text(at(object, "spec.schedule")),
    orText(at(object, "spec.timeZone"), NONE),
    typeof suspend === "boolean" ? (suspend ? "True" : "False") : UNSET,
    size(at(object, "status.active")),
    typeof last === "string" ? ageOf(last, now) : NONE,
    age(object, now),
    names(template),
    images(template),
    selector(at(object, "spec.jobTemplate.spec.selector")),
  ];
}

function eventCells(object: ApiObject, now: number): readonly Json[] {
  const first = at(object, "firstTimestamp") ?? at(object, "deprecatedFirstTimestamp") ?? at(object, "eventTime");
  const last =
    at(object, "series.lastObservedTime") ??
    at(object, "lastTimestamp") ??
    at(object, "deprecatedLastTimestamp") ??
    first;
  const involved = at(object, "involvedObject") ?? at(object, "regarding");
  const target = text(at(involved, "name"));
  const kind = text(at(involved, "kind")).toLowerCase();
  const component = orText(
    at(object, "source.component") ?? at(object, "deprecatedSource.component"),
    text(at(object, "reportingComponent") ?? at(object, "reportingController")),
  );
  const host = orText(
    at(object, "source.host") ?? at(object, "deprecatedSource.host"),
    text(at(object, "reportingInstance")),
  );
  return [
    ageOf(last, now),
    text(at(object, "type")),
    text(at(object, "reason")),
    target === "" ? kind : `${kind}/${target}`,
    text(at(involved, "fieldPath")),
    host === "" ? component : `${component}, ${host}`,
    text(at(object, "message") ?? at(object, "note")).trim(),
    ageOf(first, now),
    count(at(object, "series.count")) || count(at(object, "count") ?? at(object, "deprecatedCount")) || 1,
    nameOf(object),
  ];
}

function endpointsCells(object: ApiObject, now: number): readonly Json[] {
  const pairs: string[] = [];
  for (const subset of list(at(object, "subsets"))) {
    const ports = list(subset["ports"]);
    for (const { ip } of list(subset["addresses"])) {
      const host = text(ip);
      if (ports.length === 0) pairs.push(host);
      for (const { port } of ports)
        pairs.push(host.includes(":") ? `[${host}]:${text(port)}` : `${host}:${text(port)}`);
    }
  }
  return [nameOf(object), cut(pairs, 3, NONE), age(object, now)];
}

function endpointSliceCells(object: ApiObject, now: number): readonly Json[] {
  const ports = list(at(object, "ports")).map((port) => text(port["port"]) || text(port["name"]) || "*");
  const addresses = list(at(object, "endpoints")).flatMap((endpoint) => strings(endpoint["addresses"]));
  return [
    nameOf(object),
    text(at(object, "addressType")),
    cut(ports, 3, UNSET),
    cut(addresses, 3, UNSET),
    age(object, now),
  ];
}

const MODES: readonly (readonly [string, string])[] = [
  ["ReadWriteOnce", "RWO"],
  ["ReadOnlyMany", "ROX"],
  ["ReadWriteMany", "RWX"],
  ["ReadWriteOncePod", "RWOP"],
];
const accessModes = (value: unknown): string =>
  MODES.filter(([mode]) => strings(value).includes(mode))
    .map(([, short]) => short)
    .join(",");
const phase = (object: ApiObject): string =>
  object.metadata["deletionTimestamp"] === undefined ? text(at(object, "status.phase")) : "Terminating";

function volumeCells(object: ApiObject, now: number): readonly Json[] {
  const claim = at(object, "spec.claimRef");
  return [
    nameOf(object),
    text(at(object, "spec.capacity.storage")),
    accessModes(at(object, "spec.accessModes")),
    text(at(object, "spec.persistentVolumeReclaimPolicy")),
    phase(object),
    claim === undefined ? "" : `${text(at(claim, "namespace"))}/${text(at(claim, "name"))}`,
    text(at(object, "spec.storageClassName")),
    orText(at(object, "spec.volumeAttributesClassName"), UNSET),
    text(at(object, "status.reason")),
    age(object, now),
    orText(at(object, "spec.volumeMode"), UNSET),
  ];
}

function claimCells(object: ApiObject, now: number): readonly Json[] {
  const volume = text(at(object, "spec.volumeName"));
  return [
    nameOf(object),
    phase(object),
    volume,
    volume === "" ? "" : text(at(object, "status.capacity.storage")),
    volume === "" ? "" : accessModes(at(object, "status.accessModes")),
    text(at(object, "spec.storageClassName")),
    orText(at(object, "spec.volumeAttributesClassName"), UNSET),
    age(object, now),
    orText(at(object, "spec.volumeMode"), UNSET),
  ];
}

function bindingCells(object: ApiObject, now: number): readonly Json[] {
  const subjects = list(at(object, "subjects"));
  const of = (kind: string, show: (subject: Record<string, unknown>) => string): string =>
    subjects
      .filter((one) => one["kind"] === kind)
      .map(show)
      .join(", ");
  const name = (subject: Record<string, unknown>): string => text(subject["name"]);
  return [
    nameOf(object),
    `${text(at(object, "roleRef.kind"))}/${text(at(object, "roleRef.name"))}`,
    age(object, now),
    of("User", name),
    of("Group", name),
    of("ServiceAccount", (subject) => `${text(subject["namespace"])}/${name(subject)}`),
  ];
}

/** Name, cells, age, then the workload's containers, images and selector. */
const workload =
  (...cells: readonly ((object: ApiObject) => Json)[]): CellsOf =>
  (object, now) => {
    const template = at(object, "spec.template");
    return [
      nameOf(object),
      ...cells.map((cell) => cell(object)),
      age(object, now),
      names(template),
      images(template),
      selector(at(object, "spec.selector")),
    ];
  };
const number = (path: string) => (object: ApiObject) => count(at(object, path));
const readyOf = (object: ApiObject): string =>
  `${count(at(object, "status.readyReplicas"))}/${count(at(object, "spec.replicas"))}`;

function leaseOrEmpty(object: ApiObject): string {
  return text(at(object, "spec.holderIdentity"));
}

function storageClassCells(object: ApiObject, now: number): readonly Json[] {
  const annotations = (object.metadata["annotations"] ?? {}) as Record<string, string>;
  const isDefault =
    annotations["storageclass.kubernetes.io/is-default-class"] === "true" ||
    annotations["storageclass.beta.kubernetes.io/is-default-class"] === "true";
  return [
    isDefault ? `${nameOf(object)} (default)` : nameOf(object),
    text(at(object, "provisioner")),
    orText(at(object, "reclaimPolicy"), "Delete"),
    orText(at(object, "volumeBindingMode"), "Immediate"),
    at(object, "allowVolumeExpansion") === true,
    age(object, now),
  ];
}

function ingressCells(object: ApiObject, now: number): readonly Json[] {
  const hosts = list(at(object, "spec.rules"))
    .map((rule) => text(rule["host"]))
    .filter((host) => host !== "");
  return [
    nameOf(object),
    orText(at(object, "spec.ingressClassName"), NONE),
    cut(hosts, 3, "*"),
    balancerAddresses(object).join(","),
    size(at(object, "spec.tls")) > 0 ? "80, 443" : "80",
    age(object, now),
  ];
}

function signingRequestCells(object: ApiObject, now: number): readonly Json[] {
  const has = (type: string): boolean => condition(object, type) !== undefined;
  const seconds = at(object, "spec.expirationSeconds");
  const state = has("Denied") ? "Denied" : has("Approved") ? "Approved" : "Pending";
  return [
    nameOf(object),
    age(object, now),
    orText(at(object, "spec.signerName"), NONE),
    text(at(object, "spec.username")),
    typeof seconds === "number" ? humanDuration(seconds * 1000) : NONE,
    `${state}${has("Failed") ? ",Failed" : ""}${text(at(object, "status.certificate")) === "" ? "" : ",Issued"}`,
  ];
}

function quotaCells(object: ApiObject, now: number): readonly Json[] {
  const hard = (at(object, "status.hard") ?? {}) as Record<string, string>;
  const used = (at(object, "status.used") ?? {}) as Record<string, string>;
  const show = (isLimit: boolean): string =>
    Object.keys(hard)
      .toSorted()
      .filter((key) => key.startsWith("limits.") === isLimit)
      .map((key) => `${key}: ${used[key] ?? "0"}/${hard[key]}`)
      .join(", ");
  return [nameOf(object), show(false), show(true), age(object, now)];
}

/** By resource: how its rows are computed, in the order of its columns. Kinds without an entry show name and creation time. */
export const CELLS: Readonly<Record<string, CellsOf>> = {
  "v1/pods": podCells,
  "v1/nodes": nodeCells,
  "v1/services": serviceCells,
  "v1/endpoints": endpointsCells,
  "v1/events": eventCells,
  "events.k8s.io/v1/events": eventCells,
  "v1/namespaces": simple("status.phase"),
  "v1/configmaps": simple((object) => size(at(object, "data")) + size(at(object, "binaryData"))),
  "v1/secrets": simple("type", (object) => size(at(object, "data"))),
  "v1/serviceaccounts": simple(),
  "v1/limitranges": createdAt,
  "v1/resourcequotas": quotaCells,
  "v1/persistentvolumes": volumeCells,
  "v1/persistentvolumeclaims": claimCells,
  "v1/podtemplates": (object) => [
    nameOf(object),
    names(at(object, "template")),
    images(at(object, "template")),
    map(at(object, "template.metadata.labels")),
  ],
  "v1/replicationcontrollers": (object, now) => [
    nameOf(object),
    count(at(object, "spec.replicas")),
    count(at(object, "status.replicas")),
    count(at(object, "status.readyReplicas")),
    age(object, now),
    names(at(object, "spec.template")),
    images(at(object, "spec.template")),
    map(at(object, "spec.selector")),
  ],
  "apps/v1/deployments": workload(readyOf, number("status.updatedReplicas"), number("status.availableReplicas")),
  "apps/v1/replicasets": workload(number("spec.replicas"), number("status.replicas"), number("status.readyReplicas")),
  "apps/v1/statefulsets": (object, now) => workload(readyOf)(object, now).slice(0, 5),
  "apps/v1/daemonsets": workload(
    number("status.desiredNumberScheduled"),
    number("status.currentNumberScheduled"),
    number("status.numberReady"),
    number("status.updatedNumberScheduled"),
    number("status.numberAvailable"),
    (object) => map(at(object, "spec.template.spec.nodeSelector")),
  ),
  "apps/v1/controllerrevisions": simple(
    (object) => {
      const owner = list(object.metadata["ownerReferences"]).find((one) => one["controller"] === true);
      if (owner === undefined) return NONE;
      const group = text(owner["apiVersion"]).split("/").slice(0, -1).join("");
      return `${text(owner["kind"]).toLowerCase()}${group === "" ? "" : `.${group}`}/${text(owner["name"])}`;
    },
    (object) => count(at(object, "revision")),
  ),
  "batch/v1/jobs": jobCells,
  "batch/v1/cronjobs": cronJobCells,
  "discovery.k8s.io/v1/endpointslices": endpointSliceCells,
  "coordination.k8s.io/v1/leases": simple(leaseOrEmpty),
  "rbac.authorization.k8s.io/v1/clusterrolebindings": bindingCells,
  "rbac.authorization.k8s.io/v1/rolebindings": bindingCells,
  "rbac.authorization.k8s.io/v1/clusterroles": createdAt,
  "rbac.authorization.k8s.io/v1/roles": createdAt,
  "networking.k8s.io/v1/ingresses": ingressCells,
  "networking.k8s.io/v1/networkpolicies": simple((object) => selector(at(object, "spec.podSelector"))),
  "networking.k8s.io/v1/servicecidrs": simple((object) => strings(at(object, "spec.cidrs")).join(",")),
  "node.k8s.io/v1/runtimeclasses": simple("handler"),
  "policy/v1/poddisruptionbudgets": simple(
    (object) => orText(at(object, "spec.minAvailable"), "N/A"),
    (object) => orText(at(object, "spec.maxUnavailable"), "N/A"),
    number("status.disruptionsAllowed"),
  ),
  "scheduling.k8s.io/v1/priorityclasses": (object, now) => [
    nameOf(object),
    count(at(object, "value")),
    at(object, "globalDefault") === true,
    age(object, now),
    text(at(object, "preemptionPolicy")),
  ],
  "storage.k8s.io/v1/storageclasses": storageClassCells,
  "v1/componentstatuses": (object) => {
    const healthy = list(at(object, "conditions")).find((condition) => at(condition, "type") === "Healthy");
    const status = healthy === undefined ? "Unknown" : at(healthy, "status") === "True" ? "Healthy" : "Unhealthy";
    return [nameOf(object), status, text(at(healthy, "message")), text(at(healthy, "error"))];
  },
  "storage.k8s.io/v1/csinodes": simple((object) => size(at(object, "spec.drivers"))),
  "certificates.k8s.io/v1/certificatesigningrequests": signingRequestCells,
  "apiextensions.k8s.io/v1/customresourcedefinitions": createdAt,
  ...configurationCells,
};
