import { connect } from "node:net";
import { spawn, type ChildProcess } from "node:child_process";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ipBatch, iptablesSave, nftJson, run } from "@coracle/linux";
import { createIptablesBackend } from "../src/iptables/iptables-backend.ts";
import { createNftablesBackend } from "../src/nftables/nftables-backend.ts";
import type { ServicePort } from "../src/services/service-port.ts";

// Runs in a network namespace of its own (scripts/test.mjs): this namespace is the node, two more are pods.
const PODS = [
  { netns: "cor-proxy-a", link: "corpa", address: "10.244.7.2" },
  { netns: "cor-proxy-b", link: "corpb", address: "10.244.7.3" },
];
const NODE = "172.30.7.1";
const options = { clusterCidr: "10.244.0.0/16", masqueradeAll: false, masqueradeBit: 14, localhostNodePorts: true };
const endpoints = PODS.map(({ address }) => ({ address, port: 8080, isLocal: true }));
const service = (part: Partial<ServicePort> = {}): ServicePort => ({
  id: "shop/web:http",
  namespace: "shop",
  name: "web",
  protocol: "tcp",
  port: 80,
  clusterIp: "10.96.0.5",
  externalIps: [],
  nodePort: 30_080,
  affinitySeconds: undefined,
  internal: endpoints,
  external: endpoints,
  hasAnyEndpoint: true,
  keepsClientAddress: false,
  firewall: undefined,
  ...part,
});

/** What the server at this address says, or the error's code. */
function fetchOnce(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1500 });
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.on("timeout", () => socket.destroy(Object.assign(new Error(), { code: "TIMEOUT" })));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    socket.on("close", () => resolve(text));
  });
}

/** The same, asked from inside a pod. */
async function fetchFrom(netns: string, host: string, port: number): Promise<string> {
  const { stdout } = await run(
    "nsenter",
    [`--net=/run/netns/${netns}`, "socat", "-T1", "-", `TCP4:${host}:${port},connect-timeout=2`],
    { allowFailure: true, input: "" },
  );
  return stdout;
}

describe("packets follow the rules", () => {
  const servers: ChildProcess[] = [];
  beforeAll(async () => {
    await ipBatch([
      "link set lo up",
      "link add corpn type veth peer name corpm",
      `addr add ${NODE}/24 dev corpn`,
      "link set corpn up",
      "link set corpm up",
      `route add 10.96.0.0/16 dev lo src ${NODE}`,
    ]);
    await run("sysctl", ["-qw", "net.ipv4.ip_forward=1"]);
    for (const { netns, link, address } of PODS) {
      await run("ip", ["netns", "add", netns]);
      await ipBatch([
        `link add ${link} type veth peer name eth0 netns ${netns}`,
        `addr add 169.254.1.1/32 dev ${link}`,
        `link set ${link} up`,
        `route add ${address}/32 dev ${link}`,
      ]);
      await ipBatch(
        [
          "link set lo up",
          `addr add ${address}/32 dev eth0`,
          "link set eth0 up",
          "route add 169.254.1.1 dev eth0 scope link",
          "route add default via 169.254.1.1",
        ],
        { netns: `/run/netns/${netns}` },
      );
      const child = spawn("nsenter", [
        `--net=/run/netns/${netns}`,
        "socat",
        "TCP4-LISTEN:8080,fork,reuseaddr",
        `SYSTEM:echo ${address} from $SOCAT_PEERADDR`,
      ]);
      servers.push(child);
    }
    for (const { address } of PODS) while (!(await fetchOnce(address, 8080)).startsWith(address));
  });
  afterAll(async () => {
    for (const server of servers) server.kill("SIGKILL");
    for (const { netns, link } of PODS) {
      await run("ip", ["link", "del", link], { allowFailure: true });
      await run("ip", ["netns", "del", netns], { allowFailure: true });
    }
    await run("ip", ["link", "del", "corpn"], { allowFailure: true });
  });

  describe.each([
    ["iptables", createIptablesBackend],
    ["nftables", createNftablesBackend],
  ] as const)("%s", (mode, create) => {
    const backend = create(options);
    afterEach(() => backend.remove());

    it("reaches every endpoint by cluster IP, from the node and from a pod", async () => {
      await backend.sync([service()]);
      const answers = new Set<string>();
      for (let i = 0; i < 30; i++) answers.add((await fetchOnce("10.96.0.5", 80)).split(" ")[0] ?? "");
      expect([...answers].sort()).toEqual(PODS.map((pod) => pod.address));
      const fromPod = await fetchFrom("cor-proxy-a", "10.96.0.5", 80);
      expect(fromPod).toMatch(/^10\.244\.7\.[23] from /);
    });
    it("a pod reaches itself through its service", async () => {
      const [own] = endpoints;
      await backend.sync([service({ internal: [own as (typeof endpoints)[0]] })]);
      expect(await fetchFrom("cor-proxy-a", "10.96.0.5", 80)).toMatch(/^10\.244\.7\.2 from /);
    });
    it("serves the node port at the node's address", async () => {
      await backend.sync([service()]);
      expect(await fetchOnce(NODE, 30_080)).toMatch(/^10\.244\.7\.[23] /);
    });
    it("refuses at once when there is no endpoint", async () => {
      await backend.sync([service({ internal: [], external: [], hasAnyEndpoint: false })]);
      expect(await fetchOnce("10.96.0.5", 80)).toBe("ECONNREFUSED");
    });
    it("lets only clients of the source ranges use the balancer's address", async () => {
      const externalIps = ["192.0.2.10"];
      const guarded = (source: string) =>
        service({ externalIps, firewall: { addresses: externalIps, sources: ["198.51.100.0/24", source] } });
      await backend.sync([guarded("10.244.7.2/32")]);
      expect(await fetchFrom("cor-proxy-a", "192.0.2.10", 80)).toMatch(/^10\.244\.7\.[23] /);
      expect(await fetchFrom("cor-proxy-b", "192.0.2.10", 80)).toBe("");
      expect(await fetchFrom("cor-proxy-b", "10.96.0.5", 80)).toMatch(/^10\.244\.7\.[23] /);
      await backend.sync([guarded("10.244.7.0/24")]);
      expect(await fetchFrom("cor-proxy-b", "192.0.2.10", 80)).toMatch(/^10\.244\.7\.[23] /);
    });
    it("keeps a client with its endpoint", async () => {
      await backend.sync([service({ affinitySeconds: 60 })]);
      const answers = new Set<string>();
      for (let i = 0; i < 12; i++) answers.add((await fetchOnce("10.96.0.5", 80)).split(" ")[0] ?? "");
      expect(answers.size).toBe(1);
    });
    it("follows changes without touching the rest, and leaves nothing behind", async () => {
      await backend.sync([
        service(),
        service({ id: "shop/other", name: "other", clusterIp: "10.96.0.6", nodePort: 0 }),
      ]);
      await backend.sync([service({ internal: endpoints.slice(1) })]);
      for (let i = 0; i < 6; i++) expect(await fetchOnce("10.96.0.5", 80)).toMatch(/^10\.244\.7\.3 /);
      await backend.remove();
      if (mode === "iptables")
        expect(`${await iptablesSave("nat")}${await iptablesSave("filter")}`).not.toContain("KUBE-");
      else expect(await nftJson(["list", "table", "ip", "kube-proxy"])).toBeUndefined();
    });
  });
});
