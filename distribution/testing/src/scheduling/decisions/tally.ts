import type { Pod } from "@coracle/api/core/v1";
import type { SchedulerDebug } from "@coracle/kube-scheduler";
import { keyOf, type Outcome } from "./side.ts";

type Explanation = NonNullable<ReturnType<SchedulerDebug["explain"]>>;

interface PluginCases {
  /** Pods that it kept off some node. */
  refused: number;
  /** Pods that it kept off every node that the others left. */
  decided: number;
  /** Pods whose nodes it told apart. */
  ranked: number;
}

/** Counts what was compared, by plugin, and keeps what was not alike. */
export class Tally {
  readonly #plugins = new Map<string, PluginCases>();
  readonly #wrong: string[] = [];
  #round = "";
  #counts = { compared: 0, skipped: 0, placed: 0, refused: 0, nominated: 0 };

  /** What comes next belongs to it. */
  begin(round: string): void {
    this.#round = round;
  }

  /** A pod that the server does not take. */
  skip(): void {
    this.#counts.skipped += 1;
  }

  add(pod: Pod, explanation: Explanation | undefined, theirs: Outcome, wrong: readonly string[]): void {
    this.#counts.compared += 1;
    this.#counts[theirs.node === "" ? "refused" : "placed"] += 1;
    if (theirs.nominated !== "") this.#counts.nominated += 1;
    const nodes = explanation?.nodes ?? [];
    const refusedBy = new Set(nodes.flatMap((node) => (node.refusedBy === "" ? "(an error)" : (node.refusedBy ?? []))));
    for (const plugin of refusedBy) {
      this.#of(plugin).refused += 1;
      if (theirs.node === "") this.#of(plugin).decided += 1;
    }
    const scores = new Map<string, Set<number>>();
    for (const { scores: ofNode = {} } of nodes)
      for (const [plugin, { score }] of Object.entries(ofNode))
        scores.set(plugin, (scores.get(plugin) ?? new Set()).add(score));
    for (const [plugin, values] of scores) if (values.size > 1) this.#of(plugin).ranked += 1;
    if (wrong.length > 0)
      this.#wrong.push(
        `${this.#round}, ${keyOf(pod)}: ${wrong.join("\n  ")}\n  ${JSON.stringify(pod.metadata.labels)} ${JSON.stringify(essence(pod))}`,
      );
  }

  addEvents(missing: readonly string[]): void {
    this.#wrong.push(...missing.map((each) => `${this.#round}: ${each}`));
  }

  #of(plugin: string): PluginCases {
    const cases = this.#plugins.get(plugin) ?? { refused: 0, decided: 0, ranked: 0 };
    this.#plugins.set(plugin, cases);
    return cases;
  }

  get compared(): number {
    return this.#counts.compared;
  }

  /** What was not alike. */
  get wrong(): readonly string[] {
    return this.#wrong;
  }

  /** How many pods each plugin kept off some node. */
  get refusals(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#plugins].map(([name, { refused }]) => [name, refused]));
  }

  report(): string {
    const { compared, skipped, placed, refused, nominated } = this.#counts;
    const rows = [...this.#plugins]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(
        ([name, cases]) =>
          `${name.padEnd(32)} kept off a node ${cases.refused}, off all that were left ${cases.decided}, ranked ${cases.ranked}`,
      );
    const head = `${compared} pods compared (${placed} placed, ${refused} refused, ${nominated} made room), ${skipped} not taken by the server; not alike: ${this.#wrong.length}`;
    return [head, ...rows].join("\n");
  }
}

/** What was drawn of the pod, without what every pod gets. */
function essence({ spec }: Pod): object {
  const plain = ["imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"];
  const usual = [
    "automountServiceAccountToken",
    "enableServiceLinks",
    "restartPolicy",
    "dnsPolicy",
    "securityContext",
    "serviceAccountName",
    "serviceAccount",
    "terminationGracePeriodSeconds",
  ];
  const without = (object: object, names: readonly string[]): object =>
    Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
  const tolerations = spec.tolerations?.filter(({ key = "" }) => !key.startsWith("node.kubernetes.io/"));
  const containers = spec.containers.map((each) => without(each, plain));
  return { ...without(spec, usual), containers, tolerations };
}
