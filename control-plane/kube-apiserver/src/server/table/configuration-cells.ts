import type { Json } from "@coracle/apimachinery";
import type { ApiObject } from "../../registry/resource-definition.ts";
import {
  NONE,
  UNSET,
  age,
  at,
  condition,
  count,
  list,
  nameOf,
  orText,
  selector,
  simple,
  size,
  strings,
  text,
  type CellsOf,
} from "./cell-values.ts";
import { age as ageOf } from "./duration.ts";

const UNKNOWN = "<unknown>";
const MIGRATION_STATES: ReadonlySet<string> = new Set(["Running", "Failed", "Succeeded"]);
const isTrue = (path: string) => (object: ApiObject) => at(object, path) === true;

/** What an autoscaler's metric says of one target: percent, an average, or a value. */
function metricTarget(target: unknown, current: unknown, isResource: boolean): string {
  const average = text(at(target, "averageValue"));
  if (average !== "") {
    const now = orText(at(current, "averageValue"), UNKNOWN);
    return isResource ? `${now}/${average}` : `${now}/${average} (avg)`;
  }
  if (!isResource) return `${orText(at(current, "value"), UNKNOWN)}/${text(at(target, "value"))}`;
  const wanted = at(target, "averageUtilization");
  const used = at(current, "averageUtilization");
  return `${typeof used === "number" ? `${used}%` : UNKNOWN}/${typeof wanted === "number" ? `${wanted}%` : "<auto>"}`;
}

function metricText(spec: Record<string, unknown>, status: Record<string, unknown> | undefined): string {
  const type = text(spec["type"]);
  const member = `${type.charAt(0).toLowerCase()}${type.slice(1)}`;
  const target = at(spec, `${member}.target`);
  const current = at(status, `${member}.current`);
  switch (type) {
    case "Resource":
    case "ContainerResource":
      return `${text(at(spec, `${member}.name`))}: ${metricTarget(target, current, true)}`;
    case "Pods":
      return `${orText(at(current, "averageValue"), UNKNOWN)}/${text(at(target, "averageValue"))}`;
    case "Object":
    case "External":
      return metricTarget(target, current, false);
    default:
      return "<unknown type>";
  }
}

const SHOWN_METRICS = 2;

/** The older version says the same in other members: one target for the processor. */
function metricsOf(object: ApiObject): string[] {
  const states = list(at(object, "status.currentMetrics"));
  const specs = list(at(object, "spec.metrics"));
  if (specs.length > 0) return specs.map((spec, i) => metricText(spec, states[i]));
  const wanted = at(object, "spec.targetCPUUtilizationPercentage");
  if (typeof wanted !== "number") return [];
  const used = at(object, "status.currentCPUUtilizationPercentage");
  return [`cpu: ${typeof used === "number" ? `${used}%` : UNKNOWN}/${wanted}%`];
}

function targets(object: ApiObject): string {
  const metrics = metricsOf(object);
  if (metrics.length === 0) return NONE;
  const rest = metrics.length - SHOWN_METRICS;
  return rest > 0 ? `${metrics.slice(0, SHOWN_METRICS).join(", ")} + ${rest} more...` : metrics.join(", ");
}

const autoscalerCells = simple(
  (object) => `${text(at(object, "spec.scaleTargetRef.kind"))}/${text(at(object, "spec.scaleTargetRef.name"))}`,
  targets,
  (object) => orText(at(object, "spec.minReplicas"), UNSET),
  (object) => count(at(object, "spec.maxReplicas")),
  (object) => count(at(object, "status.currentReplicas")),
);

const webhookCells = simple((object) => size(at(object, "webhooks")));

function paramKind(object: ApiObject): string {
  const kind = at(object, "spec.paramKind");
  return kind === undefined ? UNSET : `${text(at(kind, "apiVersion"))}/${text(at(kind, "kind"))}`;
}

function paramRef(object: ApiObject): string {
  const reference = at(object, "spec.paramRef");
  if (reference === undefined) return UNSET;
  const name = text(at(reference, "name"));
  if (name !== "") return `${orText(at(reference, "namespace"), "*")}/${name}`;
  return at(reference, "selector") === undefined ? UNSET : selector(at(reference, "selector"));
}

function ingressClassParameters(object: ApiObject): string {
  const parameters = at(object, "spec.parameters");
  if (parameters === undefined) return NONE;
  const group = text(at(parameters, "apiGroup"));
  return `${text(at(parameters, "kind"))}${group === "" ? "" : `.${group}`}/${text(at(parameters, "name"))}`;
}

function parentRef(object: ApiObject): string {
  const parent = at(object, "spec.parentRef");
  if (parent === undefined) return NONE;
  const parts = ["group", "namespace", "name"].map((part) => text(at(parent, part)));
  const resource = text(at(parent, "resource")).toLowerCase();
  const [group = "", ...rest] = parts;
  return [group === "" ? resource : `${resource}.${group}`, ...rest.filter((part) => part !== "")].join("/");
}

function driverCells(object: ApiObject, now: number): readonly Json[] {
  const requests = at(object, "spec.tokenRequests");
  return [
    nameOf(object),
    at(object, "spec.attachRequired") !== false,
    isTrue("spec.podInfoOnMount")(object),
    isTrue("spec.storageCapacity")(object),
    requests === undefined
      ? UNSET
      : list(requests)
          .map((request) => text(request["audience"]))
          .join(","),
    isTrue("spec.requiresRepublish")(object),
    strings(at(object, "spec.volumeLifecycleModes")).join(",") || NONE,
    age(object, now),
  ];
}

function available(object: ApiObject): string {
  const state = condition(object, "Available");
  const status = orText(state?.["status"], "Unknown");
  return status === "True" ? status : `${status} (${text(state?.["reason"])})`;
}

function claimState(object: ApiObject): string {
  const states: string[] = [];
  const isLeaving = object.metadata["deletionTimestamp"] !== undefined;
  if (isLeaving) states.push("deleted");
  if (at(object, "status.allocation") !== undefined) {
    states.push("allocated");
    if (size(at(object, "status.reservedFor")) > 0) states.push("reserved");
  } else if (!isLeaving) states.push("pending");
  return states.join(",");
}

function flowSchemaCells(object: ApiObject, now: number): readonly Json[] {
  return [
    nameOf(object),
    text(at(object, "spec.priorityLevelConfiguration.name")),
    count(at(object, "spec.matchingPrecedence")),
    orText(at(object, "spec.distinguisherMethod.type"), NONE),
    age(object, now),
    orText(condition(object, "Dangling")?.["status"], "?"),
  ];
}

const numberOrNone = (path: string) => (object: ApiObject) => {
  const value = at(object, path);
  return typeof value === "number" ? value : NONE;
};

/** Rows of the kinds that configure the cluster: autoscaling, admission, flow control, storage, devices. */
export const configurationCells: Readonly<Record<string, CellsOf>> = {
  "autoscaling/v1/Scale": simple(
    (object) => count(at(object, "spec.replicas")),
    (object) => count(at(object, "status.replicas")),
  ),
  "autoscaling/v1/horizontalpodautoscalers": autoscalerCells,
  "autoscaling/v2/horizontalpodautoscalers": autoscalerCells,
  "networking.k8s.io/v1/ingressclasses": simple("spec.controller", ingressClassParameters),
  // The age has no column of its own.
  "networking.k8s.io/v1/ipaddresses": simple(parentRef),
  "storage.k8s.io/v1/csidrivers": driverCells,
  "storage.k8s.io/v1/volumeattachments": simple(
    "spec.attacher",
    "spec.source.persistentVolumeName",
    "spec.nodeName",
    isTrue("status.attached"),
  ),
  "storage.k8s.io/v1/volumeattributesclasses": simple("driverName"),
  "flowcontrol.apiserver.k8s.io/v1/flowschemas": flowSchemaCells,
  "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations": simple(
    "spec.type",
    numberOrNone("spec.limited.nominalConcurrencyShares"),
    numberOrNone("spec.limited.limitResponse.queuing.queues"),
    numberOrNone("spec.limited.limitResponse.queuing.handSize"),
    numberOrNone("spec.limited.limitResponse.queuing.queueLengthLimit"),
  ),
  "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations": webhookCells,
  "admissionregistration.k8s.io/v1/validatingwebhookconfigurations": webhookCells,
  "admissionregistration.k8s.io/v1/validatingadmissionpolicies": simple(
    (object) => size(at(object, "spec.validations")),
    paramKind,
  ),
  "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings": simple("spec.policyName", paramRef),
  "apiregistration.k8s.io/v1/apiservices": simple((object) => {
    const service = at(object, "spec.service");
    return service === undefined || service === null
      ? "Local"
      : `${text(at(service, "namespace"))}/${text(at(service, "name"))}`;
  }, available),
  "resource.k8s.io/v1/deviceclasses": simple(),
  "resource.k8s.io/v1/resourceclaims": simple(claimState),
  "resource.k8s.io/v1/resourceclaimtemplates": simple(),
  "resource.k8s.io/v1/resourceslices": simple("spec.nodeName", "spec.driver", "spec.pool.name"),
  "certificates.k8s.io/v1beta1/clustertrustbundles": (object) => [
    nameOf(object),
    orText(at(object, "spec.signerName"), NONE),
  ],
  "resource.k8s.io/v1alpha3/devicetaintrules": simple(
    "spec.taint.key",
    "spec.taint.value",
    "spec.taint.effect",
    (object, now) => {
      const added = at(object, "spec.taint.timeAdded");
      return added === undefined ? "" : ageOf(added, now);
    },
  ),
  "storagemigration.k8s.io/v1beta1/storageversionmigrations": (object) => {
    const { group = "", resource = "" } = (at(object, "spec.resource") ?? {}) as Record<string, string | undefined>;
    const states = list(at(object, "status.conditions")).filter(
      ({ type, status }) => status === "True" && MIGRATION_STATES.has(text(type)),
    );
    return [
      nameOf(object),
      group === "" ? resource : `${resource}.${group}`,
      text(states.at(-1)?.["type"]) || "Unknown",
    ];
  },
};
