/** Where the suite is told its images are; they are loaded, never pulled. */
const REGISTRY = "localhost";

/** The suite's registries by its own names for them, as the file of `KUBE_TEST_REPO_LIST`. What must not be pullable is not. */
export const REPOSITORY_LIST = Object.entries({
  promoterE2eRegistry: `${REGISTRY}/e2e-test-images`,
  gcRegistry: REGISTRY,
  gcEtcdRegistry: REGISTRY,
  dockerLibraryRegistry: `${REGISTRY}/library`,
  buildImageRegistry: `${REGISTRY}/build-image`,
  sigStorageRegistry: `${REGISTRY}/sig-storage`,
  cloudProviderGcpRegistry: `${REGISTRY}/cloud-provider-gcp`,
  privateRegistry: `${REGISTRY}/private`,
  invalidRegistry: "127.0.0.1:9/invalid",
})
  .map(([name, registry]) => `${name}: ${registry}\n`)
  .join("");

/** The suite's name of the image in a folder `e2e-test-images_busybox_1.37.0-1`. Undefined for another kind of name. Pure. */
export function imageNameOf(folder: string): string | undefined {
  const [, path, tag] = /^([a-z0-9_-]+)_([\w.-]+)$/.exec(folder) ?? [];
  return path === undefined ? undefined : `${REGISTRY}/${path.replaceAll("_", "/")}:${tag}`;
}

/** The index of an OCI layout with the image under another name. Pure. */
export function renamedIndex(index: string, name: string): string {
  const parsed = JSON.parse(index) as { manifests: { annotations?: Record<string, string> }[] };
  for (const entry of parsed.manifests)
    entry.annotations = { ...entry.annotations, "org.opencontainers.image.ref.name": name };
  return JSON.stringify(parsed);
}

/** What may run side by side, and what must run alone. */
export type Part = "parallel" | "serial";

const LABELS: Readonly<Record<Part, string>> = {
  parallel: "Conformance && !Serial && !Disruptive",
  serial: "Conformance && (Serial || Disruptive)",
};

export interface SuiteOptions {
  readonly suite: string;
  /** The program that runs tests side by side; absent: one by one. */
  readonly ginkgo: string | undefined;
  readonly processes: number;
  readonly nodes: number;
  /** Only tests whose names match. */
  readonly focus: string;
  readonly kubeconfig: string;
  readonly kubectl: string;
  /** Where JUnit's file goes. */
  readonly reports: string;
}

/** The command that runs one part of the suite. Pure. */
export function suiteCommand(part: Part, options: SuiteOptions): [command: string, args: string[]] {
  const { suite, ginkgo, processes, nodes, focus, kubeconfig, kubectl, reports } = options;
  const chosen = { "label-filter": LABELS[part], ...(focus === "" ? {} : { focus }), timeout: "3h" };
  const flags = (prefix: string): string[] =>
    Object.entries(chosen).map(([name, value]) => `--${prefix}${name}=${value}`);
  const own = [
    `--kubeconfig=${kubeconfig}`,
    "--provider=skeleton",
    `--kubectl-path=${kubectl}`,
    "--node-os-distro=debian",
    `--num-nodes=${nodes}`,
    "--disable-log-dump=true",
    "--dump-logs-on-failure=false",
    `--report-dir=${reports}`,
  ];
  if (ginkgo === undefined || part === "serial") return [suite, [...flags("ginkgo."), "--ginkgo.no-color", ...own]];
  return [ginkgo, [`--procs=${processes}`, "--no-color", ...flags(""), suite, "--", ...own]];
}
