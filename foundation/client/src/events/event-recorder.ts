import { apiVersionOf, type KubeObject, type ResourceType } from "@coracle/api";
import { Event, type ObjectReference } from "@coracle/api/core/v1";
import { isNotFound, isStatusError } from "@coracle/apimachinery";
import { isAbort, silentLogger, sleep, systemClock, TaskScope, type Clock, type Logger } from "@coracle/base";
import type { ApiClient } from "../api-client.ts";
import { createEventCorrelator, type Correlation } from "./correlator.ts";

export interface EventRecorderOptions {
  readonly client: ApiClient;
  /** `kubelet`, `deployment-controller` … */
  readonly component: string;
  /** The node that the component runs on. */
  readonly host?: string | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
}

/** Tells users what happened to an object. Never waits and never throws; what cannot be sent in time is dropped. */
export interface EventRecorder extends AsyncDisposable {
  event(regarding: ObjectReference, type: "Normal" | "Warning", reason: string, message: string): void;
  /** Resolves when everything recorded so far was sent or given up. */
  flush(): Promise<void>;
}

/** A reference to `object` as events and bindings carry it. */
export function referenceTo<T extends KubeObject>(
  type: ResourceType<T>,
  object: KubeObject,
  fieldPath?: string,
): ObjectReference {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  return {
    kind: type.kind,
    apiVersion: apiVersionOf(type),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(fieldPath === undefined ? {} : { fieldPath }),
  };
}

/** Something to be sent: an event not told before, or how often it was by now. */
type Told = Pick<Exclude<Correlation, { action: "drop" }>, "action" | "event">;

const MAX_WAITING = 1000;
const MAX_TRIES = 12;
const RETRY_MS = 10_000;

/** A number below a million that differs with the text, as a rule. */
function startOf(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) % 1_000_003;
  return hash % 1_000_000;
}

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, component, host, clock = systemClock, logger = silentLogger } = options;
  const correlator = createEventCorrelator(clock);
  /** What is to be told, by the name of the event. */
  const waiting = new Map<string, Told>();
  const scope = new TaskScope();
  let sending = false;
  // Clocks tell milliseconds: two components that speak in the same one must not mean the same name.
  let sequence = startOf(`${component}/${host ?? ""}`);

  /** What waits already is told with its newest count, once. */
  function tell(event: Event): void {
    const correlation = correlator.correlate(event);
    if (correlation.action === "drop") return;
    const { name = "" } = correlation.event.metadata;
    const { action } = waiting.get(name) ?? correlation;
    waiting.set(name, { action, event: correlation.event });
    if (sending) return;
    sending = true;
    scope.run(drain);
  }

  async function send({ action, event }: Told, signal: AbortSignal): Promise<void> {
    const options = { metadataOnly: true, signal };
    if (action === "count") {
      const { message, count, lastTimestamp } = event;
      const { namespace, name = "" } = event.metadata;
      try {
        await client.patch(Event, { namespace, name }, "strategic", { message, count, lastTimestamp }, options);
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error; // expired: tell it anew
      }
    }
    await client.create(Event, event, options);
  }

  async function drain(signal: AbortSignal): Promise<void> {
    try {
      // A map's entries are walked to its end, with those that are added meanwhile.
      for (const [name, next] of waiting) {
        waiting.delete(name);
        for (let tries = 1; tries <= MAX_TRIES; tries++) {
          try {
            await send(next, signal);
            break;
          } catch (error) {
            if (isAbort(error, signal)) throw error;
            const unreachable = isStatusError(error, "ServiceUnavailable", "InternalError", "Timeout");
            const { reason } = next.event;
            logger.debug("event not recorded", { reason, error: String(error), willRetry: unreachable });
            if (!unreachable) break;
            await sleep(clock, RETRY_MS, signal);
          }
        }
      }
    } finally {
      sending = false;
    }
  }

  return {
    event(regarding, type, reason, message) {
      if (waiting.size >= MAX_WAITING || scope.signal.aborted) return;
      const now = clock.now();
      const timestamp = new Date(now).toISOString().replace(/\.\d+Z$/, "Z");
      const nanos = BigInt(now) * 1_000_000n + BigInt(sequence++ % 1_000_000);
      tell({
        metadata: { name: `${regarding.name}.${nanos.toString(16)}`, namespace: regarding.namespace ?? "default" },
        involvedObject: regarding,
        reason,
        message: message.slice(0, 1024),
        source: { component, ...(host === undefined ? {} : { host }) },
        firstTimestamp: timestamp,
        lastTimestamp: timestamp,
        count: 1,
        type,
        reportingComponent: component,
        reportingInstance: host ?? "",
      });
    },
    flush: async () => scope.join(),
    [Symbol.asyncDispose]: async () => scope[Symbol.asyncDispose](),
  };
}
