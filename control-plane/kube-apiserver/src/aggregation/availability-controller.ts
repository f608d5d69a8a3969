import type { APIServiceCondition } from "@coracle/api/apiregistration/v1";
import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { isConflict, isNotFound, type Draft, type JsonObject } from "@coracle/apimachinery";
import { linkSignal, TaskScope, type Clock, type Logger, type Timer } from "@coracle/base";
import { OutboundError } from "../outbound/outbound-error.ts";
import type { WorkQueueMetrics } from "../metrics/work-queue-metrics.ts";
import type { Registry } from "../registry/registry.ts";
import { followResource, type Mirror } from "../registry/registry-mirror.ts";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import { API_SERVICES, isRemote, type RegisteredService, type RemoteService } from "./api-service.ts";
import type { ApiServiceIndex } from "./api-service-index.ts";
import { failedDiscovery, LOCAL, PASSED, serviceProblem, withAvailability, type Availability } from "./availability.ts";
import { originOf, type RemoteCaller } from "./remote-caller.ts";

const SERVICES: ResourceRef = { group: "", version: "v1", plural: "services" };
const SLICES: ResourceRef = { group: "discovery.k8s.io", version: "v1", plural: "endpointslices" };
const RECHECK_MS = 30_000;
const FIRST_RETRY_MS = 5;
const PROBE_TIMEOUT_MS = 5_000;
/** A server that does not answer within this is asked by several at once: one of its instances may be gone. */
const PATIENCE_MS = 1_000;
const ATTEMPTS = 5;
const AGGREGATOR = { name: "system:kube-aggregator", groups: ["system:masters"] };

export interface AvailabilityOptions {
  readonly index: ApiServiceIndex;
  readonly registry: Registry;
  readonly objects: RegistryReader;
  readonly caller: RemoteCaller;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where checks are counted. */
  readonly queue: WorkQueueMetrics;
}

/**
 * Keeps the condition `Available` of every APIService true to the world: at each change of it, of its Service or of
 * the Service's endpoints, and every 30 s while another server is registered. Without one, nothing is watched and no
 * timer runs.
 */
export interface AvailabilityController extends AsyncDisposable {
  /** An APIService came, changed or went. */
  changed(name: string): void;
  /** Lines for the metrics page. */
  metrics(): string;
}

interface Subject {
  isRunning: boolean;
  isDirty: boolean;
  failures: number;
  retry: Timer | undefined;
  /** resourceVersion of our own last write, which needs no new check. */
  written: string | undefined;
}

export function createAvailabilityController(options: AvailabilityOptions): AvailabilityController {
  const { index, registry, objects, caller, clock, logger, queue } = options;
  const scope = new TaskScope();
  const subjects = new Map<string, Subject>();
  const counter = new Map<string, number>();
  let mirrors: Mirror[] = [];
  let recheck: Timer | undefined;

  function subjectOf(name: string): Subject {
    let subject = subjects.get(name);
    if (subject === undefined) {
      subject = { isRunning: false, isDirty: false, failures: 0, retry: undefined, written: undefined };
      subjects.set(name, subject);
    }
    return subject;
  }

  function enqueue(name: string): void {
    const subject = subjectOf(name);
    subject.isDirty = true;
    queue.added(name);
    if (subject.isRunning || scope.signal.aborted) return;
    subject.isRunning = true;
    subject.retry?.[Symbol.dispose]();
    scope.run(() => work(name, subject));
  }

  async function work(name: string, subject: Subject): Promise<void> {
    while (subject.isDirty && !scope.signal.aborted) {
      subject.isDirty = false;
      try {
        await queue.work(name, async () => {
          const isSettled = await check(name, subject);
          subject.failures = isSettled ? 0 : subject.failures + 1;
        });
      } catch (error) {
        subject.failures += 1;
        if (!isConflict(error) && !isNotFound(error) && !scope.signal.aborted)
          logger.error("the availability of an APIService could not be written", { name, error });
      }
    }
    subject.isRunning = false;
    if (index.get(name) === undefined) {
      subjects.delete(name);
      return;
    }
    if (subject.failures === 0 || scope.signal.aborted) return;
    const wait = Math.min(RECHECK_MS, FIRST_RETRY_MS * 2 ** Math.min(subject.failures - 1, 20));
    queue.retried();
    subject.retry = clock.after(wait, () => enqueue(name));
    subject.retry.unref();
  }

  /** False: another look soon, whatever happens. */
  async function check(name: string, subject: Subject): Promise<boolean> {
    const registered = index.get(name);
    if (registered === undefined) return true;
    const found = isRemote(registered) ? await availabilityOf(registered) : LOCAL;
    await write(registered, found, subject);
    return found.reason !== "FailedDiscoveryCheck";
  }

  async function availabilityOf(remote: RemoteService): Promise<Availability> {
    const { namespace, name } = remote.service;
    const service = (await objects.get(SERVICES, namespace, name)) as unknown as Service | undefined;
    const labelSelector = `kubernetes.io/service-name=${name}`;
    const slices = service === undefined ? [] : await objects.list(SLICES, namespace, { labelSelector });
    const problem = serviceProblem(remote.service, service, slices as unknown as readonly EndpointSlice[]);
    if (problem !== undefined) return problem;
    const failure = await probe(remote);
    return failure === undefined ? PASSED : failedDiscovery(failure);
  }

  /** Why the server does not answer; undefined: it does. */
  async function probe(remote: RemoteService): Promise<string | undefined> {
    using link = linkSignal(scope.signal);
    const first = attempt(remote, link.signal);
    let timer: Timer | undefined;
    const patience = new Promise<"slow">((resolve) => (timer = clock.after(PATIENCE_MS, () => resolve("slow"))));
    const early = await Promise.race([first, patience]);
    timer?.[Symbol.dispose]();
    if (early === undefined) return undefined;
    const more = Array.from({ length: ATTEMPTS - 1 }, () => attempt(remote, link.signal));
    const failure = await firstSuccess([first, ...more]);
    link.abort(new DOMException("another attempt succeeded", "AbortError"));
    return failure;
  }

  async function attempt(remote: RemoteService, signal: AbortSignal): Promise<string | undefined> {
    const path = remote.group === "" ? `/api/${remote.version}` : `/apis/${remote.group}/${remote.version}`;
    let url: string | undefined;
    try {
      const at = await caller.locate(remote);
      url = originOf(at) + path;
      const question = { path, user: AGGREGATOR, timeoutMs: PROBE_TIMEOUT_MS, trustsAnybody: true, signal };
      const { status } = await caller.ask(remote, at, question);
      if (status >= 200 && status < 300) return undefined;
      return `failing or missing response from ${url}: bad status from ${url}: ${status}`;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (url === undefined) return message;
      const isLate = error instanceof OutboundError && error.failure === "deadline";
      const late = isLate ? " (Client.Timeout exceeded while awaiting headers)" : "";
      return `failing or missing response from ${url}: ${message}${late}`;
    }
  }

  async function write(registered: RegisteredService, found: Availability, subject: Subject): Promise<void> {
    const before = ((registered.object["status"] as JsonObject | undefined)?.["conditions"] ??
      []) as unknown as readonly APIServiceCondition[];
    const conditions = withAvailability(before, found, clock.now());
    if (conditions === undefined) return;
    const { name } = registered;
    if (registered.isAvailable !== (found.status === "True")) {
      logger.info("availability of an APIService changed", { name, status: found.status, reason: found.reason });
      const key = `name="${name}",reason="${found.reason}"`;
      if (found.status !== "True") counter.set(key, (counter.get(key) ?? 0) + 1);
    }
    const draft = { ...(structuredClone(registered.object) as unknown as Draft), status: { conditions } };
    const written = await objects.updateStatus(API_SERVICES, "", name, draft as unknown as Draft);
    subject.written = written.metadata["resourceVersion"] as string;
  }

  /** Watches services and their endpoints, and runs the clock, exactly while another server is registered. */
  function follow(): void {
    if (index.remotes.size === 0) {
      for (const mirror of mirrors.splice(0)) mirror[Symbol.dispose]();
      recheck?.[Symbol.dispose]();
      recheck = undefined;
      return;
    }
    if (mirrors.length === 0) {
      const serviceChanged = (namespace: unknown, service: unknown): void => {
        for (const [name, remote] of index.remotes) {
          if (remote.service.name === service && remote.service.namespace === namespace) enqueue(name);
        }
      };
      const byName = ({ metadata }: { metadata: JsonObject }): void =>
        serviceChanged(metadata["namespace"], metadata["name"]);
      const byLabel = ({ metadata }: { metadata: JsonObject }): void => {
        const labels = metadata["labels"] as JsonObject | undefined;
        serviceChanged(metadata["namespace"], labels?.["kubernetes.io/service-name"]);
      };
      mirrors = [
        followResource(registry, SERVICES, { upsert: byName, removed: byName, reset: () => {} }),
        followResource(registry, SLICES, { upsert: byLabel, removed: byLabel, reset: () => {} }),
      ];
    }
    recheck ??= clock.after(RECHECK_MS, () => {
      recheck = undefined;
      for (const name of index.remotes.keys()) enqueue(name);
      follow();
    });
    recheck.unref();
  }

  return {
    changed(name) {
      const registered = index.get(name);
      const version = registered?.object.metadata["resourceVersion"];
      follow();
      if (registered !== undefined && version === subjects.get(name)?.written) return;
      // What this server is itself was said so when it was written.
      if (registered !== undefined && !isRemote(registered) && registered.isAvailable) return;
      enqueue(name);
    },
    metrics() {
      const lines = ["# TYPE aggregator_unavailable_apiservice gauge"];
      for (const { name, isAvailable } of index.all())
        lines.push(`aggregator_unavailable_apiservice{name="${name}"} ${isAvailable ? 0 : 1}`);
      lines.push("# TYPE aggregator_unavailable_apiservice_total counter");
      for (const [labels, count] of counter) lines.push(`aggregator_unavailable_apiservice_total{${labels}} ${count}`);
      return lines.join("\n");
    },
    async [Symbol.asyncDispose]() {
      recheck?.[Symbol.dispose]();
      for (const mirror of mirrors) mirror[Symbol.dispose]();
      for (const { retry } of subjects.values()) retry?.[Symbol.dispose]();
      await scope[Symbol.asyncDispose]();
    },
  };
}

/** Undefined as soon as one attempt succeeded; otherwise what the last said. */
async function firstSuccess(attempts: readonly Promise<string | undefined>[]): Promise<string | undefined> {
  let last: string | undefined;
  const success = Promise.any(
    attempts.map(async (attempt) => {
      last = await attempt;
      if (last !== undefined) throw new Error(last);
    }),
  );
  try {
    await success;
    return undefined;
  } catch {
    return last;
  }
}
