import { describe, expect, it } from "vitest";
import { parseConfiguration, printConfiguration } from "./read-configuration.ts";

const HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
const refusal = async (text: string): Promise<string> =>
  await parseConfiguration(text).then(
    () => "",
    (error: unknown) => (error as Error).message,
  );
const NAME_PART =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

describe("KubeSchedulerConfiguration: what upstream's program says, word for word", () => {
  it("fields that nobody knows, of the file and of arguments", async () => {
    expect(
      await refusal(`${HEAD}foo: 1
profiles:
- schedulerName: a
  plugins: {filter: {enabled: [{name: X, wait: 3}]}}
  pluginConfig:
  - name: NodeAffinity
    args: {foo: 1}`),
    ).toBe(
      'strict decoding error: unknown field "foo", unknown field "profiles[0].plugins.filter.enabled[0].wait", decoding .profiles[0].pluginConfig[0]: strict decoding error: decoding args for plugin NodeAffinity: strict decoding error: unknown field "foo"',
    );
  });
  it("values of another kind", async () => {
    expect(await refusal(`${HEAD}parallelism: "a"`)).toBe(
      "json: cannot unmarshal string into Go struct field KubeSchedulerConfiguration.parallelism of type int32",
    );
  });
  it("another kind or version, or none", async () => {
    expect(await refusal("apiVersion: v1\nkind: KubeSchedulerConfiguration")).toBe(
      'no kind "KubeSchedulerConfiguration" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"',
    );
    expect(await refusal("a: 1\n")).toBe("Object 'Kind' is missing in 'a: 1\n'");
  });
  it("everything that is wrong at once, in order", async () => {
    const text = `${HEAD}
parallelism: -1
percentageOfNodesToScore: 200
podInitialBackoffSeconds: 0
podMaxBackoffSeconds: -1
leaderElection: {resourceLock: endpoints, leaseDuration: 1s}
extenders: [{urlPrefix: "http://x", bindVerb: a, prioritizeVerb: p},{urlPrefix: x, bindVerb: b, managedResources: [{name: "cpu"},{name: "a_b/c d"}]}]
profiles:
- schedulerName: a
- schedulerName: a
  pluginConfig:
  - name: NodeAffinity
    args: {addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: "a b", operator: In}]}]}}}
  - name: DefaultPreemption
    args: {minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 0}
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: Foo, resources: [{name: cpu, weight: 200}]}}
  - name: PodTopologySpread
    args: {defaultingType: List, defaultConstraints: [{maxSkew: 0, topologyKey: "a b", whenUnsatisfiable: x}]}
  - name: NodeResourcesBalancedAllocation
    args: {resources: [{name: cpu, weight: 2}]}
  - name: InterPodAffinity
    args: {hardPodAffinityWeight: 101}
  - name: VolumeBinding
    args: {bindTimeoutSeconds: -1}`;
    const at = "profiles[1].pluginConfig";
    const term = `${at}[0].args.addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]`;
    expect(await refusal(text)).toBe(
      `[${[
        'leaderElection.leaseDuration: Invalid value: "10s": must be greater than `RenewDeadline`',
        'leaderElection.resourceLock: Invalid value: "endpoints": resourceLock value must be "leases"',
        "parallelism: Invalid value: -1: should be an integer value greater than zero",
        `${term}.matchExpressions[0].key: Invalid value: "a b": ${NAME_PART}`,
        `${term}.matchExpressions[0].values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty`,
        `${at}[1].args.minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as minCandidateNodesAbsolute`,
        `${at}[1].args.minCandidateNodesAbsolute: Invalid value: 0: cannot be zero at the same time as minCandidateNodesPercentage`,
        `${at}[3].args.defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf)`,
        `${at}[3].args.defaultConstraints[0].topologyKey: Invalid value: "a b": ${NAME_PART}`,
        `${at}[3].args.defaultConstraints[0].whenUnsatisfiable: Unsupported value: "x": supported values: "DoNotSchedule", "ScheduleAnyway"`,
        `${at}[4].args.resources[0].weight: Invalid value: 2: must be 1`,
        `${at}[5].args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]`,
        `${at}[6].args.bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value`,
        "profiles[1].schedulerName: Duplicate value: {}",
        "percentageOfNodesToScore: Invalid value: 200: not in valid range [0-100]",
        "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0",
        "podMaxBackoffSeconds: Invalid value: -1: must be greater than or equal to PodInitialBackoffSeconds",
        "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it",
        'extenders[1].managedResources[0].name: Invalid value: "cpu": is an invalid extended resource name',
        `extenders[1].managedResources[1].name: Invalid value: "a_b/c d": prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
        `extenders[1].managedResources[1].name: Invalid value: "a_b/c d": ${NAME_PART}`,
        'extenders: Invalid value: "found 2 extenders implementing bind": only one extender can implement bind',
      ].join(", ")}]`,
    );
  });
});

describe("what is filled in", () => {
  it("an empty file is upstream's default, and prints as one that says the same", async () => {
    const config = await parseConfiguration(HEAD);
    expect(config).toMatchObject({ parallelism: 16, podInitialBackoffSeconds: 1, podMaxBackoffSeconds: 10 });
    expect(config.profiles[0]?.pluginConfig.map(({ name }) => name)).toEqual([
      "DefaultPreemption",
      "DynamicResources",
      "InterPodAffinity",
      "NodeAffinity",
      "NodeResourcesBalancedAllocation",
      "NodeResourcesFit",
      "PodTopologySpread",
      "VolumeBinding",
    ]);
    const printed = printConfiguration(config);
    expect(printed).toContain("- name: TaintToleration\n        weight: 3\n");
    expect(await parseConfiguration(printed)).toEqual(config);
  });
  it("a default plugin that is enabled again keeps its place and gets the new weight; others come last", async () => {
    const { profiles } = await parseConfiguration(
      `${HEAD}profiles: [{plugins: {multiPoint: {enabled: [{name: Mine}, {name: ImageLocality, weight: 9}], disabled: [{name: NodePorts}]}}}]`,
    );
    const enabled = profiles[0]?.plugins.multiPoint?.enabled ?? [];
    expect(enabled.slice(-3)).toEqual([
      { name: "ImageLocality", weight: 9 },
      { name: "DefaultBinder" },
      { name: "Mine" },
    ]);
    expect(enabled.some(({ name }) => name === "NodePorts")).toBe(false);
  });
});
