import type { Clock } from "@coracle/base";
import { Histogram, renderHistograms } from "./histogram.ts";

const BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 2.5];

/** Which half of admission. */
export type AdmissionStep = "admit" | "validate";

/** One plugin's half, or the whole half, in one operation. */
export interface AdmissionSeries {
  readonly accepted: Histogram;
  readonly rejected: Histogram;
}

/** Counts how long admission takes, under upstream's names. */
export class AdmissionMetrics {
  readonly clock: Clock;
  readonly #controllers = new Map<string, AdmissionSeries>();
  readonly #steps = new Map<string, AdmissionSeries>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  controller(name: string, step: AdmissionStep, operation: string): AdmissionSeries {
    return seriesOf(this.#controllers, `name="${name}",operation="${operation}"`, step);
  }

  step(step: AdmissionStep, operation: string): AdmissionSeries {
    return seriesOf(this.#steps, `operation="${operation}"`, step);
  }

  /** The Prometheus text format. */
  render(): string {
    const lines: string[] = [];
    const family = (name: string, known: ReadonlyMap<string, AdmissionSeries>): void =>
      renderHistograms(
        `apiserver_admission_${name}_admission_duration_seconds`,
        [...known.values()].flatMap(({ accepted, rejected }) => [accepted, rejected]),
        lines,
      );
    family("controller", this.#controllers);
    family("step", this.#steps);
    return lines.join("\n");
  }
}

function seriesOf(known: Map<string, AdmissionSeries>, labels: string, step: AdmissionStep): AdmissionSeries {
  const key = `${labels} ${step}`;
  let found = known.get(key);
  if (found === undefined) {
    const of = (isRejected: boolean): Histogram =>
      new Histogram(`${labels},rejected="${isRejected}",type="${step}"`, BUCKETS);
    known.set(key, (found = { accepted: of(false), rejected: of(true) }));
  }
  return found;
}
