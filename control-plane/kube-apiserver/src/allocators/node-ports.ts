import { internalError, invalidValue, type Draft, type FieldError } from "@coracle/apimachinery";
import type { Random } from "@coracle/base";
import type { PortAllocator } from "./port-allocator.ts";
import {
  mayHaveNodePort,
  needsHealthPort,
  needsNodePort,
  nodePortsOf,
  portsOf,
  type ServicePort,
} from "./service-fields.ts";

/** What one write takes, found out without touching the Service. */
export interface NodePortPlan {
  /** For each port of the Service; undefined: as it is. */
  readonly ports: readonly (number | undefined)[];
  readonly health: number | undefined;
  /** All that is newly taken. */
  readonly taken: readonly number[];
}

/** Ports that are taken for a write, or, in a dry run, looked at. */
interface PortSource {
  take(port: number): string | undefined;
  takeAny(): number | undefined;
}

function sourceOf(ports: PortAllocator, random: Random, isDryRun: boolean, taken: number[]): PortSource {
  const refusal = (outcome: "allocated" | "outOfRange"): string =>
    outcome === "allocated"
      ? "provided port is already allocated"
      : `provided port is not in the valid range. The range of valid ports is ${ports.range}`;
  if (isDryRun)
    return {
      take(port) {
        if (ports.has(port) || taken.includes(port)) return refusal("allocated");
        taken.push(port);
        return undefined;
      },
      // No port that could be had: what is promised here would be another's a moment later.
      takeAny() {
        const port = Math.max(32_768, ...taken) + 1;
        taken.push(port);
        return port;
      },
    };
  return {
    take(port) {
      const outcome = ports.take(port);
      if (outcome !== "taken") return refusal(outcome);
      taken.push(port);
      return undefined;
    },
    takeAny() {
      const port = ports.takeAny(random);
      if (port !== undefined) taken.push(port);
      return port;
    },
  };
}

/** Answers what is wrong in place of a plan. */
export type NodePortOutcome = NodePortPlan | { readonly errors: readonly FieldError[] };

/** Whether a write needs ports at all. */
export function needsPlan(spec: Draft, old: Draft | undefined): boolean {
  if (mayHaveNodePort(spec) && portsOf(spec).some((port) => (port.nodePort ?? 0) !== 0 || needsNodePort(spec))) {
    const before = old === undefined ? new Set<number>() : nodePortsOf(old);
    if (portsOf(spec).some((port) => !before.has(port.nodePort ?? 0))) return true;
  }
  return needsHealthPort(spec) && (old === undefined || !needsHealthPort(old));
}

/** Decides which ports a Service gets. Throws when there are none left. */
export function planNodePorts(
  spec: Draft,
  old: Draft | undefined,
  ports: PortAllocator,
  random: Random,
  isDryRun: boolean,
): NodePortOutcome {
  const taken: number[] = [];
  const source = sourceOf(ports, random, isDryRun, taken);
  const wanted = portsOf(spec);
  let chosen: (number | undefined)[] = [];
  if (mayHaveNodePort(spec)) {
    const outcome =
      old === undefined
        ? planNew(wanted, needsNodePort(spec), source)
        : planChange(wanted, needsNodePort(spec), nodePortsOf(old), source);
    if (!Array.isArray(outcome)) return { errors: [outcome] };
    chosen = outcome;
  }
  const needsHealth = needsHealthPort(spec) && (old === undefined || !needsHealthPort(old));
  return { ports: chosen, health: needsHealth ? planHealth(spec, source) : undefined, taken };
}

const portField = (i: number): string => `spec.ports[${i}].nodePort`;

function anyPort(source: PortSource): number {
  const port = source.takeAny();
  if (port === undefined) throw internalError("failed to allocate a nodePort: range is full");
  return port;
}

/** TCP and UDP of the same port share one node port. */
function planNew(
  wanted: readonly ServicePort[],
  allocates: boolean,
  source: PortSource,
): (number | undefined)[] | FieldError {
  const byPort = new Map<number, number>();
  const out: (number | undefined)[] = [];
  for (const [i, port] of wanted.entries()) {
    const asked = port.nodePort ?? 0;
    out.push(undefined);
    if (asked === 0 && !allocates) continue;
    const number = port.port ?? 0;
    const shared = byPort.get(number);
    if (shared === undefined) {
      const requested = wanted.find((other) => other.port === port.port && (other.nodePort ?? 0) !== 0)?.nodePort;
      const refusal = requested === undefined ? undefined : source.take(requested);
      if (refusal !== undefined) return invalidValue(portField(i), requested, refusal);
      const given = requested ?? anyPort(source);
      out[i] = given;
      byPort.set(number, given);
    } else if (asked === 0) out[i] = shared;
    else if (asked !== shared) {
      const refusal = source.take(asked);
      if (refusal !== undefined) return invalidValue(portField(i), asked, refusal);
    }
  }
  return out;
}

function planChange(
  wanted: readonly ServicePort[],
  allocates: boolean,
  before: ReadonlySet<number>,
  source: PortSource,
): (number | undefined)[] | FieldError {
  const own = new Set(before);
  const out: (number | undefined)[] = [];
  for (const [i, port] of wanted.entries()) {
    const asked = port.nodePort ?? 0;
    out.push(undefined);
    if (asked === 0) {
      if (allocates) out[i] = anyPort(source);
    } else if (!own.has(asked)) {
      const refusal = source.take(asked);
      if (refusal !== undefined) return invalidValue(portField(i), asked, refusal);
      own.add(asked);
    }
  }
  return out;
}

function planHealth(spec: Draft, source: PortSource): number {
  const asked = (spec["healthCheckNodePort"] as number | undefined) ?? 0;
  if (asked !== 0) {
    const refusal = source.take(asked);
    if (refusal !== undefined)
      throw internalError(`failed to allocate requested HealthCheck NodePort ${asked}: ${refusal}`);
    return asked;
  }
  const port = source.takeAny();
  if (port === undefined) throw internalError("failed to allocate a HealthCheck NodePort 0: range is full");
  return port;
}
