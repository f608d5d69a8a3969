import { parseArgs } from "node:util";
import type { OciRuntimeChoice } from "./host/oci-runtime.ts";

/** The settings of `coracle container-runtime`. */
export interface ContainerRuntimeFlags {
  readonly socketPath: string;
  readonly rootDir: string;
  readonly stateDir: string;
  readonly runtime: OciRuntimeChoice;
  readonly cniConfDir: string;
  readonly cniBinDirs: readonly string[];
  /** Registry hosts to be spoken to without TLS. */
  readonly insecureRegistries: readonly string[];
}

/** Reads the command line; throws with one line for what is wrong. */
export function parseContainerRuntimeFlags(argv: readonly string[]): ContainerRuntimeFlags {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      address: { type: "string", default: "/run/coracle/container-runtime.sock" },
      root: { type: "string", default: "/var/lib/coracle/containers" },
      state: { type: "string", default: "/run/coracle/containers" },
      runtime: { type: "string", default: "auto" },
      "cni-conf-dir": { type: "string", default: "/etc/cni/net.d" },
      "cni-bin-dir": { type: "string", multiple: true, default: ["/opt/cni/bin", "/usr/lib/cni"] },
      "insecure-registry": { type: "string", multiple: true, default: [] },
    },
  });
  const { runtime } = values;
  if (runtime !== "auto" && runtime !== "runc" && runtime !== "crun") {
    throw new Error(`invalid value "${runtime}" for --runtime: must be auto, runc or crun`);
  }
  return {
    socketPath: values.address.replace(/^unix:\/\//, ""),
    rootDir: values.root,
    stateDir: values.state,
    runtime,
    cniConfDir: values["cni-conf-dir"],
    cniBinDirs: values["cni-bin-dir"],
    insecureRegistries: values["insecure-registry"],
  };
}
