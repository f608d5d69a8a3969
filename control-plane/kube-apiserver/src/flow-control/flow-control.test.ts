import type { FlowSchema, PriorityLevelConfiguration } from "@coracle/api/flowcontrol/v1";
import { createFakeClock, type FakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import type { UserInfo } from "../authentication/user.ts";
import { readFlowControl } from "../bootstrap/flow-control.ts";
import { parseRequestInfo } from "../server/request-info.ts";
import { dumpPriorityLevels, dumpRequests } from "./debug-pages.ts";
import { FlowControl } from "./flow-control.ts";
import { renderFlowMetrics } from "./flow-metrics.ts";
import { mandatoryFlowObjects } from "./mandatory.ts";

const NONE = new URLSearchParams();
const objects = readFlowControl(0);
const LEVELS = objects
  .filter(({ plural }) => plural === "prioritylevelconfigurations")
  .map(({ object }) => object as unknown as PriorityLevelConfiguration);
const SCHEMAS = objects
  .filter(({ plural }) => plural === "flowschemas")
  .map(({ object }) => object as unknown as FlowSchema);

function createControl(serverSeats = 600): { readonly control: FlowControl; readonly clock: FakeClock } {
  const clock = createFakeClock();
  const control = new FlowControl({ serverSeats, clock, mandatory: mandatoryFlowObjects(), countOf: () => 5000 });
  control.configure(LEVELS, SCHEMAS);
  return { control, clock };
}

const user = (name: string, ...groups: string[]): UserInfo => ({ name, groups: [...groups, "system:authenticated"] });
const ask = (control: FlowControl, who: UserInfo, method: string, url: string) => {
  const { pathname, searchParams } = new URL(url, "http://host");
  return control.start(who, parseRequestInfo(method, pathname, searchParams), searchParams);
};

describe("classification", () => {
  const { control } = createControl();
  it.each<[string, UserInfo, string, string, string]>([
    ["administrators are exempt", user("admin", "system:masters"), "GET", "/api/v1/pods", "exempt exempt"],
    ["health of the server", user("anybody"), "GET", "/readyz", "probes exempt"],
    [
      "a node's lease",
      user("system:node:a", "system:nodes"),
      "PUT",
      "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a",
      "system-node-high node-high",
    ],
    ["a node's reads", user("system:node:a", "system:nodes"), "GET", "/api/v1/secrets", "system-nodes system"],
    ["the scheduler", user("system:kube-scheduler"), "GET", "/api/v1/pods", "kube-scheduler workload-high"],
    [
      "the scheduler's lease",
      user("system:kube-scheduler"),
      "GET",
      "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x",
      "system-leader-election leader-election",
    ],
    [
      "a system service account",
      user("system:serviceaccount:kube-system:x"),
      "GET",
      "/api/v1/pods",
      "kube-system-service-accounts workload-high",
    ],
    [
      "any service account",
      user("system:serviceaccount:shop:x", "system:serviceaccounts"),
      "GET",
      "/api/v1/pods",
      "service-accounts workload-low",
    ],
    ["anybody else", user("bob"), "GET", "/api/v1/pods", "global-default global-default"],
  ])("%s", (_, who, method, url, expected) => {
    const { flow } = ask(control, who, method, url);
    expect(`${flow.name} ${flow.level.name}`).toBe(expected);
  });
});

describe("seats", () => {
  it("are divided among the levels by their shares", () => {
    const { control } = createControl();
    const bounds = Object.fromEntries([...control.levels].map(([name, level]) => [name, level.bounds]));
    // What upstream's own server says of the same objects.
    expect(bounds).toMatchObject({
      "global-default": { nominal: 49, lower: 24 },
      "workload-low": { nominal: 245, lower: 24 },
      "workload-high": { nominal: 98, lower: 49 },
      "catch-all": { nominal: 13, lower: 13 },
      exempt: { nominal: 0, lower: 0, upper: 600 },
    });
  });

  it("of idle levels are lent to the busy one, and taken back when they are wanted", async () => {
    const { control, clock } = createControl(60);
    const level = control.levels.get("global-default")!;
    const before = level.queues.seatLimit;
    const tickets = Array.from({ length: 40 }, () => ask(control, user("bob"), "GET", "/api/v1/namespaces/a/pods/x"));
    await clock.advance(10_000);
    ask(control, user("admin", "system:masters"), "GET", "/version");
    expect(level.queues.seatLimit).toBeGreaterThan(before);
    for (const ticket of tickets) if (ticket.startedAt !== undefined) control.finish(ticket);
    expect(level.demand.current).toBe(0);
  });

  it("for lists are as many as there are objects to look at, for watches until they begin", () => {
    const { control } = createControl();
    const seats = (url: string): number => ask(control, user("bob"), "GET", url).seats;
    expect(seats("/api/v1/pods")).toBe(8); // the level's hand of six queues keeps it below ten
    expect(seats("/api/v1/pods?limit=200")).toBe(2);
    expect(seats("/api/v1/pods?fieldSelector=metadata.name%3Dx")).toBe(1);
    expect(seats("/api/v1/pods?watch=true&resourceVersion=7")).toBe(1);
    expect(seats("/api/v1/pods?watch=true")).toBe(8);
  });

  it("of writes are kept for those that watch", async () => {
    const { control, clock } = createControl();
    const info = parseRequestInfo("GET", "/api/v1/pods", new URLSearchParams("watch=true"));
    const watches = Array.from({ length: 20 }, () => control.watches.register(info, NONE));
    const write = ask(control, user("bob"), "POST", "/api/v1/namespaces/a/pods");
    expect(write.work).toEqual({ initialSeats: 1, finalSeats: 2, additionalLatencyMs: 5 });
    const { level } = write.flow;
    control.finish(write);
    expect(level.queues.seatsInUse).toBe(2);
    await clock.advance(5);
    expect(level.queues.seatsInUse).toBe(0);
    for (const watch of watches) watch[Symbol.dispose]();
    expect(ask(control, user("bob"), "POST", "/api/v1/namespaces/a/pods").seats).toBe(1);
  });
});

describe("waiting", () => {
  const full = () => {
    const made = createControl(12);
    const get = () => ask(made.control, user("bob"), "GET", "/api/v1/namespaces/a/pods/x");
    const running = [get()];
    for (let next = get(); ; next = get()) {
      if (next.outcome === "waiting") return { ...made, running, waiting: next };
      running.push(next);
    }
  };

  it("ends when a seat is free", async () => {
    const { control, running, waiting } = full();
    const start = control.wait(waiting, 15_000, new AbortController().signal);
    control.finish(running[0]!);
    expect(await start).toBe(true);
    expect(renderFlowMetrics(control)).toContain(
      'apiserver_flowcontrol_current_inqueue_requests{flow_schema="global-default",priority_level="global-default"} 0',
    );
  });

  it("ends when it has lasted too long", async () => {
    const { control, clock, waiting } = full();
    const start = control.wait(waiting, 15_000, new AbortController().signal);
    await clock.advance(15_000);
    expect(await start).toBe(false);
    expect(renderFlowMetrics(control)).toMatch(/rejected_requests_total\{[^}]*reason="time-out"\} 1/);
  });

  it("ends when the client is gone", async () => {
    const { control, waiting } = full();
    const abort = new AbortController();
    const start = control.wait(waiting, 15_000, abort.signal);
    abort.abort();
    expect(await start).toBe(false);
  });

  it("is shown on the debug pages in columns", () => {
    const { control, clock } = full();
    const [header, ...lines] = dumpRequests(control, clock, true).trimEnd().split("\n");
    expect(header).toMatch(/^PriorityLevelName, FlowSchemaName, QueueIndex, .*SubResource$/);
    expect(lines.some((line) => /^global-default, +global-default, +\d+, +0, +bob, /.test(line))).toBe(true);
    expect(dumpPriorityLevels(control)).toMatch(/^global-default, +1, +false, +false, +1, /m);
  });
});

describe("objects", () => {
  it("that are missing are made up for where they must be there", () => {
    const { control } = createControl();
    control.configure([], []);
    expect([...control.levels.keys()].toSorted()).toEqual(["catch-all", "exempt"]);
    expect(ask(control, user("bob"), "GET", "/api/v1/pods").flow.name).toBe("catch-all");
    expect(ask(control, user("admin", "system:masters"), "GET", "/api/v1/pods").flow.name).toBe("exempt");
  });

  it("schemas without their level are told, and match nothing", () => {
    const { control } = createControl();
    const without = LEVELS.filter(({ metadata }) => metadata.name !== "global-default");
    expect([...control.configure(without, SCHEMAS)]).toEqual(["global-default"]);
    expect(ask(control, user("bob"), "GET", "/api/v1/pods").flow.name).toBe("catch-all");
  });

  it("a level that is gone serves its last requests", () => {
    const { control } = createControl();
    const ticket = ask(control, user("bob"), "GET", "/api/v1/namespaces/a/pods/x");
    control.configure(
      LEVELS.filter(({ metadata }) => metadata.name !== "global-default"),
      SCHEMAS,
    );
    expect(control.levels.get("global-default")?.isQuiescing).toBe(true);
    control.finish(ticket);
    expect(control.levels.has("global-default")).toBe(false);
  });
});
