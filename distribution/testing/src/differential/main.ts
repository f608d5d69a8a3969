import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { createSeededRandom } from "@coracle/base";
import { Connection } from "./connection.ts";
import { autoscalers, compression, deprecated, events, migration } from "./further-chapters.ts";
import { kindStory, type KindFacts } from "./kind-story.ts";
import { mutationChapter } from "./mutations.ts";
import { protocolChapters } from "./protocol-chapters.ts";
import { describeOutcome } from "./report.ts";
import { compareServers } from "./run.ts";
import { loadChanges, loadSeeds, nameOf, type Seed } from "./seeds.ts";
import { startOurServer, startPeerServer, type ServerUnderTest } from "./server.ts";
import { jsonStep, type Chapter } from "./step.ts";
import { warnings } from "./warnings-chapter.ts";

const SEED = 20_261_122;
const MUTATIONS_PER_OBJECT = 40;

const USAGE = `usage: npm run differential -- --peer-kube-apiserver PATH --peer-etcd PATH [--coracle FILE] [--seed N]
                 [--mutations N] [--only TEXT] [--report FILE]`;

interface Arguments {
  readonly peer: { readonly kubeApiserver: string; readonly etcd: string };
  readonly coracle: string;
  readonly seed: number;
  readonly mutations: number;
  readonly only: string;
  readonly report: string | undefined;
}

function readArguments(args: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      "peer-kube-apiserver": { type: "string" },
      "peer-etcd": { type: "string" },
      coracle: { type: "string", default: "distribution/cli/bin/coracle.mjs" },
      seed: { type: "string", default: String(SEED) },
      mutations: { type: "string", default: String(MUTATIONS_PER_OBJECT) },
      only: { type: "string", default: "" },
      report: { type: "string" },
    },
  });
  const [kubeApiserver, etcd] = [values["peer-kube-apiserver"], values["peer-etcd"]];
  if (kubeApiserver === undefined || etcd === undefined) throw new TypeError("upstream's programs must be named");
  return {
    peer: { kubeApiserver, etcd },
    coracle: values.coracle,
    seed: Number(values.seed),
    mutations: Number(values.mutations),
    only: values.only,
    report: values.report,
  };
}

interface Discovery {
  readonly kinds: ReadonlyMap<string, KindFacts>;
  readonly paths: readonly string[];
}

/** What upstream's serves: kinds by `GROUP/VERSION/PLURAL`, and the paths of its discovery documents. */
async function discover(server: ServerUnderTest): Promise<Discovery> {
  const connection = await Connection.open(server.target);
  try {
    const read = async (path: string): Promise<unknown> =>
      JSON.parse((await connection.send({ method: "GET", path })).body.toString("utf8"));
    const { groups } = (await read("/apis")) as {
      groups: { name: string; versions: { groupVersion: string }[] }[];
    };
    const versions = groups.flatMap((group) => group.versions.map(({ groupVersion }) => groupVersion));
    const paths = ["/api/v1", ...versions.map((version) => `/apis/${version}`)];
    const kinds = new Map<string, { subresources: string[]; verbs: readonly string[] }>();
    for (const path of paths) {
      const { resources } = (await read(path)) as { resources: { name: string; verbs: string[] }[] };
      for (const { name, verbs } of resources) {
        const [plural = "", subresource] = name.split("/");
        const key = `${path.replace(/^\/apis?\//, "")}/${plural}`;
        const known = kinds.get(key) ?? { subresources: [], verbs };
        kinds.set(key, known);
        if (subresource !== undefined) known.subresources.push(subresource);
      }
    }
    return { kinds, paths: [...paths, ...groups.map(({ name }) => `/apis/${name}`), "/api", "/apis"] };
  } finally {
    connection.close();
  }
}

/** Pods want the account that a controller makes elsewhere. */
const PREPARATION: Chapter = [
  jsonStep("set-up", "POST", "/api/v1/namespaces/default/serviceaccounts", accountNamed("default"), { isSetUp: true }),
  jsonStep("set-up", "POST", "/api/v1/namespaces/default/serviceaccounts", accountNamed("builder"), { isSetUp: true }),
];

function accountNamed(name: string): object {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } };
}

/** Kinds of which each sees what the other writes share a lane. */
const SHARED_LANES: Readonly<Record<string, string>> = {
  "events.k8s.io/v1/events": "v1/events",
  "autoscaling/v1/horizontalpodautoscalers": "autoscaling/v2/horizontalpodautoscalers",
  "networking.k8s.io/v1/servicecidrs": "v1/services",
  "networking.k8s.io/v1/ipaddresses": "v1/services",
  "v1/endpoints": "v1/services",
  "discovery.k8s.io/v1/endpointslices": "v1/services",
  "v1/limitranges": "v1/pods",
  "v1/resourcequotas": "v1/pods",
  "v1/persistentvolumeclaims": "v1/pods",
  "v1/serviceaccounts": "v1/pods",
  "node.k8s.io/v1/runtimeclasses": "v1/pods",
  "scheduling.k8s.io/v1/priorityclasses": "v1/pods",
};

const laneOf = (seed: Seed): string => SHARED_LANES[kindOf(seed)] ?? kindOf(seed);

const kindOf = (seed: Seed): string => seed.seed.slice(0, -nameOf(seed.object).length - 1);

/** Chapters by what they write to: those about the same collection must not meet. The first lane is carried out before all others. */
function write(args: Arguments, discovery: Discovery): Chapter[][] {
  const random = createSeededRandom(args.seed);
  const seeds = loadSeeds();
  const changes = loadChanges();
  const stories = seeds.map((seed) =>
    kindStory(seed, discovery.kinds.get(kindOf(seed)) ?? { subresources: [], verbs: [] }),
  );
  const mutations = seeds.map((seed) => mutationChapter(random, seed, changes, args.mutations));
  const wanted = (chapter: Chapter): boolean => chapter.some(({ topic }) => topic.includes(args.only));
  // What is asked of the protocol is asked with config maps.
  const protocol = [...protocolChapters(discovery.paths), compression(), migration(), deprecated()];
  const lanes = new Map<string, Chapter[]>([
    ["v1/configmaps", protocol.filter(wanted)],
    ["v1/events", [events()].filter(wanted)],
    ["v1/pods", [warnings()].filter(wanted)],
    ["autoscaling/v2/horizontalpodautoscalers", [autoscalers()].filter(wanted)],
  ]);
  seeds.forEach((seed, i) => {
    const lane = lanes.get(laneOf(seed)) ?? [];
    lanes.set(laneOf(seed), lane);
    lane.push(...[stories[i] ?? [], mutations[i] ?? []].filter(wanted));
  });
  return [[PREPARATION], ...lanes.values()];
}

async function main(args: Arguments): Promise<number> {
  await using theirs = await startPeerServer(args.peer);
  await using ours = await startOurServer(args.coracle);
  const outcome = await compareServers(ours, theirs, write(args, await discover(theirs)));
  if (args.report !== undefined) writeFileSync(args.report, JSON.stringify(outcome, undefined, 1));
  const { text, isGood } = describeOutcome(outcome);
  process.stdout.write(text);
  return isGood ? 0 : 1;
}

let parsed: Arguments;
try {
  parsed = readArguments(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`differential: ${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`);
  process.exit(2);
}
process.exit(await main(parsed));
