import type { ApiObject } from "../registry/resource-definition.ts";
import type { PortLedger } from "./port-ledger.ts";
import type { ReportProblem } from "./problem-events.ts";
import { nodePortsOf, specOf } from "./service-fields.ts";

/** Rounds for which a port that no Service has stays taken: one may be about to be written. */
const ROUNDS = 2;

interface Finding {
  readonly service: ApiObject;
  readonly reason: string;
  readonly note: string;
}

/** Makes the record of node ports agree with the Services. */
export class PortRepair {
  readonly #ledger: PortLedger;
  readonly #report: ReportProblem;
  readonly #leaks = new Map<number, number>();

  constructor(ledger: PortLedger, report: ReportProblem) {
    this.#ledger = ledger;
    this.#report = report;
  }

  /** Ports are taken that no Service has. */
  get suspectsLeaks(): boolean {
    return this.#leaks.size > 0;
  }

  async run(services: readonly ApiObject[]): Promise<void> {
    const { range } = this.#ledger;
    const used = new Set<number>();
    const findings: Finding[] = [];
    for (const service of services) {
      for (const port of nodePortsOf(specOf(service))) {
        if (!used.has(port)) {
          used.add(port);
          continue;
        }
        const note = `Port ${port} was assigned to multiple services; please recreate service`;
        findings.push({ service, reason: "PortAlreadyAllocated", note });
      }
    }
    const [first = 0, last = 0] = range.split("-").map(Number);
    const ownerOf = (port: number): ApiObject =>
      services.find((service) => nodePortsOf(specOf(service)).has(port)) as ApiObject;
    for (const port of used) {
      if (port >= first && port <= last) continue;
      const note = `Port ${port} is not within the port range ${range}; please recreate service`;
      findings.push({ service: ownerOf(port), reason: "PortOutOfRange", note });
    }
    const { missing, leaked } = await this.#mend(used);
    for (const port of missing) {
      const note = `Port ${port} is not allocated; repairing`;
      findings.push({ service: ownerOf(port), reason: "PortNotAllocated", note });
    }
    this.#note(leaked);
    for (const { service, reason, note } of findings)
      this.#report({ object: service, kind: "Service", reason, action: "PortAllocation", note });
  }

  #mend(used: ReadonlySet<number>): Promise<{ readonly missing: number[]; readonly leaked: number[] }> {
    return this.#ledger.change((ports) => {
      const missing = [...used].filter((port) => !ports.has(port) && ports.take(port) === "taken");
      const leaked = ports.taken.filter((port) => !used.has(port));
      for (const port of leaked) if (this.#leaks.get(port) === 0) ports.release(port);
      return { missing, leaked };
    });
  }

  /** Counts down; what reached the end was given back. */
  #note(leaked: readonly number[]): void {
    const rounds = new Map(this.#leaks);
    this.#leaks.clear();
    for (const port of leaked) {
      const left = rounds.get(port) ?? ROUNDS + 1;
      if (left > 0) this.#leaks.set(port, left - 1);
    }
  }
}
