import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = join(fileURLToPath(import.meta.url), "../..");

/** Foundation packages, lowest first: each may import those before it. */
const FOUNDATION = ["base", "http2", "linux", "api", "apimachinery", "cel", "pki", "client", "controller-kit"];
/** Component → other components it may import. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = { "kube-apiserver": ["etcd"] };
const COMPONENT_GROUPS = ["control-plane", "node", "addons"];
/** Distribution packages, lowest first. */
const DISTRIBUTION = ["cluster", "testing", "cli"];

interface Package {
  readonly folder: string;
  readonly group: string;
  readonly short: string;
  readonly dependencies: readonly string[];
}

function packages(): Package[] {
  return ["foundation", ...COMPONENT_GROUPS, "distribution"].flatMap((group) =>
    readdirSync(join(root, group))
      .filter((short) => existsSync(join(root, group, short, "package.json")))
      .map((short) => {
        const manifest = JSON.parse(readFileSync(join(root, group, short, "package.json"), "utf8")) as {
          dependencies?: Record<string, string>;
        };
        return { folder: join(group, short), group, short, dependencies: Object.keys(manifest.dependencies ?? {}) };
      }),
  );
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (["node_modules", "dist", "types", "testdata"].includes(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : entry.name.endsWith(".ts") ? [path] : [];
  });
}

const isTest = (file: string): boolean => /\.test\.ts$|\/test\/|\/bench\/|contract/.test(file);
const importsOf = (file: string): string[] =>
  [...readFileSync(file, "utf8").matchAll(/(?:\bfrom\s+|\bimport\s+|\bimport\()"([^"\n]+)"/g)].map(
    (match) => match[1] ?? "",
  );

const all = packages();
const byName = new Map(all.map((each) => [each.short === "cli" ? "coracle-k8s" : `@coracle/${each.short}`, each]));
const packageOf = (specifier: string): Package | undefined =>
  byName.get(
    specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/"),
  );

/** A sentence when `from` must not import `to`. */
function objection(from: Package, to: Package): string | undefined {
  if (from.short === to.short) return undefined;
  const isComponent = (each: Package): boolean => COMPONENT_GROUPS.includes(each.group);
  if (from.group === "foundation") {
    if (to.group !== "foundation") return `${from.folder} is foundation and must not know ${to.folder}`;
    return FOUNDATION.indexOf(to.short) < FOUNDATION.indexOf(from.short)
      ? undefined
      : `${to.folder} stands above ${from.folder}`;
  }
  if (isComponent(from)) {
    if (to.group === "distribution")
      return `${from.folder} is a component and must not know who composes it (${to.folder})`;
    if (isComponent(to) && EXCEPTIONS[from.short]?.includes(to.short) !== true) {
      return `${from.folder} and ${to.folder} are components: they meet through the API or a wire contract, not by import`;
    }
    return undefined;
  }
  if (to.group !== "distribution") return undefined;
  return DISTRIBUTION.indexOf(to.short) < DISTRIBUTION.indexOf(from.short)
    ? undefined
    : `${to.folder} stands above ${from.folder}`;
}

describe("the house", () => {
  it("every package has its place in the order", () => {
    expect(
      all
        .filter((each) => each.group === "foundation")
        .map((each) => each.short)
        .sort(),
    ).toEqual([...FOUNDATION].sort());
    expect(
      all
        .filter((each) => each.group === "distribution")
        .map((each) => each.short)
        .sort(),
    ).toEqual([...DISTRIBUTION].sort());
  });

  it("imports point down, and components never import one another", () => {
    const objections = all.flatMap((from) =>
      sources(join(root, from.folder))
        .filter((file) => !isTest(file))
        .flatMap((file) =>
          importsOf(file).flatMap((specifier) => {
            const to = packageOf(specifier);
            const why = to === undefined ? undefined : objection(from, to);
            return why === undefined ? [] : [`${relative(root, file)} imports ${specifier}: ${why}`];
          }),
        ),
    );
    expect(objections).toEqual([]);
  });

  it("relative imports stay inside their package", () => {
    const escapes = all.flatMap((from) =>
      sources(join(root, from.folder))
        .filter((file) => !isTest(file))
        .flatMap((file) =>
          importsOf(file)
            .filter(
              (specifier) =>
                specifier.startsWith(".") &&
                relative(join(root, from.folder), join(file, "..", specifier)).startsWith(".."),
            )
            .map((specifier) => `${relative(root, file)} reaches ${specifier}`),
        ),
    );
    expect(escapes).toEqual([]);
  });

  it("what a package imports its manifest names", () => {
    const missing = all.flatMap((from) =>
      sources(join(root, from.folder))
        // What only tests stand on is named among the development dependencies.
        .filter((file) => !isTest(file) && !file.endsWith("-fixture.ts"))
        .flatMap((file) =>
          importsOf(file)
            .filter(
              (specifier) =>
                !specifier.startsWith(".") && !specifier.startsWith("node:") && !specifier.startsWith("vitest"),
            )
            .map((specifier) =>
              specifier
                .split("/")
                .slice(0, specifier.startsWith("@") ? 2 : 1)
                .join("/"),
            )
            .filter((name) => packageOf(name) !== from && !from.dependencies.includes(name))
            .map((name) => `${relative(root, file)} imports ${name}, which ${from.folder}/package.json does not name`),
        ),
    );
    expect([...new Set(missing)]).toEqual([]);
  });

  it("no file is a drawer for odds and ends", () => {
    const drawers = all.flatMap((each) =>
      sources(join(root, each.folder)).filter((file) => /\/(utils?|helpers?|common|misc)\.ts$/.test(file)),
    );
    expect(drawers).toEqual([]);
  });

  it("no module exports everything of another", () => {
    const stars = all.flatMap((each) =>
      sources(join(root, each.folder)).filter((file) => /^export \* from/m.test(readFileSync(file, "utf8"))),
    );
    expect(stars).toEqual([]);
  });

  it("every package says what it is", () => {
    const silent = all.filter(
      (each) =>
        !existsSync(join(root, each.folder, "README.md")) || statSync(join(root, each.folder, "README.md")).size < 200,
    );
    expect(silent.map((each) => `${each.folder} has no README.md`)).toEqual([]);
  });
});
