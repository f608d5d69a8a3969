import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { unpackClientProgram } from "@coracle/cluster";
import { run } from "@coracle/linux";
import { startCluster, type TestCluster } from "../cluster/test-cluster.ts";
import { createTestHost, type TestHost } from "../host/test-host.ts";
import {
  imageNameOf,
  renamedIndex,
  REPOSITORY_LIST,
  suiteCommand,
  type Part,
  type SuiteOptions,
} from "./official-suite.ts";
import { countByGroup, outcomesOf, type Outcome } from "./outcomes.ts";

const USAGE = `usage: npm run conformance -- --e2e-test PATH --images DIR [--ginkgo PATH] [--procs N] [--nodes N] [--focus REGEXP]
                [--part parallel|serial] [--out DIR]

Brings up a cluster of its own, runs Kubernetes' conformance suite against it, and takes the cluster down.
--images is a folder of OCI layouts, one a folder, named as the suite names the image with _ for / and before the tag:
e2e-test-images_busybox_1.37.0-1, pause_3.10.1.`;

const { values } = parseArgs({
  options: {
    "e2e-test": { type: "string" },
    images: { type: "string" },
    ginkgo: { type: "string" },
    procs: { type: "string", default: "4" },
    nodes: { type: "string", default: "2" },
    focus: { type: "string", default: "" },
    part: { type: "string" },
    out: { type: "string", default: "node_modules/.cache/conformance-results" },
  },
});

/** Adds the images to all nodes; those that are made for nothing the suite names are left out. */
async function loadImages(host: TestHost, cluster: TestCluster, dir: string): Promise<number> {
  let count = 0;
  for (const folder of readdirSync(dir)) {
    const name = imageNameOf(folder);
    const layout = join(dir, folder);
    if (name === undefined || !existsSync(join(layout, "index.json"))) continue;
    writeFileSync(join(host.dir, "index.json"), renamedIndex(readFileSync(join(layout, "index.json"), "utf8"), name));
    const archive = join(host.dir, "image.tar");
    await run("tar", ["-cf", archive, "-C", layout, "oci-layout", "blobs", "-C", host.dir, "index.json"]);
    const { code, stderr } = await cluster.coracle("image", "load", archive);
    if (code !== 0) throw new Error(`${folder}: ${stderr}`);
    count++;
  }
  return count;
}

async function runPart(host: TestHost, part: Part, options: SuiteOptions, repositories: string): Promise<Outcome[]> {
  const [command, args] = suiteCommand(part, options);
  // Reports of an earlier run are not of this one.
  rmSync(options.reports, { recursive: true, force: true });
  mkdirSync(options.reports, { recursive: true });
  const log = join(options.reports, "log");
  process.stdout.write(`${part}: what the suite says goes to ${log}\n`);
  await host.run("sh", ["-c", 'exec "$@" > "$0" 2>&1', log, command, ...args], {
    allowFailure: true,
    signal: stopped.signal,
    env: { KUBE_TEST_REPO_LIST: repositories },
  });
  const reports = readdirSync(options.reports).filter((file) => file.endsWith(".xml"));
  if (reports.length === 0) throw new Error(`the suite left no report; what it said is in ${log}`);
  return reports.flatMap((file) => outcomesOf(readFileSync(join(options.reports, file), "utf8")));
}

const parts = (["parallel", "serial"] as const).filter((part) => values.part === undefined || values.part === part);
const { "e2e-test": suite, images, ginkgo, focus } = values;
if (suite === undefined || images === undefined || parts.length === 0) {
  process.stderr.write(`${USAGE}\n`);
  process.exit(2);
}
const stopped = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => stopped.abort(new Error(`stopped by ${signal}`)));
}

/** Runs the parts against a cluster that is there for them alone. */
async function runSuite(program: string, imageFolder: string): Promise<Outcome[]> {
  await using host = await createTestHost();
  await using cluster = await startCluster(host, { flags: ["--nodes", values.nodes] });
  process.stdout.write(`${values.nodes} nodes with ${await loadImages(host, cluster, imageFolder)} images each\n`);
  const repositories = join(host.dir, "repositories.yaml");
  writeFileSync(repositories, REPOSITORY_LIST);
  const outcomes: Outcome[] = [];
  for (const part of parts) {
    const options = {
      suite: program,
      ginkgo: ginkgo === undefined ? undefined : resolve(ginkgo),
      processes: Number(values.procs),
      nodes: Number(values.nodes),
      focus,
      kubeconfig: cluster.kubeconfig,
      kubectl: unpackClientProgram("kubectl"),
      reports: join(resolve(values.out), part),
    };
    const found = await runPart(host, part, options, repositories);
    process.stdout.write(`${part}: ${found.filter(({ passed }) => passed).length} of ${found.length} passed\n`);
    outcomes.push(...found);
  }
  return outcomes;
}

const outcomes = await runSuite(resolve(suite), resolve(images)).catch((error: unknown) => {
  if (!stopped.signal.aborted) throw error;
  process.stderr.write("stopped; the cluster is gone\n");
  process.exit(1);
});
for (const { group, name, failure } of outcomes.filter(({ passed }) => !passed)) {
  process.stdout.write(`failed: [${group}] ${name}\n${failure.replaceAll(/^/gm, "    ")}\n`);
}
for (const [group, { passed, ran }] of countByGroup(outcomes)) process.stdout.write(`${group}: ${passed} of ${ran}\n`);
process.exitCode = outcomes.length > 0 && outcomes.every(({ passed }) => passed) ? 0 : 1;
