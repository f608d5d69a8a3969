import { openPodNetwork } from "@coracle/cni";
import {
  createExecPodNetwork,
  importImage,
  listImages as listCriImages,
  parseContainerRuntimeFlags,
  runContainerRuntime,
  type OciRuntimeChoice,
} from "@coracle/container-runtime";
import { clusterPaths } from "../cluster-config.ts";
import { runAloneComponent, withFlags } from "./alone.ts";
import { isSupervised, runSupervised } from "./process-main.ts";

/** Runs the container runtime by itself, with CNI plugins of the host. */
export async function runAlone(component: string, args: readonly string[]): Promise<number> {
  const flags = withFlags(component, () => parseContainerRuntimeFlags(args));
  return await runAloneComponent(component, 0, async ({ clock, logger, signal }) => {
    await runContainerRuntime({
      ...flags,
      clock,
      logger,
      signal,
      network: createExecPodNetwork({ confDir: flags.cniConfDir, binDirs: flags.cniBinDirs }),
    });
  });
}

/** Adds an archive's images to a running runtime; answers their names. */
export const loadImage: typeof importImage = importImage;

/** What a runtime holds, in the form that the command line shows. */
export async function listImages(
  socket: string,
): Promise<{ names: readonly string[]; id: string; sizeBytes: number }[]> {
  const images = await listCriImages(socket);
  return images.map((image) => ({
    names: [...(image.repoTags ?? []), ...(image.repoDigests ?? [])],
    id: image.id ?? "",
    sizeBytes: Number(image.size ?? 0),
  }));
}

if (isSupervised()) {
  void runSupervised("container-runtime", async ({ config, nodeName = "", clock, logger, signal, ready }) => {
    const node = clusterPaths(config).node(nodeName);
    const network = await openPodNetwork({ dataDir: node.network, masqueradeOutside: config.podCidr });
    await runContainerRuntime({
      socketPath: node.criSocket,
      rootDir: node.containers,
      stateDir: node.containerState,
      runtime: config.runtime as OciRuntimeChoice,
      network,
      clock,
      logger,
      signal,
      onReady: ready,
    });
  });
}
