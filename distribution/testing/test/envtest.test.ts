import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Cleanup, systemClock } from "@coracle/base";
import { run } from "@coracle/linux";
import { ApiextensionsV1Api, CoreV1Api, KubeConfig, KubernetesObjectApi, Watch } from "@kubernetes/client-node";
import { beforeAll, describe, expect, it } from "vitest";
import { coracleFile, ensureBuilt, eventually, startTestEnvironment, type TestEnvironment } from "../src/index.ts";

/** What the suites give up at is 20 s; ours is gone in a fraction of a second, more on a machine that is busy. */
const PROMPT_MS = 5000;
/** A compiler whose cache is cold takes minutes: not worth waiting for. */
const COMPILE_LIMIT_MS = 100_000;

const definition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "boats.suite.example.com" },
  spec: {
    group: "suite.example.com",
    scope: "Namespaced",
    names: { plural: "boats", singular: "boat", kind: "Boat", listKind: "BoatList" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: { spec: { type: "object", properties: { oars: { type: "integer", minimum: 0 } } } },
          },
        },
      },
    ],
  },
};

/** An operator's suite in Go. */
const SUITE = fileURLToPath(new URL("../programs/envtest-suite", import.meta.url));

interface Seen {
  readonly type: string;
  readonly name: string;
}

function clientOf(kubeconfig: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  return config;
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("the test suites of operators", () => {
  let assets = "";
  beforeAll(async () => {
    await ensureBuilt();
    assets = (await run(process.execPath, [coracleFile(), "envtest"])).stdout.trim();
  });

  it("find kube-apiserver, etcd and kubectl where KUBEBUILDER_ASSETS says", () => {
    for (const program of ["kube-apiserver", "etcd", "kubectl"]) expect(existsSync(join(assets, program))).toBe(true);
  });

  it("ask the programs for their flags: what old servers had is not there, what new stores have is", async () => {
    const [server, store] = await Promise.all(
      ["kube-apiserver", "etcd"].map((program) => run(join(assets, program), ["--help"])),
    );
    expect(server?.stdout).not.toMatch(/^\s*--insecure-port\b/m);
    expect(server?.stdout).toMatch(/^\s*--service-account-issuer\b/m);
    expect(store?.stdout).toMatch(/^\s*--unsafe-no-fsync\b/m);
  });

  it("install their kinds, watch them, let others in, and stop at once with watches open, leaving nothing", async () => {
    await using cleanup = new Cleanup();
    const environment = await startTestEnvironment(assets);
    cleanup.use(environment);
    const admin = clientOf(environment.addUser("admin", "system:masters").kubeconfig);

    await admin.makeApiClient(ApiextensionsV1Api).createCustomResourceDefinition({ body: definition });
    const objects = KubernetesObjectApi.makeApiClient(admin);
    await eventually("the kind is established", async () => {
      const { status } = await admin
        .makeApiClient(ApiextensionsV1Api)
        .readCustomResourceDefinition({ name: definition.metadata.name });
      return status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True");
    });

    const seen: Seen[] = [];
    const ends: Promise<void>[] = [];
    await Promise.all(
      ["/apis/suite.example.com/v1/boats", "/api/v1/configmaps", "/api/v1/namespaces"].map(async (path) => {
        let end: (() => void) | undefined;
        ends.push(new Promise((resolve) => (end = resolve)));
        await new Watch(admin).watch(
          path,
          {},
          (type: string, object: { metadata: { name: string } }) => seen.push({ type, name: object.metadata.name }),
          () => end?.(),
        );
      }),
    );
    const boat = (name: string, oars: number): object => ({
      apiVersion: "suite.example.com/v1",
      kind: "Boat",
      metadata: { name, namespace: "default" },
      spec: { oars },
    });
    await objects.create(boat("coracle", 1));
    await expect(objects.create(boat("sunk", -1))).rejects.toMatchObject({ code: 422 });
    await eventually("the watch has it", () => seen.some(({ type, name }) => type === "ADDED" && name === "coracle"));

    // Nobody makes accounts here, and pods need none: the plugin is off.
    await admin.makeApiClient(CoreV1Api).createNamespacedPod({
      namespace: "default",
      body: { metadata: { name: "rower" }, spec: { containers: [{ name: "rower", image: "rower:1" }] } },
    });

    await lets(environment, "ann", "rowers");

    const before = systemClock.monotonicMs();
    await environment.stop();
    expect(systemClock.monotonicMs() - before).toBeLessThan(PROMPT_MS);
    await Promise.all(ends);
    expect(environment.pids.filter(isThere)).toEqual([]);
    expect(environment.folders.filter((folder) => existsSync(folder))).toEqual([]);
  });

  /** Somebody with a certificate is known at once, and may what is granted. */
  async function lets(environment: TestEnvironment, name: string, group: string): Promise<void> {
    const kubectl = async (kubeconfig: string, ...args: string[]): Promise<string> => {
      const { stdout, stderr } = await run(environment.kubectl, [`--kubeconfig=${kubeconfig}`, ...args], {
        allowFailure: true,
        env: { PATH: process.env["PATH"] ?? "", HOME: environment.folders[0] ?? "" },
      });
      return stdout + stderr;
    };
    const user = environment.addUser(name, group);
    expect(await kubectl(user.kubeconfig, "auth", "whoami", "-o", "jsonpath={.status.userInfo}")).toContain(
      `"username":"${name}"`,
    );
    expect(await kubectl(user.kubeconfig, "get", "boats")).toContain(
      `boats.suite.example.com is forbidden: User "${name}" cannot list resource "boats"`,
    );
    const { kubeconfig } = environment.addUser("admin", "system:masters");
    await kubectl(kubeconfig, "create", "role", "see", "--verb=list", "--resource=boats.suite.example.com");
    await kubectl(kubeconfig, "create", "rolebinding", "see", "--role=see", `--group=${group}`);
    expect(await eventually("the right counts", () => kubectl(user.kubeconfig, "get", "boats", "-o", "name"))).toBe(
      "boat.suite.example.com/coracle\n",
    );
  }

  it("run several environments side by side", async () => {
    await using cleanup = new Cleanup();
    const environments = await Promise.all([1, 2, 3].map(() => startTestEnvironment(assets)));
    for (const each of environments) cleanup.use(each);
    const names = await Promise.all(
      environments.map(async (environment, i) => {
        const core = clientOf(environment.addUser("admin", "system:masters").kubeconfig).makeApiClient(CoreV1Api);
        await core.createNamespace({ body: { metadata: { name: `of-${i}` } } });
        const { items } = await core.listNamespace();
        return items.map(({ metadata }) => metadata?.name).filter((name) => name?.startsWith("of-"));
      }),
    );
    expect(names).toEqual([["of-0"], ["of-1"], ["of-2"]]);
    await Promise.all(environments.map((each) => each.stop()));
    expect(environments.flatMap(({ pids }) => pids).filter(isThere)).toEqual([]);
  });

  it("in Go run unmodified, by controller-runtime's envtest", async (context) => {
    const dir = mkdtempSync(join(tmpdir(), "cor-envtest-suite-"));
    try {
      // Compiled from what is on this machine; nothing is downloaded.
      cpSync(SUITE, dir, { recursive: true });
      const env = { GOFLAGS: "-mod=mod", GOPROXY: "off", GOSUMDB: "off", GOTOOLCHAIN: "local" };
      const limit = new AbortController();
      const timer = systemClock.after(COMPILE_LIMIT_MS, () => limit.abort());
      const compiled = await run("go", ["test", "-c", "-o", "suite", "."], {
        cwd: dir,
        env: { ...(process.env as Record<string, string>), ...env },
        signal: limit.signal,
        allowFailure: true,
      }).catch((error: unknown) => ({ code: -1, stderr: String(error) }));
      timer[Symbol.dispose]();
      if (compiled.code !== 0)
        return context.skip(`needs Go with controller-runtime among its modules: ${compiled.stderr.split("\n")[0]}`);
      const { stdout, stderr, code } = await run(join(dir, "suite"), ["-test.v"], {
        cwd: dir,
        env: { PATH: process.env["PATH"] ?? "", HOME: dir, KUBEBUILDER_ASSETS: assets },
        allowFailure: true,
      });
      expect(stdout + stderr).toContain("--- PASS: TestOperator");
      expect(code).toBe(0);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
