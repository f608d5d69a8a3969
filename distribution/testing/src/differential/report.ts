import type { Difference, Outcome } from "./run.ts";

/** What has to be reached. */
const REQUESTS = 3_000;
const SAME_CODE = 0.99;
const SAME_ANSWER = 0.97;
const SHOWN_PER_CLASS = 3;
const SHOWN_PLACES = 4;

const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(2)} %`;

/** The comparison as people read it: differences by class, then the shares. */
export function describeOutcome({ requests, sameCode, sameAnswer, differences }: Outcome): {
  readonly text: string;
  readonly isGood: boolean;
} {
  const classes = new Map<string, Difference[]>();
  for (const difference of differences) {
    const members = classes.get(difference.step.topic) ?? [];
    classes.set(difference.step.topic, members);
    members.push(difference);
  }
  const lines: string[] = [];
  for (const [topic, members] of [...classes].toSorted(([, a], [, b]) => b.length - a.length)) {
    lines.push(`${members.length} × ${topic}`);
    for (const { step, places } of members.slice(0, SHOWN_PER_CLASS)) {
      lines.push(`  ${step.method} ${step.path}`, ...places.slice(0, SHOWN_PLACES).map((place) => `    ${place}`));
    }
  }
  lines.push(
    `${requests} requests: same code ${sameCode} (${percent(sameCode, requests)}), same answer ${sameAnswer} (${percent(sameAnswer, requests)})`,
  );
  const isGood = requests >= REQUESTS && sameCode / requests >= SAME_CODE && sameAnswer / requests >= SAME_ANSWER;
  return { text: `${lines.join("\n")}\n`, isGood };
}
