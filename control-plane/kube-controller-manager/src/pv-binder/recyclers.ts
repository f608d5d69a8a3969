import { readFile } from "node:fs/promises";
import { parseYaml } from "@coracle/api";
import type { Pod } from "@coracle/api/core/v1";
import type { ControllerManagerFlags } from "../flags.ts";
import { defaultRecycler } from "./plan-volume.ts";
import type { PvBinderOptions } from "./index.ts";

/** The recyclers that the flags ask for. Files are read when the first volume is emptied; then it fails if one is no pod with a volume. */
export function readRecyclers(flags: ControllerManagerFlags): PvBinderOptions["recyclers"] {
  return {
    hostPath: {
      template: () => readTemplate(flags.pvRecyclerPodTemplateFilepathHostpath),
      minimumSeconds: flags.pvRecyclerMinimumTimeoutHostpath,
      secondsPerGi: flags.pvRecyclerTimeoutIncrementHostpath,
    },
    nfs: {
      template: () => readTemplate(flags.pvRecyclerPodTemplateFilepathNfs),
      minimumSeconds: flags.pvRecyclerMinimumTimeoutNfs,
      secondsPerGi: flags.pvRecyclerIncrementTimeoutNfs,
    },
  };
}

async function readTemplate(path: string | undefined): Promise<Pod> {
  if (path === undefined) return defaultRecycler;
  const [pod] = (await parseYaml(await readFile(path, "utf8"))) as readonly (Pod | undefined)[];
  if (pod === undefined || (pod.spec?.volumes ?? []).length === 0)
    throw new Error(`pod specification (${path}): does not contain any volume(s)`);
  return pod;
}
