import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parseCloudControllerManagerFlags } from "../control-plane/cloud-controller-manager/src/flags.ts";
import { FLAG_KINDS } from "../control-plane/kube-apiserver/src/command-line/flag-kinds.ts";
import { parseControllerManagerFlags } from "../control-plane/kube-controller-manager/src/flags.ts";
import { parseSchedulerFlags } from "../control-plane/kube-scheduler/src/flags.ts";
import { controllers } from "../control-plane/kube-controller-manager/src/manager/registry.ts";
import { RESOURCE_NOTES } from "./documentation/resource-notes.ts";
import { keyOf, resourceTable, servedResources, verdictShares } from "./documentation/resource-table.ts";

const root = join(fileURLToPath(import.meta.url), "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const PARITY = "docs/parity.md";
/** Measured, not written: a checkout may lack it. */
const BENCHMARKS = "benchmarks.md";

function pagesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (["node_modules", "dist", "testdata", ".git"].includes(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return pagesBelow(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

/** Where a component names its flags. */
const FLAG_FILES: Readonly<Record<string, string>> = {
  "kube-apiserver": "control-plane/kube-apiserver/src/flags.ts",
  "kube-controller-manager": "control-plane/kube-controller-manager/src/flags.ts",
  "kube-scheduler": "control-plane/kube-scheduler/src/flags.ts",
  "cloud-controller-manager": "control-plane/cloud-controller-manager/src/flags.ts",
  etcd: "control-plane/etcd/src/server/flags.ts",
  kubelet: "node/kubelet/src/flags.ts",
  "kube-proxy": "node/kube-proxy/src/flags.ts",
  "container-runtime": "node/container-runtime/src/flags.ts",
  "cluster-dns": "addons/cluster-dns/src/flags.ts",
};

/** Components whose flags are put together of several files. */
const PARSERS: Readonly<Record<string, (argv: readonly string[]) => unknown>> = {
  "kube-controller-manager": parseControllerManagerFlags,
  "kube-scheduler": parseSchedulerFlags,
  "cloud-controller-manager": parseCloudControllerManagerFlags,
};

/** The names of flags that `--help` tells. */
function flagsInHelp(parse: (argv: readonly string[]) => unknown): string[] {
  try {
    parse(["--help"]);
    return [];
  } catch (error) {
    return [...(error as Error).message.matchAll(/--(\S+)/g)].map(([, name = ""]) => name);
  }
}

/** The names of flags in a flags.ts, in whichever of the three ways it writes them down. */
function flagsOf(source: string): string[] {
  const names = new Set<string>();
  const body = source.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
  for (const [, list = ""] of body.matchAll(/flag\.\w+\((\[[^\]]*\]|"[^"]+")/g))
    for (const [, name = ""] of list.matchAll(/"([^"]+)"/g)) names.add(name);
  for (const [, name = ""] of body.matchAll(/take(?:List|Number|Boolean|All)?\(\s*"([^"]+)"/g)) names.add(name);
  for (const [, name = ""] of body.matchAll(/take(?:Duration|All)?\(flags, "([^"]+)"/g)) names.add(name);
  for (const [, list = ""] of body.matchAll(/IGNORED = new Set\(\[([^\]]*)\]/g))
    for (const [, name = ""] of list.matchAll(/"([^"]+)"/g)) names.add(name);
  for (const [, name = ""] of body.matchAll(
    /^\s+"?([a-z][a-z0-9-]*)"?: \["[a-zA-Z0-9]+", "(?:string|list|boolean|number|duration)"\]/gm,
  ))
    names.add(name);
  for (const [, options = ""] of body.matchAll(/options: \{([^]*?)\n {4}\},/g))
    for (const [, name = ""] of options.matchAll(/^\s+"?([a-z][a-z0-9-]*)"?: (?:text|\{)/gm)) names.add(name);
  return [...names];
}

describe("the documentation", () => {
  it("links and names of files lead somewhere", () => {
    const dead = pagesBelow("").flatMap((page) => {
      const text = read(page);
      const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map(([, target = ""]) => target)
        .filter((target) => !/^[a-z]+:/.test(target) && !target.endsWith(BENCHMARKS))
        .filter((target) => !existsSync(join(root, dirname(page), target)));
      const paths = [
        ...text.matchAll(
          /`((?:foundation|control-plane|node|addons|distribution|scripts|bench|docs|examples)\/[\w./-]+)`/g,
        ),
      ]
        .map(([, target = ""]) => target)
        .filter((target) => ![root, join(root, dirname(page))].some((folder) => existsSync(join(folder, target))));
      return [...links, ...paths].map((target) => `${page} names ${target}, which is not there`);
    });
    expect(dead).toEqual([]);
  });

  it("docs/parity.md knows every resource that is served, and no other", () => {
    expect(Object.keys(RESOURCE_NOTES).toSorted()).toEqual(servedResources().map(keyOf).toSorted());
    const known = new Set(controllers.map(({ name }) => name));
    const named = Object.values(RESOURCE_NOTES).flatMap(({ by = [] }) =>
      by.filter((each) => each.endsWith("-controller")),
    );
    expect([...new Set(named)].filter((name) => !known.has(name))).toEqual([]);
  });

  it("docs/parity.md names every controller", () => {
    const text = read(PARITY);
    expect(controllers.map(({ name }) => name).filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  it("docs/parity.md names every admission plugin, and none that is here as missing", () => {
    const [, here = "", missing = ""] =
      /^Admission plugins, in their order: ([^]*?) On by default upstream and not here: ([^]*?)\. The/m.exec(
        read(PARITY),
      ) ?? [];
    const order = read("control-plane/kube-apiserver/src/admission/order.ts");
    const names = [...order.matchAll(/\bname: "(\w+)",\s+isOnByDefault/g)].map(([, name = ""]) => name);
    expect(names.length).toBeGreaterThan(5);
    const users = names.filter((name) => name !== "RBACEscalation"); // ours: upstream checks it elsewhere
    expect(users.filter((name) => !here.includes(name) || missing.includes(name))).toEqual([]);
  });

  // UPDATE_DOCS=1 writes the table anew.
  it("the table of resources in docs/parity.md is what the code says", async () => {
    const text = read(PARITY);
    const table = `<!-- resources -->\n${resourceTable(await verdictShares())}\n<!-- /resources -->`;
    const updated = text.replace(/<!-- resources -->[^]*<!-- \/resources -->/, () => table);
    if (process.env["UPDATE_DOCS"] === "1") writeFileSync(join(root, PARITY), updated);
    else
      expect(
        text === updated,
        `run: UPDATE_DOCS=1 npx vitest run --project unit ${relative(root, fileURLToPath(import.meta.url))}`,
      ).toBe(true);
  }, 60_000);

  it.each(Object.entries(FLAG_FILES))("docs/parity.md says of every flag of %s what it does", (component, file) => {
    const section =
      read(PARITY)
        .split(/^##+ /m)
        .find((part) => part.startsWith(`${component}\n`)) ?? "";
    const parse = PARSERS[component];
    const flags =
      component === "kube-apiserver"
        ? [...FLAG_KINDS.keys()]
        : parse === undefined
          ? flagsOf(read(file))
          : flagsInHelp(parse);
    expect(flags.length).toBeGreaterThan(3);
    expect(flags.filter((name) => !section.includes(`\`--${name}\``))).toEqual([]);
  });
});
