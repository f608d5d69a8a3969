import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What was made when nothing was made yet. */
const NOTHING = { balancers: {}, routes: [] };

/**
 * A cloud that is a folder: `--cloud-config` is JSON that names it (`{"folder": "/path"}`). Its machines are in
 * `machines.json`, for people to edit; balancers and routes are in `made.json`, which Coracle has made.
 */
export default function toyCloud({ config, logger }) {
  const { folder } = JSON.parse(config ?? "{}");
  if (typeof folder !== "string") throw new Error('the toy cloud needs a configuration: {"folder": "/path"}');
  const file = join(folder, "made.json");

  const machines = async () => JSON.parse(await readFile(join(folder, "machines.json"), "utf8"));
  const read = async () => {
    try {
      return JSON.parse(await readFile(file, "utf8"));
    } catch (error) {
      if (error.code === "ENOENT") return structuredClone(NOTHING);
      throw error;
    }
  };
  /** One change at a time, all of the file or nothing of it. */
  let last = Promise.resolve();
  const change = (edit) => {
    const turn = last.then(async () => {
      const cloud = await read();
      const answer = edit(cloud);
      await writeFile(`${file}.new`, `${JSON.stringify(cloud, undefined, 2)}\n`);
      await rename(`${file}.new`, file);
      return answer;
    });
    last = turn.catch(() => {});
    return turn;
  };

  const idOf = (node) => node.spec?.providerID?.replace("toy://", "") ?? node.metadata.name;
  const machineOf = async (node) => (await machines())[idOf(node)];
  const nameOf = (service) => `${service.metadata.namespace}/${service.metadata.name}`;
  const names = (nodes) => nodes.map((node) => node.metadata.name).sort();

  return {
    name: "toy",
    instances: {
      exists: async (node) => (await machineOf(node)) !== undefined,
      isShutDown: async (node) => (await machineOf(node))?.state === "off",
      async metadata(node) {
        const machine = await machineOf(node);
        if (machine === undefined) throw new Error(`no machine named ${idOf(node)}`);
        return {
          providerId: `toy://${idOf(node)}`,
          instanceType: machine.type,
          addresses: [{ type: "InternalIP", address: machine.address }],
          additionalLabels: machine.labels,
        };
      },
    },
    zones: {
      async zoneOf(node) {
        const { zone, region } = (await machineOf(node)) ?? {};
        return { zone, region };
      },
    },
    routes: {
      list: async () => (await read()).routes,
      async create(_clusterName, nameHint, { targetNode, destinationCidr }) {
        await change((cloud) => {
          const name = `${nameHint}-${destinationCidr}`;
          cloud.routes = cloud.routes.filter((route) => route.destinationCidr !== destinationCidr);
          cloud.routes.push({ name, targetNode, destinationCidr });
        });
      },
      async delete(_clusterName, { name }) {
        await change((cloud) => void (cloud.routes = cloud.routes.filter((route) => route.name !== name)));
      },
    },
    loadBalancers: {
      async get(_clusterName, service) {
        const balancer = (await read()).balancers[nameOf(service)];
        return balancer && { ingress: [{ ip: balancer.address }] };
      },
      async ensure(_clusterName, service, nodes) {
        logger.info("a balancer is made", { service: nameOf(service) });
        return await change((cloud) => {
          const taken = new Set(Object.values(cloud.balancers).map(({ address }) => address));
          let last = 1;
          while (taken.has(`203.0.113.${last}`)) last++;
          const address = cloud.balancers[nameOf(service)]?.address ?? `203.0.113.${last}`;
          const ports = service.spec.ports.map(({ port, nodePort }) => ({ port, nodePort }));
          const from = service.spec.loadBalancerSourceRanges ?? ["0.0.0.0/0"];
          cloud.balancers[nameOf(service)] = { address, ports, from, nodes: names(nodes) };
          return { ingress: [{ ip: address }] };
        });
      },
      async updateNodes(_clusterName, service, nodes) {
        await change((cloud) => {
          const balancer = cloud.balancers[nameOf(service)];
          if (balancer === undefined) throw new Error(`no balancer of ${nameOf(service)}`);
          balancer.nodes = names(nodes);
        });
      },
      async delete(_clusterName, service) {
        await change((cloud) => void delete cloud.balancers[nameOf(service)]);
      },
    },
  };
}
