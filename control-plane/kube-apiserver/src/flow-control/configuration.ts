import type { FlowSchema, PriorityLevelConfiguration } from "@coracle/api/flowcontrol/v1";
import { equalJson, isAlreadyExists, isConflict, isNotFound, type Draft, type JsonObject } from "@coracle/apimachinery";
import { sleep, type Clock, type Logger, type TaskScope, type Timer } from "@coracle/base";
import { readFlowControl, type FlowObject } from "../bootstrap/flow-control.ts";
import { followResource } from "../registry/registry-mirror.ts";
import { systemContext, type RegistryReader, type ResourceRef } from "../registry/registry-reader.ts";
import type { Registry } from "../registry/registry.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { FlowControl } from "./flow-control.ts";
import { MANDATORY } from "./mandatory.ts";

const API_VERSION = "flowcontrol.apiserver.k8s.io/v1";
const AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec";
const MEND_AFTER_MS = 60_000;
const RETRY_MS = 1000;
const PRODUCER = "api-priority-and-fairness-config-producer-v1";
const CONSUMER = "api-priority-and-fairness-config-consumer-v1";

const refOf = (plural: FlowObject["plural"]): ResourceRef => ({
  group: "flowcontrol.apiserver.k8s.io",
  version: "v1",
  plural,
});

export interface FlowConfigurationDeps {
  readonly registry: Registry;
  readonly objects: RegistryReader;
  readonly control: FlowControl;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where its writes run. */
  readonly scope: TaskScope;
}

/** Whether the server keeps an object's spec as it ought to be: it says so, or nobody has changed it. */
function isKept({ metadata }: ApiObject): boolean {
  const said = (metadata["annotations"] as JsonObject | undefined)?.[AUTO_UPDATE];
  if (said === "true" || said === "false") return said === "true";
  return metadata["generation"] === 1;
}

/** The object as it ought to be; undefined: as it is. */
export function mendedFlowObject(existing: ApiObject, { name, plural, object }: FlowObject): Draft | undefined {
  const isAutomatic = MANDATORY.has(name) || isKept(existing);
  const annotations = existing.metadata["annotations"] as JsonObject | undefined;
  const draft = structuredClone(existing) as unknown as Draft;
  draft["metadata"] = {
    ...(draft["metadata"] as JsonObject),
    annotations: { ...annotations, [AUTO_UPDATE]: String(isAutomatic) },
  };
  // How many seats the exempt level has is the administrator's choice.
  const isFree = plural === "prioritylevelconfigurations" && name === "exempt";
  if (isAutomatic && !isFree) draft["spec"] = structuredClone(object["spec"]) as Draft;
  return equalJson(draft, existing) ? undefined : draft;
}

/** Undefined when it says so already. */
function danglingCondition(schema: FlowSchema, isDangling: boolean, now: number): JsonObject | undefined {
  const level = JSON.stringify(schema.spec.priorityLevelConfiguration.name);
  const message = `This FlowSchema references the PriorityLevelConfiguration object named ${level} ${
    isDangling ? "but there is no such object" : "and it exists"
  }`;
  const status = isDangling ? "True" : "False";
  const reason = isDangling ? "NotFound" : "Found";
  const known = schema.status?.conditions?.find(({ type }) => type === "Dangling");
  if (known?.status === status && known.reason === reason && known.message === message) return undefined;
  const lastTransitionTime = new Date(now).toISOString().replace(/\.\d+Z$/, "Z");
  return { type: "Dangling", status, lastTransitionTime, reason, message };
}

/**
 * Keeps flow control in step with its objects, says of each schema whether its level exists, and mends the objects
 * that every cluster has. Nothing runs while nothing changes.
 */
export async function followFlowObjects(deps: FlowConfigurationDeps): Promise<Disposable> {
  const { registry, objects, control, clock, logger, scope } = deps;
  const levels = new Map<string, PriorityLevelConfiguration>();
  const schemas = new Map<string, FlowSchema>();
  let isSynced = false;
  let isDirty = false;
  let mending: Timer | undefined;

  function changed(): void {
    if (!isSynced || isDirty) return;
    isDirty = true;
    queueMicrotask(digest);
  }

  function digest(): void {
    isDirty = false;
    if (scope.signal.aborted) return;
    const dangling = control.configure([...levels.values()], [...schemas.values()]);
    for (const [name, schema] of schemas) {
      const condition = danglingCondition(schema, dangling.has(name), clock.now());
      if (condition !== undefined) scope.run(() => tell(name, condition));
    }
    if (mending !== undefined) return;
    mending = clock.after(MEND_AFTER_MS, () => {
      mending = undefined;
      if (!scope.signal.aborted) scope.run((signal) => mendAll(signal));
    });
    mending.unref();
  }

  async function tell(name: string, condition: JsonObject): Promise<void> {
    const status = registry.resource("flowcontrol.apiserver.k8s.io", "v1", "flowschemas")?.subresource("status");
    const body = {
      kind: "FlowSchema",
      apiVersion: API_VERSION,
      metadata: { name },
      status: { conditions: [condition] },
    };
    const how = { dryRun: false, fieldManager: CONSUMER, fieldValidation: "Ignore", force: true } as const;
    try {
      await status?.patch?.(systemContext(), "", name, "apply", body as unknown as JsonObject, how);
    } catch (error) {
      if (!isNotFound(error)) logger.error("the condition of a flow schema could not be written", { name, error });
    }
  }

  async function mendAll(signal: AbortSignal): Promise<void> {
    try {
      await mendFlowObjects(registry, objects, [...levels.keys()], [...schemas.keys()], clock.now());
    } catch (error) {
      logger.error("flow control objects could not be mended", { error });
      await sleep(clock, RETRY_MS, signal);
    }
  }

  const follow = <T>(plural: FlowObject["plural"], known: Map<string, T>): ReturnType<typeof followResource> =>
    followResource(registry, refOf(plural), {
      upsert(object) {
        known.set(object.metadata["name"] as string, object as unknown as T);
        changed();
      },
      removed(object) {
        known.delete(object.metadata["name"] as string);
        changed();
      },
      reset: () => known.clear(),
    });
  const mirrors = [follow("prioritylevelconfigurations", levels), follow("flowschemas", schemas)];
  await Promise.all(mirrors.map(({ synced }) => synced));
  isSynced = true;
  digest();
  return {
    [Symbol.dispose]() {
      mending?.[Symbol.dispose]();
      for (const mirror of mirrors) mirror[Symbol.dispose]();
    },
  };
}

/** Makes what is missing, puts right what is kept, and removes what was kept and is wanted no more. */
export async function mendFlowObjects(
  registry: Registry,
  objects: RegistryReader,
  levels: readonly string[],
  schemas: readonly string[],
  now: number,
): Promise<void> {
  const wanted = readFlowControl(now);
  const how = { dryRun: false, fieldManager: PRODUCER, fieldValidation: "Ignore" } as const;
  for (const one of wanted) {
    const ref = refOf(one.plural);
    const handler = registry.resource(ref.group, ref.version, ref.plural);
    const existing = await objects.get(ref, "", one.name);
    try {
      if (existing === undefined) await handler?.create(systemContext(), "", structuredClone(one.object) as Draft, how);
      else {
        const draft = mendedFlowObject(existing, one);
        if (draft !== undefined) await handler?.update(systemContext(), "", one.name, draft, how);
      }
    } catch (error) {
      // Another server did it first.
      if (!isAlreadyExists(error) && !isConflict(error)) throw error;
    }
  }
  for (const [plural, names] of [
    ["flowschemas", schemas],
    ["prioritylevelconfigurations", levels],
  ] as const) {
    const known = new Set(wanted.filter((one) => one.plural === plural).map(({ name }) => name));
    const ref = refOf(plural);
    for (const name of names.filter((one) => !known.has(one))) {
      const existing = await objects.get(ref, "", name);
      const annotations = existing?.metadata["annotations"] as JsonObject | undefined;
      if (annotations?.[AUTO_UPDATE] !== "true") continue;
      await registry.resource(ref.group, ref.version, plural)?.delete(systemContext(), "", name, { options: {} });
    }
  }
}
