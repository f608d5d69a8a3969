import { readFileSync } from "node:fs";
import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { evaluatePod, printDetails } from "./evaluate.ts";
import { warnOfExistingPods } from "./existing-pods.ts";
import { podView } from "./pod-view.ts";
import { readPolicy, type Level, type LevelVersion } from "./policy.ts";

interface Observed {
  readonly name: string;
  readonly spec: NonNullable<Pod["spec"]>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** What was said, and at which levels and versions: `b0` is baseline as of v1.0, `rlatest` restricted today. */
  readonly answers: readonly (readonly [string, string])[];
}

const observed = JSON.parse(
  readFileSync(new URL("./testdata/observed.json", import.meta.url), "utf8"),
) as readonly Observed[];

function levelOf(text: string): LevelVersion {
  const level = text.startsWith("b") ? "baseline" : "restricted";
  const minor = text.slice(1);
  return { level, minor: minor === "latest" ? undefined : Number(minor) };
}

describe("what upstream's server says of these pods, at each version of the standards", () => {
  it.each(observed.map((each) => [each.name, each] as const))("%s", (_, { spec, annotations, answers }) => {
    const view = podView(annotations === undefined ? {} : { annotations }, spec);
    for (const [message, levels] of answers) {
      for (const at of levels.split(" ")) {
        expect(`${at}: ${printDetails(evaluatePod(view, levelOf(at)))}`).toBe(`${at}: ${message}`);
      }
    }
  });
});

const FREE: LevelVersion = { level: "privileged", minor: undefined };
const at = (level: Level, minor?: number): LevelVersion => ({ level, minor });

describe("the policy of a namespace", () => {
  const defaults = { enforce: FREE, audit: FREE, warn: FREE };
  const label = (labels: Record<string, string>): Record<string, string> =>
    Object.fromEntries(Object.entries(labels).map(([key, value]) => [`pod-security.kubernetes.io/${key}`, value]));
  it.each<[string, Record<string, string>, object, number]>([
    ["nothing", {}, defaults, 0],
    [
      "what is enforced is warned of, too",
      { enforce: "restricted", "enforce-version": "v1.28" },
      { enforce: at("restricted", 28), audit: FREE, warn: at("restricted", 28) },
      0,
    ],
    [
      "unless the labels say of what to warn",
      { enforce: "restricted", warn: "baseline", "warn-version": "v1.2" },
      { enforce: at("restricted"), audit: FREE, warn: at("baseline", 2) },
      0,
    ],
    [
      "a version to warn of stays",
      { enforce: "baseline", "warn-version": "v1.3" },
      { enforce: at("baseline"), audit: FREE, warn: at("baseline", 3) },
      0,
    ],
    [
      "what cannot be read is enforced as strictly as can be, and nobody is told",
      { enforce: "x", audit: "y", warn: "z", "enforce-version": "1.3" },
      { enforce: at("restricted"), audit: FREE, warn: FREE },
      4,
    ],
  ])("%s", (_, labels, policy, errors) => {
    const read = readPolicy(label(labels), defaults);
    expect(read.policy).toEqual(policy);
    expect(read.errors).toHaveLength(errors);
  });
  it("errors name the label", () => {
    expect(readPolicy(label({ enforce: "x", "enforce-version": "1.3" }), defaults).errors).toEqual([
      {
        type: "FieldValueInvalid",
        field: "metadata.labels[pod-security.kubernetes.io/enforce]",
        message: 'Invalid value: "x": must be one of privileged, baseline, restricted',
      },
      {
        type: "FieldValueInvalid",
        field: "metadata.labels[pod-security.kubernetes.io/enforce-version]",
        message: 'Invalid value: "1.3": must be "latest" or "v1.x"',
      },
    ]);
  });
});

describe("pods that are there when a namespace's labels change", () => {
  const pod = (name: string, spec: object, owner?: string): Pod =>
    ({
      metadata: { name, ...(owner === undefined ? {} : { ownerReferences: [{ controller: true, uid: owner }] }) },
      spec: { containers: [{ name: "c" }], ...spec },
    }) as unknown as Pod;
  const never = (): boolean => false;
  it("are told of by what they violate", () => {
    const pods = [
      pod("b", { hostPID: true }),
      pod("a", { hostPID: true }),
      pod("c", { hostNetwork: true }),
      pod("d", {}),
    ];
    pods.push(pod("e", { hostPID: true }), pod("f", { volumes: [{ name: "v", hostPath: { path: "/" } }] }));
    expect(warnOfExistingPods("ns", pods, at("baseline"), [], never)).toEqual([
      'existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"',
      "a (and 3 other pods): host namespaces",
      "f: hostPath volumes",
    ]);
  });
  it("of one owner are looked at after one of each, and those in time only", () => {
    let looked = 0;
    const pods = [
      pod("a1", { hostPID: true }, "a"),
      pod("a2", { hostPID: true }, "a"),
      pod("b1", { hostIPC: true }, "b"),
    ];
    expect(warnOfExistingPods("ns", pods, at("baseline", 30), [], () => ++looked >= 2)).toEqual([
      "new PodSecurity enforce level only checked against the first 2 of 3 existing pods",
      'existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:v1.30"',
      "a1 (and 1 other pod): host namespaces",
    ]);
  });
  it("of an exempt runtime class are passed by", () => {
    const pods = [pod("a", { hostPID: true, runtimeClassName: "sandboxed" })];
    expect(warnOfExistingPods("ns", pods, at("baseline"), ["sandboxed"], never)).toEqual([]);
  });
});
