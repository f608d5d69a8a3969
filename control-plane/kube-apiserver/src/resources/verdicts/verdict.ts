import type { ObjectMeta } from "@coracle/api/meta/v1";
import { isObject, validateObjectMetaUpdate, type Draft, type FieldError } from "@coracle/apimachinery";
import type { Clock, Random } from "@coracle/base";
import { checkNewObject } from "../../registry/new-object-check.ts";
import type { ApiDraft, ApiObject, ResourceDefinition, StrategyContext } from "../../registry/resource-definition.ts";

/** One object that upstream accepted, as sent and as answered. */
export interface Seed {
  readonly seed: string;
  readonly path: string;
  readonly object: Draft;
  readonly answer: Draft;
}

/** One change to a seed and what upstream answered. */
export interface Observation {
  readonly seed: string;
  readonly verb: "create" | "update";
  readonly op: "add" | "remove" | "replace";
  readonly path: string;
  readonly value?: unknown;
  readonly code: number;
  readonly reason?: string;
  readonly causes?: readonly (readonly [string, string])[];
}

/** What a server says to a write. */
interface Verdict {
  readonly code: number;
  readonly causes: readonly (readonly [string, string])[];
}

/** Checks structure and unknown fields, answers the decoded draft or undefined for what does not decode. */
export type Decode = (definition: ResourceDefinition, value: Draft) => Draft | undefined;

/** `x*300` stands for 300 times x. */
function expand(value: unknown): unknown {
  return value === "x*300" ? "x".repeat(300) : structuredClone(value);
}

// The observer built its seeds from shared label maps, and a step inside one showed in all places that share it.
const SHARED = '{"app":"judge"}';

/** The seed's object with equal label maps being one object, as the observer had it. */
function share(value: unknown, pool: Map<string, object>): unknown {
  if (Array.isArray(value)) return value.map((item) => share(item, pool));
  if (!isObject(value)) return value;
  const source = JSON.stringify(value);
  if (source === SHARED) {
    const known = pool.get(source);
    if (known !== undefined) return known;
    pool.set(source, value);
    return value;
  }
  for (const key of Object.keys(value)) value[key] = share(value[key], pool);
  return value;
}

/** The seed's object after one JSON Patch step. */
export function applyChange(seed: Seed, change: Observation): Draft {
  const object = share(structuredClone(seed.object), new Map()) as Draft;
  const parts = change.path
    .slice(1)
    .split("/")
    .map((p) => p.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = parts.pop() ?? "";
  let at: unknown = object;
  for (const part of parts) at = Array.isArray(at) ? at[Number(part)] : (at as Draft)[part];
  if (Array.isArray(at)) {
    const i = last === "-" ? at.length : Number(last);
    if (change.op === "remove") at.splice(i, 1);
    else at.splice(i, change.op === "add" ? 0 : 1, expand(change.value));
  } else if (change.op === "remove") {
    delete (at as Draft)[last];
  } else {
    (at as Draft)[last] = expand(change.value);
  }
  return structuredClone(object);
}

const CLOCK: Pick<Clock, "now"> = { now: () => 1_795_000_000_000 as ReturnType<Clock["now"]> };

function contextFor(seed: Seed): StrategyContext {
  const namespace = /\/namespaces\/([^/]+)\//.exec(seed.path)?.[1] ?? "";
  return {
    clock: CLOCK as Clock,
    random: {} as Random,
    user: { name: "admin", groups: ["system:masters", "system:authenticated"] },
    isDryRun: true,
    namespace,
  };
}

const refusal = (errors: readonly FieldError[]): Verdict => ({
  code: 422,
  causes: errors.map((e) => [e.type, e.field]),
});
const BAD_REQUEST: Verdict = { code: 400, causes: [] };

/** Runs a create or update the way the registry does, without storing. Answers the object too where it is accepted. */
export function judge(
  definition: ResourceDefinition,
  seed: Seed,
  verb: "create" | "update",
  sent: Draft,
  decode: Decode,
): Verdict & { readonly object?: Draft } {
  const context = contextFor(seed);
  const decoded = decode(definition, sent);
  if (decoded === undefined) return BAD_REQUEST;
  definition.defaults?.(decoded as ApiDraft);
  if (!isObject(decoded["metadata"])) decoded["metadata"] = {};
  const draft = decoded as ApiDraft;
  if (context.namespace !== "" && (draft.metadata["namespace"] ?? "") === "")
    draft.metadata["namespace"] = context.namespace;
  const object = draft as unknown as ApiObject;
  const errors: FieldError[] = [];
  if (verb === "create") {
    definition.prepareForCreate?.(draft, context);
    errors.push(...checkNewObject(definition, object, context.namespace !== "", context));
    return errors.length > 0 ? refusal(errors) : { code: 201, causes: [], object: draft };
  }
  const stored = decode(definition, seed.answer);
  if (stored === undefined) throw new Error(`the stored ${seed.seed} does not decode`);
  definition.defaults?.(stored as ApiDraft);
  const old = stored as unknown as ApiObject;
  const oldMeta = old.metadata as Draft;
  if (draft.metadata["name"] !== oldMeta["name"]) return BAD_REQUEST;
  oldMeta["resourceVersion"] = "1";
  for (const field of ["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"])
    if (oldMeta[field] === undefined) delete draft.metadata[field];
    else draft.metadata[field] = oldMeta[field];
  if (definition.allowUnconditionalUpdate === false)
    return { code: 422, causes: [["FieldValueInvalid", "metadata.resourceVersion"]] };
  admit(definition, draft, old);
  definition.update?.prepare?.(draft, old, context);
  errors.push(...validateObjectMetaUpdate(draft.metadata as unknown as ObjectMeta, oldMeta as unknown as ObjectMeta));
  errors.push(...(definition.validate?.(object, context) ?? []));
  errors.push(...(definition.update?.validate?.(object, old, context) ?? []));
  return errors.length > 0 ? refusal(errors) : { code: 200, causes: [], object: draft };
}

/** The default mutating admission a pod meets on every write. */
function admit(definition: ResourceDefinition, draft: ApiDraft, old: ApiObject): void {
  if (definition.plural !== "pods") return;
  const spec = draft["spec"] as Draft;
  const before = old["spec"] as Draft;
  spec["priority"] ??= before["priority"];
  spec["preemptionPolicy"] ??= before["preemptionPolicy"];
  const tolerations = (spec["tolerations"] ??= []) as Draft[];
  for (const key of ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]) {
    if (!tolerations.some((t) => t["key"] === key))
      tolerations.push({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 });
  }
}

const asText = (causes: readonly (readonly [string, string])[]): string =>
  causes
    .map(([reason, field]) => `${reason}:${field}`)
    .toSorted()
    .join(" ");

/** Whether a verdict is upstream's: code, and the reason and field of every cause, in any order. */
export function agrees(verdict: Verdict, observed: Observation): boolean {
  return verdict.code === observed.code && asText(verdict.causes) === asText(observed.causes ?? []);
}
