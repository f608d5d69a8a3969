import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { unpackClientProgram } from "@coracle/cluster";
import { Cleanup } from "@coracle/base";
import { run } from "@coracle/linux";
import { renderKubeconfig } from "@coracle/pki";
import { expect, it } from "vitest";
import { coracleFile, ensureBuilt } from "../src/index.ts";
import { startOurServer } from "../src/differential/server.ts";
import { startManager } from "../src/exchange/manager-process.ts";

const GATES = "--feature-gates=StorageVersionMigrator=true";
const { CORACLE_PEER_KUBE_CONTROLLER_MANAGER: peer = "" } = process.env;
const OURS = [process.execPath, coracleFile(), "kube-controller-manager"] as const;

it.each([
  ["ours", OURS] as const,
  // Upstream's, where CORACLE_PEER_KUBE_CONTROLLER_MANAGER says where it is.
  ...(peer === "" ? [] : [["upstream's", [peer]] as const]),
])("kubectl has objects written anew by %s, and sees how far that is", async (_whose, manager) => {
  await ensureBuilt();
  await using cleanup = new Cleanup();
  const server = cleanup.use(
    await startOurServer(coracleFile(), () => [GATES, "--runtime-config=storagemigration.k8s.io/v1beta1=true"]),
  );
  cleanup.use(await startManager(server, manager, [GATES]));
  const kubeconfig = join(server.dir, "admin.kubeconfig");
  const { url, ca, client } = server.target;
  writeFileSync(kubeconfig, renderKubeconfig({ clusterName: "c", userName: "admin", server: url, ca, client }));
  const kubectl = async (args: readonly string[], input?: string): Promise<string> =>
    (await run(unpackClientProgram("kubectl"), ["--kubeconfig", kubeconfig, ...args], { input })).stdout;

  await kubectl(["create", "configmap", "settings", "--from-literal=a=b"]);
  const migration = `
apiVersion: storagemigration.k8s.io/v1beta1
kind: StorageVersionMigration
metadata:
  name: configmaps
spec:
  resource:
    resource: configmaps
`;
  await kubectl(["apply", "-f", "-"], migration);
  await kubectl(["wait", "--for=condition=Succeeded", "storageversionmigration/configmaps", "--timeout=100s"]);
  expect((await kubectl(["get", "storageversionmigrations"])).split("\n").map((line) => line.split(/ +/))).toEqual([
    ["NAME", "RESOURCE", "STATUS"],
    ["configmaps", "configmaps", "Succeeded"],
    [""],
  ]);
  expect(await kubectl(["explain", "storageversionmigration.spec.resource"])).toContain(
    "resource\t<string> -required-",
  );
  const bad = migration.replace("resource: configmaps", "resource: Config").replace("name: configmaps", "name: bad");
  await expect(kubectl(["create", "-f", "-"], bad)).rejects.toThrow("a DNS-1035 label must consist of");
});
