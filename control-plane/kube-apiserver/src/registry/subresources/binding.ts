import {
  badRequest,
  conflict,
  invalid,
  isObject,
  notFound,
  notSupported,
  required,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import { decodeAs, draftOf, settleNamespace } from "../decode.ts";
import { textOf } from "../json-text.ts";
import { formatTime } from "../object-meta.ts";
import type { Answer, RequestContext, WriteQuery } from "../registry.ts";
import { admit, answerObject, resourceOf, type ResourceCore } from "../resource-core.ts";
import type { ApiDraft, ApiObject } from "../resource-definition.ts";

const BINDING = { group: "", version: "v1", kind: "Binding" } as const;
const MAX_TRIES = 8;

/** What a create answers that stores nothing of its own. */
export const createdStatus = (): Answer =>
  answerObject({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 }, true);

/** Assigns a pod to a node: the body of `pods/binding` and `bindings`. `name`: undefined for the latter. */
export async function bindPod(
  pods: ResourceCore,
  context: RequestContext,
  namespace: string,
  name: string | undefined,
  body: Draft,
  query: WriteQuery,
): Promise<Answer> {
  const binding = decodeAs(pods.schema, BINDING, body, query.fieldValidation, context) as ApiDraft;
  if (!isObject(binding.metadata)) binding.metadata = {};
  settleNamespace(pods, binding, namespace);
  const podName = name ?? textOf(binding.metadata.name);
  if (name !== undefined && textOf(binding.metadata.name) !== name) {
    throw badRequest("name in URL does not match name in Binding object");
  }
  const call = {
    operation: "CREATE",
    subresource: "binding",
    namespace,
    name: podName,
    object: binding,
    oldObject: undefined,
    options: undefined,
    isDryRun: query.dryRun,
    kind: "Binding",
    context,
  } as const;
  const admitting = admit(pods, "admit", call);
  if (admitting !== undefined) await admitting;
  checkTarget(binding, podName);
  const validating = admit(pods, "validate", call);
  if (validating !== undefined) await validating;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const previous = pods.storage.get(namespace, podName);
    if (previous === undefined) throw notFound(resourceOf(pods), podName);
    const draft = assign(pods, previous.object, binding, podName);
    if (query.dryRun) return createdStatus();
    if ((await pods.storage.replace(previous, draft)) !== undefined) return createdStatus();
  }
  throw conflict({ group: "", resource: "pods/binding" }, podName);
}

function checkTarget(binding: ApiDraft, name: string): void {
  const target = isObject(binding.target) ? binding.target : {};
  const errors: FieldError[] = [];
  const kind = textOf(target.kind);
  if (kind !== "" && kind !== "Node") errors.push(notSupported("target.kind", kind, ["Node", "<empty>"]));
  if (textOf(target.name) === "") errors.push(required("target.name"));
  if (errors.length > 0) throw invalid(BINDING, name, errors);
}

/** The pod as bound; refuses one that cannot be. */
function assign(pods: ResourceCore, pod: ApiObject, binding: ApiDraft, name: string): ApiDraft {
  const refuse = (why: string): never => {
    throw conflict({ group: "", resource: "pods/binding" }, name, why);
  };
  const { uid, resourceVersion } = binding.metadata;
  if (textOf(uid) !== "" && uid !== pod.metadata.uid) {
    refuse(`Precondition failed: UID in precondition: ${textOf(uid)}, UID in object meta: ${textOf(pod.metadata.uid)}`);
  }
  if (textOf(resourceVersion) !== "" && resourceVersion !== pod.metadata.resourceVersion) {
    refuse(
      `Precondition failed: ResourceVersion in precondition: ${textOf(resourceVersion)}, ResourceVersion in object meta: ${textOf(pod.metadata.resourceVersion)}`,
    );
  }
  const spec = (pod.spec ?? {}) as Draft;
  if (pod.metadata.deletionTimestamp !== undefined)
    refuse(`pod ${name} is being deleted, cannot be assigned to a host`);
  if (textOf(spec.nodeName) !== "") refuse(`pod ${name} is already assigned to node ${JSON.stringify(spec.nodeName)}`);
  if (Array.isArray(spec.schedulingGates) && spec.schedulingGates.length > 0) {
    refuse(`pod ${name} has non-empty .spec.schedulingGates`);
  }
  const draft = draftOf(pods, pod);
  const target = binding.target as Draft;
  draft.spec = { ...(draft.spec as Draft), nodeName: target.name };
  mergeInto(draft.metadata, "annotations", binding.metadata.annotations, true);
  mergeInto(draft.metadata, "labels", binding.metadata.labels, false);
  const status = { ...(draft.status as Draft | undefined) };
  delete status.nominatedNodeName;
  status.conditions = withCondition(status.conditions, {
    type: "PodScheduled",
    status: "True",
    lastProbeTime: null,
    lastTransitionTime: formatTime(pods.clock.now()),
  });
  draft.status = status;
  return draft;
}

function mergeInto(metadata: Draft, member: string, more: unknown, overwrites: boolean): void {
  if (!isObject(more) || Object.keys(more).length === 0) return;
  const known = isObject(metadata[member]) ? metadata[member] : {};
  metadata[member] = overwrites ? { ...known, ...more } : { ...more, ...known };
}

/** The list with the condition of that type set. */
export function withCondition(conditions: unknown, condition: Draft): Draft[] {
  const list = Array.isArray(conditions) ? (conditions as Draft[]) : [];
  const at = list.findIndex((known) => known.type === condition.type);
  if (at === -1) return [...list, condition];
  const before = list[at] as Draft;
  const kept = before.status === condition.status ? { lastTransitionTime: before.lastTransitionTime } : {};
  return list.with(at, { ...condition, ...kept });
}
