import { ipBatch, run } from "@coracle/linux";
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

const SERVE =
  'mkdir -p /www/cgi-bin; printf "#!/bin/sh\\necho; echo $(hostname) heard \\$REMOTE_ADDR\\n" > /www/cgi-bin/who; chmod +x /www/cgi-bin/who; exec httpd -f -p 8080 -h /www';
const web = (replicas: number): unknown => webDeployment(replicas, SERVE);
const balancer = (spec: Record<string, unknown> = {}): unknown => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web" },
  spec: { type: "LoadBalancer", selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }], ...spec },
});

describe("a cluster of two nodes whose cloud is this machine", () => {
  let all: BusyboxCluster;
  let host: TestHost;
  let cluster: TestCluster;
  let address = "";

  /** What somebody outside the nodes gets from the address, who is the host on the nodes' link. */
  const ask = async (port = 80): Promise<string> => {
    const request = "GET /cgi-bin/who HTTP/1.0\r\n\r\n";
    const { stdout } = await host.run("socat", ["-T3", "-", `TCP4:${address}:${port},connect-timeout=2`], {
      allowFailure: true,
      input: request,
    });
    return (
      stdout
        .split(/\r?\n\r?\n/)
        .at(-1)
        ?.trim() ?? ""
    );
  };
  const get = (what: string): Promise<string> => cluster.kubectl("get", "service", "web", "-o", `jsonpath={${what}}`);

  beforeAll(async () => {
    all = await startBusyboxCluster(["--nodes", "2", "--cloud-provider", "local"]);
    ({ host, cluster } = all);
  });
  afterAll(async () => all?.[Symbol.asyncDispose]());

  it("its manager is a process of its own", async () => {
    const { processes } = await cluster.status();
    expect(processes.find(({ name }) => name === "cloud")?.components).toEqual(["cloud-controller-manager"]);
  });

  it("nodes are what the machine says, without the taint, with routes to their pods", async () => {
    await eventually("both nodes", async () => {
      const nodes = await cluster.kubectl(
        "get",
        "nodes",
        "-o",
        'jsonpath={range .items[*]}{.spec.providerID} {.spec.taints} {.status.conditions[?(@.type=="NetworkUnavailable")].reason} {.metadata.labels.topology\\.kubernetes\\.io/region}{"\\n"}{end}',
      );
      return /^local:\/\/\S+\/node-1 {2}RouteCreated local\nlocal:\/\/\S+\/node-2 {2}RouteCreated local\n$/.test(nodes);
    });
  });

  it("a LoadBalancer gets an address that answers outside the nodes, from pods of both", async () => {
    await cluster.kubectlWith(JSON.stringify(web(4)), "apply", "-f", "-");
    await cluster.kubectlWith(JSON.stringify(balancer()), "apply", "-f", "-");
    await cluster.kubectl(
      "wait",
      "--for=jsonpath={.status.loadBalancer.ingress[0].ip}",
      "service/web",
      "--timeout=60s",
    );
    address = await get(".status.loadBalancer.ingress[0].ip");
    expect(address).toMatch(/^172\.30\.\d+\.200$/);
    expect(await get(".status.loadBalancer.ingress[0].ipMode")).toBe("VIP");
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    const answers = new Set<string>();
    await eventually("an answer from every pod", async () => {
      answers.add((await ask()).split(" ")[0] ?? "");
      answers.delete("");
      return answers.size === 4;
    });
  });

  it("source ranges shut out who is not of them", async () => {
    const restrict = async (...loadBalancerSourceRanges: string[]) =>
      cluster.kubectl("patch", "service", "web", "-p", JSON.stringify({ spec: { loadBalancerSourceRanges } }));
    await restrict("198.51.100.0/24");
    await eventually("silence", async () => (await ask()) === "");
    await restrict(address.replace(/\.\d+$/, ".0/24"));
    await eventually("an answer", async () => (await ask()).startsWith("web-"));
  });

  it("externalTrafficPolicy Local: the address goes where the pod is, which sees the client; the health port says so", async () => {
    await cluster.kubectl("scale", "deployment/web", "--replicas=1");
    await cluster.kubectl(
      "patch",
      "service",
      "web",
      "-p",
      JSON.stringify({ spec: { externalTrafficPolicy: "Local" } }),
    );
    // Its own address, not that of a node.
    const isHeard = async () => /^web-\S+ heard \D*172\.30\.\d+\.1\b/.test(await ask());
    await eventually("the client's own address", isHeard, 60_000);
    const port = await get(".spec.healthCheckNodePort");
    const codes = [];
    for (const last of [11, 12]) {
      const { stdout } = await host.run(
        "socat",
        ["-T3", "-", `TCP4:${address.replace(/\.\d+$/, `.${last}`)}:${port},connect-timeout=2`],
        { allowFailure: true, input: "GET /healthz HTTP/1.0\r\n\r\n" },
      );
      codes.push(stdout.split(" ")[1] ?? "");
    }
    expect(codes.toSorted()).toEqual(["200", "503"]);
    const [pod = ""] = (await cluster.kubectl("get", "pods", "-l", "app=web", "-o", "name")).split("\n");
    const node = await cluster.kubectl("get", pod, "-o", "jsonpath={.spec.nodeName}");
    await cluster.kubectl("cordon", node);
    await cluster.kubectl("delete", pod, "--now");
    await eventually("an answer from the other node", isHeard, 60_000);
    await cluster.kubectl("uncordon", node);
  });

  it("kill -9 of the manager leaves the address where it is, and the next one goes on", async () => {
    const pidOf = async () => (await cluster.status()).processes.find(({ name }) => name === "cloud")?.pid ?? 0;
    const pid = await pidOf();
    process.kill(pid, "SIGKILL");
    expect(await ask()).toMatch(/^web-/);
    await eventually("another manager", async () => ![0, pid].includes(await pidOf()), 30_000);
    await cluster.kubectl("delete", "service", "web", "--timeout=60s");
    await eventually("silence", async () => (await ask()) === "");
  });

  it("down leaves nothing behind", async () => {
    await cluster.down();
    expect(await hostLeftovers(host, all.before)).toEqual([]);
  });
});

describe("a cluster of one node on a network with free addresses", () => {
  let all: BusyboxCluster;
  let host: TestHost;
  let cluster: TestCluster;
  let neighbour = "";
  const free = (last: number, on = host): string => on.address.replace(/\.\d+$/, `.${last}`);

  beforeAll(async () => {
    all = await startBusyboxCluster(
      (made) => ["--load-balancer-pool", `${free(80, made)}-${free(81, made)}`],
      async (made, cleanup) => {
        // Another machine of the same network.
        neighbour = `${made.name}-out`;
        await run("ip", ["netns", "add", neighbour]);
        cleanup.add(async () => void (await run("ip", ["netns", "del", neighbour], { allowFailure: true })));
        await ipBatch([`link set outside netns ${neighbour}`], { netns: made.netns });
        await ipBatch([`addr add ${free(77, made)}/24 dev outside`, "link set outside up"], {
          netns: `/run/netns/${neighbour}`,
        });
      },
    );
    ({ host, cluster } = all);
  });
  afterAll(async () => all?.[Symbol.asyncDispose]());

  it("a LoadBalancer gets one of them, which answers other machines; down takes it back", async () => {
    await cluster.kubectlWith(JSON.stringify(web(1)), "apply", "-f", "-");
    await cluster.kubectlWith(JSON.stringify(balancer()), "apply", "-f", "-");
    const where = ["get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"];
    await eventually("an address", async () => (await cluster.kubectl(...where)) === free(80), 60_000);
    const ask = ["-T3", "-", `TCP4:${free(80)}:80,connect-timeout=2`];
    await eventually(
      "an answer",
      async () => {
        const { stdout } = await run("nsenter", [`--net=/run/netns/${neighbour}`, "socat", ...ask], {
          allowFailure: true,
          input: "GET /cgi-bin/who HTTP/1.0\r\n\r\n",
        });
        return /web-\S+ heard /.test(stdout);
      },
      60_000,
    );
    const { stdout } = await host.run("ip", ["-o", "addr", "show", "dev", "eth0"]);
    expect(stdout).toContain(`inet ${free(80)}/32 scope global eth0:lb`);
    await cluster.down();
    expect(await hostLeftovers(host, all.before)).toEqual([]);
    expect((await host.run("ip", ["-o", "addr", "show", "dev", "eth0"])).stdout).not.toContain(free(80));
  });
});
