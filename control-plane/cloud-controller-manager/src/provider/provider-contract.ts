import type { Node, Service } from "@coracle/api/core/v1";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CloudProvider } from "./cloud-provider.ts";

/** A provider and what it has to do with. */
export interface ProviderUnderTest extends AsyncDisposable {
  readonly provider: CloudProvider;
  /** Two nodes whose machines run; each has an address and a range of pods. */
  readonly nodes: readonly [Node, Node];
  /** A node whose machine was removed. */
  readonly goneNode: Node;
  /** Makes a Service in the cluster and answers it as the API server has it. */
  service(name: string): Promise<Service>;
}

const CLUSTER = "kubernetes";

/** What every provider keeps, whatever its cloud is. */
export function providerContract(name: string, make: () => Promise<ProviderUnderTest>): void {
  describe(`the cloud provider ${name}`, () => {
    const { signal } = new AbortController();
    let test: ProviderUnderTest;
    beforeAll(async () => {
      test = await make();
    });
    afterAll(async () => test?.[Symbol.asyncDispose]());

    describe("instances", () => {
      it("a machine that runs exists and is not shut down", async () => {
        const { instances } = test.provider;
        for (const node of test.nodes) {
          expect(await instances?.exists(node, signal)).toBe(true);
          expect(await instances?.isShutDown(node, signal)).toBe(false);
        }
      });

      it("a machine has an id of its own, after the provider's name, and addresses; asked again it has the same", async () => {
        const all = await Promise.all(test.nodes.map(async (node) => test.provider.instances?.metadata(node, signal)));
        expect(new Set(all.map((each) => each?.providerId)).size).toBe(2);
        for (const [i, metadata] of all.entries()) {
          expect(metadata?.providerId).toMatch(new RegExp(`^${test.provider.name}://.`));
          expect(metadata?.addresses?.length).toBeGreaterThan(0);
          const node = test.nodes[i] as Node;
          const named: Node = { ...node, spec: { ...node.spec, providerID: metadata?.providerId } };
          expect(await test.provider.instances?.metadata(named, signal)).toEqual(metadata);
        }
      });

      it("a machine has a zone and a region, by its metadata or by the zones", async () => {
        for (const node of test.nodes) {
          const metadata = await test.provider.instances?.metadata(node, signal);
          const { zone, region } =
            metadata?.zone === undefined ? ((await test.provider.zones?.zoneOf(node, signal)) ?? {}) : metadata;
          expect(zone).toMatch(/./);
          expect(region).toMatch(/./);
        }
      });

      it("a machine that is gone does not exist", async () => {
        expect(await test.provider.instances?.exists(test.goneNode, signal)).toBe(false);
      });
    });

    describe("routes", () => {
      const listed = async () => await test.provider.routes?.list(CLUSTER, signal);
      const route = ({ metadata: { name = "" }, spec, status }: Node) => ({
        targetNode: name,
        targetNodeAddresses: status?.addresses ?? [],
        destinationCidr: spec?.podCIDRs?.[0] ?? "",
      });

      it("a route that was made is listed once, also when it was made twice", async () => {
        expect(await listed()).toEqual([]);
        for (const node of [...test.nodes, test.nodes[0]])
          await test.provider.routes?.create(CLUSTER, node.metadata.uid ?? "", route(node), signal);
        const all = (await listed())?.map(({ targetNode, destinationCidr }) => ({ targetNode, destinationCidr }));
        const wanted = test.nodes.map((node) => {
          const { targetNode, destinationCidr } = route(node);
          return { targetNode, destinationCidr };
        });
        expect(all?.toSorted((a, b) => (a.targetNode < b.targetNode ? -1 : 1))).toEqual(wanted);
      });

      it("a route that was deleted is gone, and deleting it again is no error", async () => {
        for (const each of (await listed()) ?? []) {
          await test.provider.routes?.delete(CLUSTER, each, signal);
          await test.provider.routes?.delete(CLUSTER, each, signal);
        }
        expect(await listed()).toEqual([]);
      });
    });

    describe("load balancers", () => {
      it("a Service has none until it is made, then always the same, and none when it was deleted", async () => {
        const { loadBalancers } = test.provider;
        const service = await test.service("contract-a");
        const get = async () => await loadBalancers?.get(CLUSTER, service, signal);
        expect(await get()).toBeUndefined();
        const status = await loadBalancers?.ensure(CLUSTER, service, test.nodes, signal);
        expect(status?.ingress?.length).toBeGreaterThan(0);
        expect(await get()).toEqual(status);
        expect(await loadBalancers?.ensure(CLUSTER, service, test.nodes, signal)).toEqual(status);
        await loadBalancers?.updateNodes(CLUSTER, service, [test.nodes[1]], signal);
        expect(await get()).toEqual(status);
        await loadBalancers?.delete(CLUSTER, service, signal);
        await loadBalancers?.delete(CLUSTER, service, signal);
        expect(await get()).toBeUndefined();
      });

      it("two Services have two addresses; that of one that went can be another's", async () => {
        const { loadBalancers } = test.provider;
        const [one, two] = [await test.service("contract-b"), await test.service("contract-c")];
        const addresses = [];
        for (const service of [one, two])
          addresses.push((await loadBalancers?.ensure(CLUSTER, service, test.nodes, signal))?.ingress?.[0]?.ip);
        expect(new Set(addresses).size).toBe(2);
        for (const service of [one, two]) await loadBalancers?.delete(CLUSTER, service, signal);
        const status = await loadBalancers?.ensure(CLUSTER, two, test.nodes, signal);
        expect(addresses).toContain(status?.ingress?.[0]?.ip);
        await loadBalancers?.delete(CLUSTER, two, signal);
      });

      it("a balancer may have no nodes to lead to", async () => {
        const { loadBalancers } = test.provider;
        const service = await test.service("contract-d");
        await loadBalancers?.ensure(CLUSTER, service, [], signal);
        await loadBalancers?.updateNodes(CLUSTER, service, [...test.nodes], signal);
        await loadBalancers?.delete(CLUSTER, service, signal);
        expect(await loadBalancers?.get(CLUSTER, service, signal)).toBeUndefined();
      });
    });
  });
}
