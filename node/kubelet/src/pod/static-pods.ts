import { createHash } from "node:crypto";
import { watch } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseYamlDocument } from "@coracle/api";
import type { Pod } from "@coracle/api/core/v1";
import { aborted, type Clock, type Logger } from "@coracle/base";

const CONFIG_SOURCE = "kubernetes.io/config.source";
export const CONFIG_HASH = "kubernetes.io/config.hash";
export const CONFIG_MIRROR = "kubernetes.io/config.mirror";
const CONFIG_SEEN = "kubernetes.io/config.seen";
const SETTLE_MS = 100;

/** A pod as a file describes it, with the names that it has on this node. */
export function staticPod(description: Pod, file: string, nodeName: string, seenAt: number): Pod {
  const hash = createHash("md5")
    .update(JSON.stringify(description))
    .update(`host:${nodeName}`)
    .update(`file:${file}`)
    .digest("hex");
  const name = `${description.metadata.name ?? ""}-${nodeName.toLowerCase()}`;
  const spec = description.spec;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...description.metadata,
      name,
      namespace: description.metadata.namespace ?? "default",
      uid: description.metadata.uid ?? hash,
      annotations: {
        ...description.metadata.annotations,
        [CONFIG_HASH]: hash,
        [CONFIG_SOURCE]: "file",
        [CONFIG_SEEN]: new Date(seenAt).toISOString(),
      },
    },
    spec: {
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      dnsPolicy: "ClusterFirst",
      ...spec,
      containers: spec?.containers ?? [],
      nodeName,
      enableServiceLinks: spec?.enableServiceLinks ?? true,
      tolerations: [...(spec?.tolerations ?? []), { operator: "Exists", effect: "NoExecute" }],
    },
  };
}

/** Follows a folder of pod files; calls `changed` with all pods in it whenever it changes. */
export async function watchStaticPods(
  folder: string,
  deps: { readonly nodeName: string; readonly clock: Clock; readonly logger: Logger },
  changed: (pods: readonly Pod[]) => void,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  let isReading = false;
  let isAgain = false;
  const read = async (): Promise<void> => {
    isAgain = true;
    if (isReading) return;
    isReading = true;
    while (isAgain) {
      isAgain = false;
      changed(await readStaticPods(folder, deps));
    }
    isReading = false;
  };
  const watcher = watch(folder, { signal }, () => {
    deps.clock.after(SETTLE_MS, () => void read()).unref();
  });
  watcher.on("error", (error) => deps.logger.warn("the folder of static pods cannot be followed", { error }));
  await read();
  await aborted(signal);
}

async function readStaticPods(
  folder: string,
  deps: { readonly nodeName: string; readonly clock: Clock; readonly logger: Logger },
): Promise<Pod[]> {
  const pods: Pod[] = [];
  for (const entry of (await readdir(folder)).toSorted()) {
    if (entry.startsWith(".")) continue;
    const file = join(folder, entry);
    try {
      const description = (await parseYamlDocument(await readFile(file, "utf8"))) as Pod | null;
      if (description?.kind !== "Pod" || description.spec === undefined) throw new Error("it does not describe a pod");
      pods.push(staticPod(description, file, deps.nodeName, deps.clock.now()));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EISDIR") continue;
      deps.logger.error("a static pod cannot be read", { file, error });
    }
  }
  return pods;
}
