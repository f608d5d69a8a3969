import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cleanup } from "@coracle/base";
import { snapshotHost, type HostSnapshot } from "../host/host-snapshot.ts";
import { createTestHost, type TestHost } from "../host/test-host.ts";
import { busyboxImage } from "../image/built-images.ts";
import { imageArchive } from "../image/image.ts";
import { startCluster, type TestCluster } from "./test-cluster.ts";

/** A cluster on a host of its own whose nodes have the image `localhost/bb:1`. */
export interface BusyboxCluster extends AsyncDisposable {
  readonly host: TestHost;
  /** What was there before the cluster. */
  readonly before: HostSnapshot;
  readonly cluster: TestCluster;
}

/** Starts one with these flags of `coracle up`, which may depend on the host; `prepare` does something with that before. */
export async function startBusyboxCluster(
  flags: readonly string[] | ((host: TestHost) => readonly string[]),
  prepare?: (host: TestHost, cleanup: Cleanup) => Promise<void>,
): Promise<BusyboxCluster> {
  const cleanup = new Cleanup();
  try {
    const host = cleanup.use(await createTestHost());
    await prepare?.(host, cleanup);
    const before = await snapshotHost(host);
    const cluster = cleanup.use(await startCluster(host, { flags: typeof flags === "function" ? flags(host) : flags }));
    const archive = join(host.dir, "bb.tar");
    writeFileSync(archive, imageArchive({ "localhost/bb:1": busyboxImage() }));
    const loaded = await cluster.coracle("image", "load", archive);
    if (loaded.code !== 0) throw new Error(`coracle image load: ${loaded.stderr}`);
    return { host, before, cluster, [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose]() };
  } catch (error) {
    await cleanup[Symbol.asyncDispose]();
    throw error;
  }
}

/** A Deployment `web` whose pods run `script`, and are ready as soon as somebody listens on port 8080. */
export const webDeployment = (replicas: number, script: string): unknown => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web" },
  spec: {
    replicas,
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "web",
            image: "localhost/bb:1",
            command: ["sh", "-c", script],
            readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          },
        ],
      },
    },
  },
});
