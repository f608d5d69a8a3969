import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Cleanup } from "@coracle/base";
import { expect, it } from "vitest";
import { createTestHost, eventually, exampleImages, startCluster, startRegistry } from "../src/index.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

it(
  "a volume that lives with its pod is bound, mounted, written to, and given back with the pod",
  { timeout: 240_000 },
  async () => {
    await using cleanup = new Cleanup();
    const folder = mkdtempSync(join(tmpdir(), "cor-own-volume-"));
    cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
    const host = cleanup.use(await createTestHost());
    const registry = cleanup.use(await startRegistry(host));
    const busybox = exampleImages(root)["localhost/busybox:1"];
    if (busybox === undefined) throw new Error("there is no busybox among the examples' images");
    const image = await registry.push("busybox:1", busybox);
    const cluster = cleanup.use(await startCluster(host));

    const storageClassName = "own";
    const accessModes = ["ReadWriteOnce"];
    const volume = {
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name: "disk" },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes,
        storageClassName,
        persistentVolumeReclaimPolicy: "Retain",
        hostPath: { path: folder, type: "Directory" },
      },
    };
    const spec = { accessModes, storageClassName, resources: { requests: { storage: "1Gi" } } };
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "writer" },
      spec: {
        terminationGracePeriodSeconds: 0,
        volumes: [{ name: "scratch", ephemeral: { volumeClaimTemplate: { spec } } }],
        containers: [
          {
            name: "c",
            image,
            command: ["sh", "-c", "echo kept > /scratch/note; while :; do sleep 1; done"],
            volumeMounts: [{ name: "scratch", mountPath: "/scratch" }],
          },
        ],
      },
    };
    await cluster.kubectlWith(
      JSON.stringify({ apiVersion: "v1", kind: "List", items: [volume, pod] }),
      "apply",
      "-f",
      "-",
    );
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=120s");
    const jsonPath = async (what: string, path: string): Promise<string> =>
      await cluster.kubectl("get", what, "-o", `jsonpath={${path}}`);
    expect(await jsonPath("pvc/writer-scratch", ".metadata.ownerReferences[0].name")).toBe("writer");
    expect(await jsonPath("pvc/writer-scratch", ".status.phase")).toBe("Bound");
    expect(await jsonPath("pv/disk", ".spec.claimRef.name")).toBe("writer-scratch");
    const note = join(folder, "note");
    await eventually("it is written", async () => readFileSync(note, "utf8") === "kept\n", 60_000);

    await cluster.kubectl("delete", "pod", "writer", "--wait=true", "--timeout=120s");
    await eventually("the claim went with it", async () => (await cluster.kubectl("get", "pvc")) === "", 60_000);
    await eventually(
      "the volume is given back",
      async () => (await jsonPath("pv/disk", ".status.phase")) === "Released",
      60_000,
    );
    expect(readFileSync(note, "utf8")).toBe("kept\n");
  },
);
