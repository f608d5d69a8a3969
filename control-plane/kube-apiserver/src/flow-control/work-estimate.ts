import type { RequestInfo } from "../server/request-info.ts";

/** How wide a request is: seats while it runs, and seats for what it leaves to be done for watchers. */
export interface WorkEstimate {
  readonly initialSeats: number;
  readonly finalSeats: number;
  /** How long the final seats stay taken after the answer. */
  readonly additionalLatencyMs: number;
}

/** One seat, nothing afterwards. */
export const ONE_SEAT: WorkEstimate = { initialSeats: 1, finalSeats: 0, additionalLatencyMs: 0 };

export const maxSeatsOf = ({ initialSeats, finalSeats }: WorkEstimate): number =>
  initialSeats >= finalSeats ? initialSeats : finalSeats;

const MAXIMUM_SEATS = 10;
const OBJECTS_PER_SEAT = 100;
const WATCHES_PER_SEAT = 10;
const EVENT_MS = 5;

/** What estimates are made from. */
export interface WorkFacts {
  /** Objects of a resource; undefined: the server does not hold the resource. */
  countOf(info: RequestInfo): number | undefined;
  /** Watchers that hear of a change. */
  watchersOf(info: RequestInfo): number;
}

const wide = (initialSeats: number): WorkEstimate =>
  initialSeats <= 1 ? ONE_SEAT : { initialSeats, finalSeats: 0, additionalLatencyMs: 0 };

function listWork(info: RequestInfo, query: URLSearchParams, facts: WorkFacts, limit: number): WorkEstimate {
  if (info.name !== "") return ONE_SEAT;
  if (info.verb === "watch") {
    const version = query.get("resourceVersion") ?? "";
    if (query.get("sendInitialEvents") !== "true" && version !== "" && version !== "0") return ONE_SEAT;
  }
  const count = facts.countOf(info);
  if (count === undefined) return ONE_SEAT;
  // Everything is read from memory: what a limit leaves out was not looked at, unless a selector had to choose.
  const asked = Number(query.get("limit") ?? 0);
  const isSelective = query.has("labelSelector") || query.has("fieldSelector");
  const looked = asked > 0 && asked < count && !isSelective ? asked : count;
  return wide(Math.min(Math.ceil(looked / OBJECTS_PER_SEAT), limit));
}

function mutatingWork(info: RequestInfo, facts: WorkFacts, limit: number): WorkEstimate {
  if (info.resource === "serviceaccounts" && info.subresource === "token") return ONE_SEAT;
  const watchers = facts.watchersOf(info);
  if (watchers < WATCHES_PER_SEAT) return ONE_SEAT;
  const seats = Math.ceil(watchers / WATCHES_PER_SEAT);
  // The same work on fewer seats takes longer.
  const finalSeats = Math.min(seats, limit);
  return { initialSeats: 1, finalSeats, additionalLatencyMs: (seats * EVENT_MS) / finalSeats };
}

/** `maxSeats`: what the priority level lets one request have; 0: no limit of its own. */
export function estimateWork(
  info: RequestInfo,
  query: URLSearchParams,
  facts: WorkFacts,
  maxSeats: number,
): WorkEstimate {
  const limit = maxSeats === 0 || maxSeats > MAXIMUM_SEATS ? MAXIMUM_SEATS : maxSeats;
  switch (info.verb) {
    case "list":
    case "watch":
      return listWork(info, query, facts, limit);
    case "create":
    case "update":
    case "patch":
    case "delete":
      return info.isResource ? mutatingWork(info, facts, limit) : ONE_SEAT;
    default:
      return ONE_SEAT;
  }
}
