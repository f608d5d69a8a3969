import type { Clock, Logger, Random, TaskScope } from "@coracle/base";
import { fillNewMeta } from "../registry/object-meta.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";

const EVENT_TTL_SECONDS = 3_600;

/** Something wrong with an object, that its owner should know. */
export interface Problem {
  readonly object: ApiObject;
  readonly kind: "Service" | "IPAddress" | "ServiceCIDR";
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

/** Tells of a problem; returns at once, never fails. */
export type ReportProblem = (problem: Problem) => void;

/** Tells by events, in the name of `reporter`. */
export function reportByEvents(options: {
  readonly events: ObjectStorage;
  readonly reporter: string;
  readonly host: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly scope: TaskScope;
}): ReportProblem {
  const { events, reporter, clock, random, logger, scope } = options;
  let last = 0n;
  return ({ object, kind, reason, action, note }) => {
    const { name, namespace = "", uid, resourceVersion } = object.metadata as Record<string, string | undefined>;
    logger.warn("service networking needs repair", { kind, namespace, name, reason, note });
    const now = clock.now();
    const stamp = BigInt(now) * 1_000_000n + BigInt(Math.floor(random.next() * 1_000_000));
    last = stamp > last ? stamp : last + 1n;
    const draft: ApiDraft = {
      kind: "Event",
      apiVersion: "v1",
      metadata: { name: `${name ?? ""}.${last.toString(16)}`, namespace: namespace === "" ? "default" : namespace },
      involvedObject: {
        kind,
        ...(namespace === "" ? {} : { namespace }),
        name,
        uid,
        apiVersion: kind === "Service" ? "v1" : "networking.k8s.io/v1",
        resourceVersion,
      },
      reason,
      message: note,
      source: {},
      firstTimestamp: null,
      lastTimestamp: null,
      type: "Warning",
      eventTime: `${new Date(now).toISOString().slice(0, -1)}000Z`,
      ...(action === "" ? {} : { action }),
      reportingComponent: reporter,
      reportingInstance: `${reporter}-${options.host}`,
    };
    fillNewMeta(draft, now);
    scope.run(async () => {
      try {
        await events.create(draft, { ttlSeconds: EVENT_TTL_SECONDS });
      } catch (error) {
        logger.warn("cannot write an event", { reason, error });
      }
    });
  };
}
