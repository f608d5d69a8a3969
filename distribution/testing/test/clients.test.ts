import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import {
  createTestHost,
  eventually,
  exampleImages,
  imageArchive,
  programPath,
  startCluster,
  type TestCluster,
  type TestHost,
} from "../src/index.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const chart = fileURLToPath(new URL("testdata/chart", import.meta.url));

const manifest = (colour: string): string => `
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, labels: { app: shop } }
data: { colour: ${colour} }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: shop } }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{ name: web, image: "localhost/busybox:1", command: [sleep, "1000000"] }]
`;

/** One cluster for all: each test has what it makes in a namespace of its own. */
describe("clients that were written for upstream", () => {
  let host: TestHost;
  let cluster: TestCluster;

  beforeAll(async () => {
    host = await createTestHost();
    cluster = await startCluster(host);
    const archive = join(host.dir, "images.tar");
    writeFileSync(archive, imageArchive(exampleImages(root)));
    expect(await cluster.coracle("image", "load", archive)).toMatchObject({ code: 0 });
    for (const namespace of ["javascript", "python", "shop", "charts"])
      await cluster.kubectl("create", "namespace", namespace);
    await eventually("accounts are there", () => cluster.kubectl("-n", "charts", "get", "serviceaccount", "default"));
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  const keepLogsOnFailure = (): void => onTestFailed(() => void process.stderr.write(`logs: ${cluster.keepLogs()}\n`));

  it("JavaScript: lists, watches, informers, patches, kinds, leases, exec and logs by @kubernetes/client-node", async () => {
    keepLogsOnFailure();
    const { code, stdout, stderr } = await host.run(
      process.execPath,
      [programPath("javascript-client"), "javascript"],
      { allowFailure: true, env: { KUBECONFIG: cluster.kubeconfig } },
    );
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout.trim().split("\n")).toEqual([
      "lists in pages",
      "watches from a version",
      "follows objects with an informer",
      "patches in four ways",
      "tells refusals apart",
      "defines kinds and uses them",
      "elects a leader with a Lease",
      "runs commands and follows logs",
    ]);
  });

  it("Python: lists, watches and patches by the official client", async (context) => {
    keepLogsOnFailure();
    const there = await host.run("python3", ["-c", "import kubernetes"], { allowFailure: true }).catch(() => undefined);
    if (there?.code !== 0) return context.skip("needs python3 with the package kubernetes");
    const { stdout } = await host.run("python3", [programPath("python-client").replace(".mjs", ".py"), "python"], {
      env: { KUBECONFIG: cluster.kubeconfig },
    });
    expect(stdout.trim().split("\n")).toEqual(["lists", "watches", "patches"]);
  });

  describe("kubectl", () => {
    const k = (...args: string[]): Promise<string> => cluster.kubectl("-n", "shop", ...args);
    const both = async (args: readonly string[], env: Record<string, string> = {}): Promise<string> => {
      const { stdout, stderr } = await cluster.tryKubectl(["-n", "shop", ...args], { env });
      return stdout + stderr;
    };
    const file = (colour: string): string => {
      const path = join(host.dir, `${colour}.yaml`);
      writeFileSync(path, manifest(colour));
      return path;
    };

    it("applies, waits, tells the difference, prunes", async () => {
      keepLogsOnFailure();
      const green = file("green");
      const prune = ["--prune", "-l", "app=shop", "--prune-allowlist=core/v1/ConfigMap"];
      expect(await k("apply", "-f", green)).toBe("configmap/settings created\ndeployment.apps/web created\n");
      expect(await k("apply", "-f", green)).toBe("configmap/settings unchanged\ndeployment.apps/web unchanged\n");
      expect(await k("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")).toContain(
        "condition met",
      );
      await cluster.kubectlWith(manifest("grey").replace("settings", "old"), "-n", "shop", "apply", "-f", "-");
      const difference = await both(["diff", "-f", file("blue")]);
      expect(difference).toContain("-  colour: green\n+  colour: blue\n");
      expect(difference.match(/^[-+] /gm)).toHaveLength(2);
      expect(await k("apply", "-f", green, ...prune)).toContain("configmap/old pruned\n");
    });

    it("applies on the server, which tells conflicts and takes ownership when forced", async () => {
      const args = ["apply", "--server-side", "--field-manager=team", "-f", file("blue")];
      expect(await both(args)).toContain(
        'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.colour\n',
      );
      expect(await k(...args, "--force-conflicts", "--dry-run=server")).toContain(
        "serverside-applied (server dry run)",
      );
      expect(await k("get", "configmap", "settings", "-o", "jsonpath={.data.colour}")).toBe("green");
      expect(await k(...args, "--force-conflicts")).toContain("configmap/settings serverside-applied\n");
      expect(await k("get", "configmap", "settings", "-o", "jsonpath={.data.colour}")).toBe("blue");
      const managers = "jsonpath={.metadata.managedFields[*].manager}";
      expect(await k("get", "configmap", "settings", "--show-managed-fields", "-o", managers)).toContain("team");
      const status =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nstatus: { observedGeneration: 7 }\n";
      const onStatus = ["apply", "--server-side", "--subresource=status", "--force-conflicts", "-f", "-"];
      await cluster.kubectlWith(status, "-n", "shop", ...onStatus);
      expect(await k("get", "deployment", "web", "--subresource=status", "-o", "name")).toBe("deployment.apps/web\n");
    });

    it.each([
      ["json", /"kind": "Deployment"/],
      ["yaml", /^kind: Deployment$/m],
      ["name", /^deployment.apps\/web$/m],
      ["wide", /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR$/m],
      ["jsonpath={.spec.selector.matchLabels.app}", /^web$/],
      ["jsonpath-as-json={.spec.selector}", /"matchLabels": \{/],
      ["go-template={{.metadata.name}}", /^web$/],
      ["template={{len .spec.template.spec.containers}}", /^1$/],
      ["custom-columns=N:.metadata.name,I:.spec.template.spec.containers[*].image", /^web +localhost\/busybox:1$/m],
    ])("gets with -o %s", async (output, expected) => {
      expect(await k("get", "deployment", "web", "-o", output)).toMatch(expected);
    });

    it("gets several kinds at once, with labels, sorted, raw, and a subresource", async () => {
      expect(await k("get", "deployment,configmap", "-L", "app", "--show-kind")).toMatch(
        /^configmap\/settings .* shop$/m,
      );
      expect(await k("get", "deployment", "web", "--show-labels")).toMatch(/app=shop$/m);
      const names = (await k("get", "pods", "--sort-by=.metadata.name", "-o", "name")).trim().split("\n");
      expect(names).toEqual(names.toSorted());
      expect(await k("get", "--raw", "/readyz?verbose")).toContain("readyz check passed");
      expect(await k("get", "deployment", "web", "--subresource=scale")).toMatch(/^NAME +DESIRED +AVAILABLE +AGE\n/);
      expect(await k("describe", "deployment", "web")).toMatch(/^Selector: +app=web$/m);
    });

    it("explains built-in kinds and those of definitions", async () => {
      const strategy = await k("explain", "deployment.spec.strategy");
      expect(strategy).toContain("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n");
      expect(strategy).toMatch(/^ {2}rollingUpdate\t<RollingUpdateDeployment>$/m);
      expect(strategy).toContain("enum: Recreate, RollingUpdate");
      expect(await k("explain", "deployment.spec.strategy", "--recursive")).toContain("maxUnavailable\t<IntOrString>");
      await cluster.kubectl("apply", "-f", join(chart, "crds"));
      await cluster.kubectl("wait", "--for=condition=Established", "crd/boats.chart.example.com", "--timeout=30s");
      // The document follows a moment after the kind.
      const explained = await eventually("the kind is explained", () => k("explain", "boat.spec"));
      expect(explained).toContain("GROUP:      chart.example.com\nKIND:       Boat\nVERSION:    v1\n");
      expect(explained).toContain("oars\t<integer>");
    });

    it("knows all groups, versions and kinds", async () => {
      const versions = (await k("api-versions")).trim().split("\n");
      expect(versions).toEqual(
        expect.arrayContaining(["v1", "apps/v1", "autoscaling/v2", "rbac.authorization.k8s.io/v1"]),
      );
      const resources = await k("api-resources", "--sort-by=name");
      expect(resources).toMatch(/^deployments +deploy +apps\/v1 +true +Deployment$/m);
      expect(await k("api-resources", "--namespaced=false", "--verbs=list", "-o", "name")).toContain("nodes\n");
      expect(await k("version")).toMatch(/^Server Version: v1\.35\./m);
      expect(await k("cluster-info")).toContain("Kubernetes control plane");
      const dump = join(host.dir, "dump");
      await k("cluster-info", "dump", `--output-directory=${dump}`, "--namespaces=shop");
      expect(JSON.parse(readFileSync(join(dump, "shop/deployments.json"), "utf8"))).toMatchObject({
        items: [{ metadata: { name: "web" } }],
      });
    });

    it("tells who one is and what one may", async () => {
      expect(await k("auth", "whoami")).toMatch(/^Username +kubernetes-admin$/m);
      expect(await k("auth", "can-i", "delete", "nodes")).toBe("yes\n");
      expect(await both(["auth", "can-i", "delete", "nodes", "--as=ann"])).toContain("no");
      expect(await k("auth", "can-i", "--list", "--as=ann")).toMatch(
        /^selfsubjectreviews\.authentication\.k8s\.io +\[\] +\[\] +\[create\]$/m,
      );
      await k("create", "role", "see", "--verb=get,list", "--resource=pods");
      await k("create", "serviceaccount", "robot");
      await k("create", "rolebinding", "see", "--role=see", "--serviceaccount=shop:robot");
      const token = (await k("create", "token", "robot", "--duration=10m")).trim();
      // A certificate would win over the token.
      const server = await k("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}");
      const asRobot = async (...args: string[]): Promise<string> =>
        both(["--server", server, "--insecure-skip-tls-verify", "--token", token, ...args], {
          KUBECONFIG: "/dev/null",
        });
      expect(await asRobot("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")).toBe(
        "system:serviceaccount:shop:robot",
      );
      expect(await asRobot("get", "pods", "-o", "name")).toMatch(/^pod\/web-/);
      expect(await asRobot("get", "secrets")).toContain(
        'secrets is forbidden: User "system:serviceaccount:shop:robot" cannot list resource "secrets"',
      );
      expect(await k("auth", "reconcile", "-f", "-", "--help")).toContain("Reconciles rules");
    });

    it("changes what is there: edit, label, annotate, patch, set, scale, autoscale, expose, replace", async () => {
      expect(await both(["edit", "configmap", "settings"], { EDITOR: "sed -i s/blue/red/" })).toBe(
        "configmap/settings edited\n",
      );
      expect(await k("get", "configmap", "settings", "-o", "jsonpath={.data.colour}")).toBe("red");
      expect(await k("label", "deployment", "web", "tier=front")).toContain("labeled");
      expect(await both(["label", "deployment", "web", "tier=back"])).toContain("already has a value (front)");
      expect(await k("label", "deployment", "web", "tier=back", "--overwrite")).toContain("labeled");
      expect(await k("annotate", "deployment", "web", "note=kept")).toContain("annotated");
      expect(await k("patch", "deployment", "web", "-p", '{"spec":{"revisionHistoryLimit":4}}')).toContain("patched");
      expect(
        await k("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":1}}'),
      ).toContain("scale.autoscaling/web patched");
      expect(await both(["scale", "deployment", "web", "--replicas=3", "--current-replicas=2"])).toContain(
        "Expected replicas to be 2, was 1",
      );
      expect(await k("scale", "deployment", "web", "--replicas=2")).toContain("scaled");
      expect(await k("autoscale", "deployment", "web", "--max=3")).toContain("autoscaled");
      expect(await k("delete", "hpa", "web")).toContain("deleted");
      expect(await k("expose", "deployment", "web", "--port=80")).toBe("service/web exposed\n");
      const service = await k("get", "service", "web", "-o", "yaml");
      expect(await cluster.kubectlWith(service, "-n", "shop", "replace", "--dry-run=server", "-f", "-")).toContain(
        "service/web replaced (server dry run)",
      );
    });

    it("rolls out, pauses, resumes and undoes", async () => {
      keepLogsOnFailure();
      await k("rollout", "status", "deployment/web", "--timeout=60s");
      expect(await k("set", "env", "deployment/web", "A=b")).toContain("env updated");
      expect(await k("rollout", "status", "deployment/web", "--timeout=60s")).toContain("successfully rolled out");
      expect(await k("rollout", "history", "deployment/web")).toMatch(/^1 +<none>\n2 +<none>$/m);
      expect(await k("rollout", "pause", "deployment/web")).toContain("paused");
      expect(await both(["rollout", "undo", "deployment/web"])).toContain("paused");
      expect(await k("rollout", "resume", "deployment/web")).toContain("resumed");
      expect(await k("rollout", "undo", "deployment/web")).toContain("rolled back");
      expect(await k("rollout", "restart", "deployment/web")).toContain("restarted");
      expect(await k("rollout", "status", "deployment/web", "--timeout=60s")).toContain("successfully rolled out");
      expect(await k("events", "--for", "deployment/web")).toContain("ScalingReplicaSet");
    });

    it("drains and debugs", async () => {
      keepLogsOnFailure();
      const node = (await k("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")).trim();
      const drained = await k("drain", node, "--dry-run=server", "--ignore-daemonsets", "--delete-emptydir-data");
      expect(drained).toContain(`node/${node} drained (server dry run)`);
      expect(await k("get", "node", node, "-o", "jsonpath={.spec.unschedulable}")).toBe("");
      expect(await k("cordon", node)).toContain("cordoned");
      expect(await k("uncordon", node)).toContain("uncordoned");
      expect(await k("taint", "node", node, "a=b:PreferNoSchedule")).toContain("tainted");
      expect(await k("taint", "node", node, "a-")).toContain("untainted");
      const pod = (await k("get", "pods", "-o", "jsonpath={.items[0].metadata.name}")).trim();
      const debug = ["debug", pod, "--image=localhost/busybox:1", "--profile=general", "-c", "probe"];
      await k(...debug, "--target=web", "--", "sh", "-c", "echo inside $HOSTNAME");
      await eventually("the debugging container has spoken", async () =>
        (await k("logs", pod, "-c", "probe")).includes(`inside ${pod}`),
      );
    });

    it("runs controllers of pods as people did before Deployments", async () => {
      keepLogsOnFailure();
      const selector = { app: "demo" };
      const container = {
        name: "demo",
        image: "localhost/busybox:1",
        command: ["sh", "-c", "echo one; echo two; echo three; sleep 1000000"],
        ports: [{ containerPort: 80 }],
      };
      const spec = { terminationGracePeriodSeconds: 0, containers: [container] };
      const controller = {
        apiVersion: "v1",
        kind: "ReplicationController",
        metadata: { name: "demo" },
        spec: { replicas: 2, selector, template: { metadata: { labels: selector }, spec } },
      };
      const running = (count: number): Promise<boolean> =>
        eventually(`${count} pods run`, async () => {
          const phases = await k("get", "pods", "-l", "app=demo", "-o", "jsonpath={.items[*].status.phase}");
          return phases === Array.from({ length: count }, () => "Running").join(" ");
        });
      await cluster.kubectlWith(JSON.stringify(controller), "-n", "shop", "create", "-f", "-");
      await running(2);
      expect(await k("scale", "rc", "demo", "--replicas=1", "--timeout=1m")).toContain("scaled");
      await running(1);
      expect(await k("scale", "rc", "demo", "--replicas=2", "--timeout=1m")).toContain("scaled");
      await running(2);
      expect(await k("describe", "rc", "demo")).toMatch(/^Replicas: +2 current \/ 2 desired$/m);
      const [pod = ""] = (await k("get", "pods", "-l", "app=demo", "-o", "jsonpath={.items[*].metadata.name}")).split(
        " ",
      );
      expect(await k("describe", "pod", pod)).toMatch(/^Controlled By: +ReplicationController\/demo$/m);
      expect(await k("describe", "namespace", "shop")).toMatch(/^Status: +Active$/m);

      expect(await k("expose", "rc", "demo", "--name=first", "--port=1234", "--target-port=80")).toContain("exposed");
      expect(await k("expose", "service", "first", "--name=second", "--port=2345", "--target-port=80")).toContain(
        "exposed",
      );
      expect(await k("get", "service", "second", "-o", "jsonpath={.spec.selector.app}:{.spec.ports[0].port}")).toBe(
        "demo:2345",
      );
      await eventually("it leads to both", async () => {
        const found = await k(
          "get",
          "endpointslices",
          "-l",
          "kubernetes.io/service-name=first",
          "-o",
          "jsonpath={.items[*].endpoints[*].addresses[*]}",
        );
        return found.split(" ").length === 2;
      });
      const names = (await k("get", "pods", "-l", "app=demo", "-o", "name")).trim().split("\n");
      for (const name of names)
        expect(await k("patch", name, "-p", '{"metadata":{"annotations":{"x":"y"}}}')).toContain("patched");
      expect(await k("get", "pods", "-l", "app=demo", "-o", "jsonpath={.items[*].metadata.annotations.x}")).toBe("y y");
      expect(await k("label", "pod", pod, "testing-label=value")).toContain("labeled");
      expect(await k("get", "pod", pod, "-L", "testing-label")).toMatch(/ value$/m);
      expect(await k("label", "pod", pod, "testing-label-")).toContain("unlabeled");

      await eventually("it has spoken", async () => (await k("logs", pod)) === "one\ntwo\nthree\n");
      expect(await k("logs", pod, "--tail=1")).toBe("three\n");
      expect(await k("logs", pod, "--limit-bytes=1")).toBe("o");
      expect(await k("logs", pod, "--timestamps", "--tail=1")).toMatch(/^\d{4}-\d\d-\d\dT\S+ three$/m);
      expect(await k("logs", pod, "--since=1h")).toContain("two");

      await k("delete", "rc,service", "-l", "app=demo", "--ignore-not-found");
      await k("delete", "rc", "demo", "--ignore-not-found");
      await eventually("nothing is left", async () => (await k("get", "pods", "-l", "app=demo", "-o", "name")) === "");
    });

    it("runs a pod, replaces its image, tries changes on the server, and finds its account's token in it", async () => {
      keepLogsOnFailure();
      const image = "--image=localhost/busybox:1";
      const overrides = '--overrides={"spec":{"terminationGracePeriodSeconds":0}}';
      const run = ["run", "once", image, overrides, "--restart=Never", "--labels=run=once", "--", "sleep", "1000000"];
      expect(await k(...run)).toContain("pod/once created");
      await k("wait", "--for=condition=Ready", "pod/once", "--timeout=30s");
      const patch = '{"spec":{"containers":[{"name":"once","image":"localhost/web:1"}]}}';
      expect(await k("patch", "pod", "once", "-p", patch, "--dry-run=server")).toContain("patched");
      const imageOf = (): Promise<string> => k("get", "pod", "once", "-o", "jsonpath={.spec.containers[0].image}");
      expect(await imageOf()).toBe("localhost/busybox:1");
      const folder = "/var/run/secrets/kubernetes.io/serviceaccount";
      const read = (file: string): Promise<string> => k("exec", "once", "--", "cat", `${folder}/${file}`);
      expect(await read("namespace")).toBe("shop");
      expect(await read("ca.crt")).toContain("BEGIN CERTIFICATE");
      const review = {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenReview",
        spec: { token: await read("token") },
      };
      const output = "jsonpath={.status.user.username}";
      const name = await cluster.kubectlWith(JSON.stringify(review), "create", "-o", output, "-f", "-");
      expect(name).toBe("system:serviceaccount:shop:default");
      const replaced = (await k("get", "pod", "once", "-o", "json")).replaceAll(
        "localhost/busybox:1",
        "localhost/web:1",
      );
      expect(await cluster.kubectlWith(replaced, "-n", "shop", "replace", "-f", "-")).toContain("replaced");
      expect(await imageOf()).toBe("localhost/web:1");
      await k("delete", "pod", "once", "--now");
    });

    it("is a proxy, on a port and on a socket", async () => {
      const onPort = cluster.startKubectl(["proxy", "--port=0", "--disable-filter"]);
      const address = await eventually("it listens", () => /127\.0\.0\.1:\d+/.exec(onPort.output())?.[0]);
      const { stdout } = await host.run("busybox", ["wget", "-qO-", `http://${address}/api/`]);
      expect(JSON.parse(stdout)).toMatchObject({ kind: "APIVersions" });
      onPort.kill();
      await onPort.exited;
      mkdirSync(join(host.dir, "run"), { recursive: true });
      const socket = join(host.dir, "run/proxy.sock");
      const onSocket = cluster.startKubectl(["proxy", `--unix-socket=${socket}`, "--disable-filter"]);
      await eventually("it listens", () => onSocket.output().includes("Starting to serve on"));
      const ask = `require("http").get({socketPath:${JSON.stringify(socket)},path:"/api/"},(r)=>r.pipe(process.stdout))`;
      const answer = await host.run(process.execPath, ["-e", ask]);
      expect(JSON.parse(answer.stdout)).toMatchObject({ kind: "APIVersions" });
      onSocket.kill();
      await onSocket.exited;
    });
  });

  it("helm: installs a chart with a kind of its own and hooks, upgrades, tests, rolls back and removes it", async () => {
    keepLogsOnFailure();
    const helm = (...args: string[]): Promise<string> => cluster.helm("-n", "charts", ...args);
    const get = (...args: string[]): Promise<string> => cluster.kubectl("-n", "charts", "get", ...args);
    const wait = ["--wait", "--timeout", "60s"];
    const installed = await helm("install", "harbour", chart, ...wait);
    expect(installed).toContain("STATUS: deployed");
    expect(installed).toContain("harbour has 1 oars.");
    expect(await get("job", "harbour-pre-install", "-o", "jsonpath={.status.succeeded}")).toBe("1");
    expect(await helm("upgrade", "harbour", chart, "--set", "oars=2", ...wait)).toContain("REVISION: 2");
    expect(await get("job", "harbour-post-upgrade", "-o", "jsonpath={.status.succeeded}")).toBe("1");
    expect(await get("boat", "harbour", "-o", "jsonpath={.spec.oars}")).toBe("2");
    expect(await helm("test", "harbour", "--timeout", "60s")).toMatch(/^Phase: +Succeeded$/m);
    await expect(helm("upgrade", "harbour", chart, "--set", "oars=-1")).rejects.toThrow(
      "spec.oars: Invalid value: -1: spec.oars in body should be greater than or equal to 0",
    );
    expect(await helm("rollback", "harbour", "1", ...wait)).toContain("Rollback was a success");
    expect(await get("boat", "harbour", "-o", "jsonpath={.spec.oars}")).toBe("1");
    expect(await helm("history", "harbour")).toMatch(/^3 .*failed/m);
    expect(await helm("uninstall", "harbour", ...wait)).toContain("uninstalled");
    expect(await get("boats", "-o", "name")).toBe("");
    expect(await get("crd", "boats.chart.example.com", "-o", "name")).toContain("boats.chart.example.com");
  });
});
