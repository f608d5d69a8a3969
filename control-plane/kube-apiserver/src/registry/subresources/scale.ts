import type { LabelSelector } from "@coracle/api/meta/v1";
import {
  badRequest,
  compileLabelSelector,
  conflict,
  invalid,
  invalidValue,
  isObject,
  notFound,
  selectorFromLabels,
  type Draft,
  type Labels,
} from "@coracle/apimachinery";
import { applyObject, readConfig } from "../apply-verb.ts";
import { decodeAs, draftOf } from "../decode.ts";
import { textOf } from "../json-text.ts";
import type { PatchPort } from "../patch-verb.ts";
import type { Answer, SubresourceHandler, WriteQuery } from "../registry.ts";
import { answerObject, apiVersionOfCore, resourceOf, type ResourceCore } from "../resource-core.ts";
import type { ApiDraft, ApiObject } from "../resource-definition.ts";
import { carryOutUpdate, type UpdatePlan, type UpdateWay } from "../update-verb.ts";

const SCALE = { group: "autoscaling", version: "v1", kind: "Scale" } as const;

/** ReplicationControllers select by a map, the others by a LabelSelector. */
function selectorText(object: ApiObject): string {
  const selector = (object.spec as Draft | undefined)?.selector;
  if (object.kind === "ReplicationController") return selectorFromLabels(selector as Labels | undefined).toString();
  return compileLabelSelector(selector as LabelSelector | undefined).toString();
}

/** Where a kind keeps what a Scale shows. */
export interface ScaleShape {
  of(object: ApiObject): ApiObject;
  /** Refuses what cannot be scaled. */
  check?(old: ApiObject): void;
  /** Sets the wished number in a draft of its own. */
  set(draft: ApiDraft, replicas: number): void;
  /** The kind's own rules refuse numbers below zero. */
  readonly judgesNumber?: boolean;
  /** The part of an applied configuration that wishes for the number. */
  config(replicas: unknown): Draft;
}

const WORKLOAD_SHAPE: ScaleShape = {
  of: (object) => scaleOf(object),
  set: (draft, replicas) => void (draft.spec = { ...(draft.spec as Draft | undefined), replicas }),
  config: (replicas) => ({ spec: { replicas } }),
};

/** The Scale of a workload: its wished and seen number of replicas. */
export function scaleOf(object: ApiObject): ApiObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const spec = object.spec as Draft | undefined;
  const status = object.status as Draft | undefined;
  const replicas = (spec?.replicas as number | undefined) ?? 0;
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: replicas === 0 ? {} : { replicas },
    status: { replicas: (status?.replicas as number | undefined) ?? 0, selector: selectorText(object) },
  } as ApiObject;
}

function scaleAnswer(answer: Answer, shape: ScaleShape): Answer {
  return answerObject(shape.of(answer.type === "stored" ? answer.stored.object : (answer.object as ApiObject)));
}

/** A webhook may wish for another number. */
const takeScale =
  (shape: ScaleShape) =>
  (draft: ApiDraft, { spec }: ApiObject): void => {
    const { replicas } = (spec ?? {}) as { readonly replicas?: unknown };
    shape.set(draft, typeof replicas === "number" ? replicas : 0);
  };

/** The `scale` subresource of kinds with `spec.replicas` and `status.replicas`, or of another shape. */
export function createScaleSubresource(
  core: ResourceCore,
  patches: PatchPort,
  shape: ScaleShape = WORKLOAD_SHAPE,
): SubresourceHandler {
  const main = core.definition.update ?? {};
  const way: UpdateWay = {
    subresource: "scale",
    strategy: main,
    validatesAsMain: true,
    admissionView: { kind: "Scale", of: (object) => shape.of(object), take: takeScale(shape) },
  };
  const current = (namespace: string, name: string): ApiObject => {
    const found = core.storage.get(namespace, name);
    if (found === undefined) throw notFound(resourceOf(core), name);
    return found.object;
  };
  const plan = (namespace: string, name: string, query: WriteQuery, wanted: (old: ApiObject) => Draft): UpdatePlan => ({
    name,
    namespace,
    query,
    way,
    isUnconditional: true,
    next: (old) => applyScale(core, old, wanted(old), name, shape),
  });
  return {
    // oxlint-disable-next-line require-await
    get: async (_context, namespace, name) => {
      const found = current(namespace, name);
      shape.check?.(found);
      return answerObject(shape.of(found));
    },
    update: async (context, namespace, name, body, query) => {
      const scale = decodeAs(core.schema, SCALE, body, query.fieldValidation, context);
      return scaleAnswer(
        await carryOutUpdate(
          core,
          context,
          plan(namespace, name, query, () => scale),
        ),
        shape,
      );
    },
    patch: async (context, namespace, name, kind, body, query) => {
      if (kind === "apply") {
        const config = replicasConfig(core, readConfig(core, SCALE, body), shape);
        return scaleAnswer(await applyObject(core, context, { namespace, name }, config, query, way), shape);
      }
      const wanted = (old: ApiObject): Draft => {
        const patched = patches(kind, SCALE, shape.of(old), body) as Draft;
        return decodeAs(core.schema, SCALE, patched, query.fieldValidation, context);
      };
      return scaleAnswer(await carryOutUpdate(core, context, plan(namespace, name, query, wanted)), shape);
    },
  };
}

/** A Scale's configuration as one of the workload itself. */
function replicasConfig(core: ResourceCore, { metadata, spec }: Draft, shape: ScaleShape): Draft {
  const { resourceVersion, uid } = isObject(metadata) ? metadata : {};
  return {
    apiVersion: apiVersionOfCore(core),
    kind: core.entry.kind,
    metadata: { ...(resourceVersion === undefined ? {} : { resourceVersion }), ...(uid === undefined ? {} : { uid }) },
    ...(isObject(spec) && spec.replicas !== undefined ? shape.config(spec.replicas) : {}),
  };
}

function applyScale(core: ResourceCore, old: ApiObject, scale: Draft, name: string, shape: ScaleShape): ApiDraft {
  const metadata = isObject(scale.metadata) ? scale.metadata : {};
  const given = textOf(metadata.name);
  if (given !== "" && given !== name) {
    throw badRequest(`the name of the object (${given}) does not match the name on the URL (${name})`);
  }
  const version = textOf(metadata.resourceVersion);
  if (version !== "" && version !== old.metadata.resourceVersion) throw conflict(resourceOf(core), name);
  const uid = textOf(metadata.uid);
  if (uid !== "" && uid !== old.metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${textOf(old.metadata.uid)}`;
    throw conflict(resourceOf(core), name, why);
  }
  const replicas = isObject(scale.spec) ? ((scale.spec.replicas as number | undefined) ?? 0) : 0;
  if (replicas < 0 && shape.judgesNumber !== true) {
    throw invalid(SCALE, name, [invalidValue("spec.replicas", replicas, "must be greater than or equal to 0")]);
  }
  const draft = draftOf(core, old);
  shape.set(draft, replicas);
  return draft;
}
