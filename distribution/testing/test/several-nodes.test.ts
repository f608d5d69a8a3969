import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  eventually,
  hostLeftovers,
  startBusyboxCluster,
  webDeployment,
  type BusyboxCluster,
  type TestCluster,
  type TestHost,
} from "../src/index.ts";

const WEB = {
  apiVersion: "v1",
  kind: "List",
  items: [
    webDeployment(4, "mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"),
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web" },
      spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
    },
  ],
};

describe("a cluster of two nodes on one machine", () => {
  let all: BusyboxCluster;
  let host: TestHost;
  let cluster: TestCluster;

  beforeAll(async () => {
    all = await startBusyboxCluster(["--nodes", "2", "--proxy-mode", "nftables"]);
    ({ host, cluster } = all);
  });
  afterAll(async () => all?.[Symbol.asyncDispose]());

  it("both nodes are ready, each with an address of its own", async () => {
    const nodes = await cluster.kubectl(
      "get",
      "nodes",
      "-o",
      "jsonpath={range .items[*]}{.metadata.name}={.status.addresses[0].address} {end}",
    );
    expect(nodes).toMatch(/^node-1=172\.30\.\d+\.11 node-2=172\.30\.\d+\.12 $/);
  });

  it("pods are spread, and the service reaches those of both nodes by its name", async () => {
    await cluster.kubectlWith(JSON.stringify(WEB), "apply", "-f", "-");
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    const places = (await cluster.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"))
      .split(" ")
      .toSorted();
    expect(places).toEqual(["node-1", "node-1", "node-2", "node-2"]);
    const [pod = ""] = (await cluster.kubectl("get", "pods", "-o", "name")).split("\n");
    const answers = new Set<string>();
    await eventually("an answer from every pod", async () => {
      answers.add(await cluster.kubectl("exec", pod, "--", "wget", "-qO-", "http://web"));
      return answers.size === 4;
    });
  });

  it("whoever shares the API server's network reaches services, as it does to call webhooks", async () => {
    const address = await cluster.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}");
    const answers = new Set<string>();
    // Which pod answers is chance: twenty connections a time.
    const ask = `for i in $(seq 20); do busybox wget -qO- http://${address}/; done`;
    await eventually(
      "an answer from every pod",
      async () => {
        const { stdout } = await host.run("sh", ["-c", ask], { allowFailure: true });
        for (const answer of stdout.split("\n")) if (answer !== "") answers.add(answer);
        return answers.size === 4;
      },
      120_000,
    );
  });

  it("the route of a cluster beside it with the same range of services stays", async () => {
    const range = "10.96.0.0/16";
    await host.run("ip", ["route", "add", range, "dev", "lo"]);
    try {
      const { stdout } = await host.run("ip", ["route", "show", range]);
      expect(stdout).toContain("dev lo");
      expect(stdout).toMatch(/via 172\.30\.\d+\.11 .*metric \d+/);
    } finally {
      await host.run("ip", ["route", "del", range, "dev", "lo"]);
    }
  });

  it("a supervisor that is killed is replaced; pods go on and stay connected", async () => {
    const pids = async (): Promise<number> =>
      (await cluster.status()).processes.find(({ name }) => name === "supervisor")?.pid ?? 0;
    const first = await pids();
    process.kill(first, "SIGKILL");
    await eventually(
      "another supervisor",
      async () => {
        const state = await cluster.status().catch(() => undefined);
        return state?.phase === "running" && state.processes.every(({ pid }) => pid !== first);
      },
      30_000,
    );
    await eventually(
      "the service",
      async () => {
        const [pod = ""] = (await cluster.tryKubectl(["get", "pods", "-o", "name"])).stdout.split("\n");
        const answer = await cluster.tryKubectl(["exec", pod, "--", "wget", "-qO-", "http://web"]);
        return answer.stdout.startsWith("web-");
      },
      20_000,
    );
    expect(
      await cluster.kubectl("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}"),
    ).toBe("0 0 0 0");
  });

  it("down leaves nothing behind", async () => {
    await cluster.down();
    expect(await hostLeftovers(host, all.before)).toEqual([]);
  });
});
