import type { Clock } from "@coracle/base";
import type { ApiRequest } from "../server/api-request.ts";
import type { RequestMetrics } from "../server/metrics.ts";
import { isLongRunning, isReading } from "../server/request-info.ts";
import { TooManyRequests } from "../server/too-many-requests.ts";
import type { FlowControl, FlowTicket } from "./flow-control.ts";

export interface FlowFilterOptions {
  readonly control: FlowControl;
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
  /** How long a request may take; it may wait for a quarter of it. */
  readonly requestTimeoutMs: number;
}

const WAITING_SHARE = 4;

/** Lets requests pass as flow control says. Watches hold their seats until their first events were sent. */
export function createFlowFilter(options: FlowFilterOptions): (request: ApiRequest) => void | Promise<void> {
  const { control, metrics, clock } = options;

  function begin(request: ApiRequest, ticket: FlowTicket): void {
    const isRead = isReading(request.info);
    if (isRead) metrics.inflightReadOnly += 1;
    else metrics.inflightMutating += 1;
    request.onFinish.push(() => {
      if (isRead) metrics.inflightReadOnly -= 1;
      else metrics.inflightMutating -= 1;
      control.finish(ticket);
    });
    if (request.info.verb === "watch") countWatch(request);
  }

  /** A watch counts as one as long as its client is there. */
  function countWatch(request: ApiRequest): void {
    const watch = control.watches.register(request.info, request.query);
    const forget = (): void => watch[Symbol.dispose]();
    if (request.signal.aborted) forget();
    else request.signal.addEventListener("abort", forget, { once: true });
  }

  async function wait(request: ApiRequest, ticket: FlowTicket): Promise<void> {
    const startedAt = clock.monotonicMs();
    const left = (request.timeoutMs ?? options.requestTimeoutMs) - (startedAt - request.startedAt);
    if (!(await control.wait(ticket, Math.max(0, left / WAITING_SHARE), request.signal))) refuse(ticket);
    request.noteWait(clock.monotonicMs() - startedAt);
    begin(request, ticket);
  }

  function refuse({ flow }: FlowTicket): never {
    throw new TooManyRequests(flow.level.retryAfter.seconds);
  }

  return (request) => {
    const { info } = request;
    if (isLongRunning(info) && info.verb !== "watch") return undefined;
    const ticket = control.start(request.user, info, request.query);
    request.flow = ticket.flow;
    if (ticket.outcome === "waiting") return wait(request, ticket);
    if (ticket.outcome !== "started") return refuse(ticket);
    begin(request, ticket);
    return undefined;
  };
}
