import type { Clock } from "@coracle/base";
import type { FlowControl, FlowTicket } from "./flow-control.ts";

const MINIMUM_WIDTH = 8;

/** Columns under each other, with commas. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(MINIMUM_WIDTH, ...rows.map((row) => row[i]!.length + 2)));
  const lines = rows.map((row) =>
    row.map((cell, i) => (i === row.length - 1 ? cell : `${cell},`.padEnd(widths[i]!))).join(""),
  );
  return `${lines.join("\n")}\n`;
}

/** One line for each level. */
export function dumpPriorityLevels(control: FlowControl): string {
  const rows = [...control.levels.values()]
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, queues, isQuiescing }) => [
      name,
      String(queues.queues.filter(({ waiting }) => waiting.length > 0).length),
      String(queues.isIdle),
      String(isQuiescing),
      String(queues.waiting),
      String(queues.executing),
      String(queues.dispatched),
      String(queues.rejected),
      "0",
      String(queues.cancelled),
    ]);
  const header =
    "PriorityLevelName ActiveQueues IsIdle IsQuiescing WaitingRequests ExecutingRequests DispatchedRequests RejectedRequests TimedoutRequests CancelledRequests";
  return table([header.split(" "), ...rows]);
}

const seatSeconds = (value: number): string => `${value.toFixed(8)}ss`;

/** One line for each queue. */
export function dumpQueues(control: FlowControl): string {
  const rows = [...control.levels.values()].flatMap(({ name, queues }) =>
    queues.queues.map((queue, i) => [
      name,
      String(i),
      String(queue.waiting.length),
      String(queue.executing.size),
      String(queue.seatsInUse),
      seatSeconds(queue.nextDispatchR),
      String(queue.waiting.reduce((sum, { work }) => sum + work.initialSeats, 0)),
      String(queue.waitingSeats),
      seatSeconds(queue.waitingWork),
    ]),
  );
  const header =
    "PriorityLevelName Index PendingRequests ExecutingRequests SeatsInUse NextDispatchR InitialSeatsSum MaxSeatsSum TotalWorkSum";
  return table([header.split(" "), ...rows]);
}

/** One line for each request that waits or is served. */
export function dumpRequests(control: FlowControl, clock: Clock, hasDetails: boolean): string {
  const offset = clock.now() - clock.monotonicMs();
  const time = (at: number | undefined): string =>
    at === undefined ? "0001-01-01T00:00:00Z" : new Date(offset + at).toISOString().replace(/\.?0*Z$/, "Z");
  const row = (ticket: FlowTicket, level: string, queue: number, index: number): string[] => {
    const { info, user, work } = ticket;
    const line = [
      level,
      ticket.schema,
      String(queue),
      String(index),
      ticket.distinguisher,
      time(ticket.arrivedAt),
      String(work.initialSeats),
      String(work.finalSeats),
      work.additionalLatencyMs === 0 ? "0s" : `${work.additionalLatencyMs}ms`,
      time(ticket.startedAt),
    ];
    if (!hasDetails) return line;
    const version = info.group === "" ? info.version : `${info.group}/${info.version}`;
    return [...line, user.name, info.verb, info.path, info.namespace, info.name, version, info.resource].concat(
      info.subresource,
    );
  };
  const rows = [...control.levels.values()].flatMap(({ name, queues }) => [
    ...queues.queues.flatMap((queue, q) => [
      ...queue.waiting.map((ticket, i) => row(ticket as FlowTicket, name, q, i)),
      ...[...queue.executing].map((ticket) => row(ticket as FlowTicket, name, q, -1)),
    ]),
    ...[...queues.queueless].map((ticket) => row(ticket as FlowTicket, name, -1, -1)),
  ]);
  const header =
    "PriorityLevelName FlowSchemaName QueueIndex RequestIndexInQueue FlowDistingsher ArriveTime InitialSeats FinalSeats AdditionalLatency StartTime";
  const details = "UserName Verb APIPath Namespace Name APIVersion Resource SubResource";
  return table([[...header.split(" "), ...(hasDetails ? details.split(" ") : [])], ...rows]);
}
