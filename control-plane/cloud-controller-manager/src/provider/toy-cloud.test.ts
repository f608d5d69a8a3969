import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Node, Service } from "@coracle/api/core/v1";
import { silentLogger } from "@coracle/base";
import { describe, expect, it } from "vitest";
import type { CloudProviderContext } from "./cloud-provider.ts";
import { loadProvider } from "./load-provider.ts";
import { providerContract } from "./provider-contract.ts";

const TOY = fileURLToPath(new URL("../../../../examples/17-cloud-provider/toy-cloud", import.meta.url));

const node = (name: string, i: number): Node => ({
  metadata: { name, uid: `uid-${name}` },
  spec: { podCIDRs: [`10.244.${i}.0/24`] },
  status: { addresses: [{ type: "InternalIP", address: `10.0.0.${i}` }] },
});
const machine = (i: number) => ({ type: "small", address: `10.0.0.${i}`, zone: "z1", region: "r1" });

providerContract("of the example, which is a package", async () => {
  const dir = mkdtempSync(join(tmpdir(), "cor-toy-"));
  writeFileSync(join(dir, "machines.json"), JSON.stringify({ a: machine(1), b: machine(2) }));
  const context = { config: JSON.stringify({ folder: dir }), logger: silentLogger } as CloudProviderContext;
  const provider = await (await loadProvider(TOY, process.cwd()))(context);
  return {
    provider,
    nodes: [node("a", 1), node("b", 2)],
    goneNode: node("c", 3),
    service: (name) =>
      Promise.resolve<Service>({
        metadata: { namespace: "default", name, uid: name },
        spec: { type: "LoadBalancer", ports: [{ port: 80, nodePort: 30_080 }] },
      }),
    async [Symbol.asyncDispose]() {
      rmSync(dir, { recursive: true });
    },
  };
});

describe("--cloud-provider", () => {
  it("a name that leads nowhere is told with the name", async () => {
    await expect(loadProvider("no-such-cloud", "/")).rejects.toThrow(/^unknown cloud provider "no-such-cloud": /);
  });
  it("a module without a factory is told", async () => {
    await expect(loadProvider("node:os", "/")).rejects.toThrow("its default export is no function");
  });
});
