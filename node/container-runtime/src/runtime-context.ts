import type { CgroupHierarchy } from "@coracle/linux";
import type { Clock, Logger } from "@coracle/base";
import type { ContainerEventType } from "@coracle/api/cri";
import type { OciRuntime } from "./host/oci-runtime.ts";
import type { RuntimePaths } from "./host/paths.ts";
import type { ImageStore } from "./image/image-store.ts";
import type { HostLimits } from "./oci/generate-spec.ts";
import type { Limiter } from "./container/serial.ts";

/** What the parts of one runtime share. */
export interface RuntimeContext {
  readonly paths: RuntimePaths;
  readonly oci: OciRuntime;
  readonly conmon: string;
  readonly hierarchy: CgroupHierarchy;
  readonly limits: HostLimits;
  readonly images: ImageStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Starting processes beyond the number of processors only makes all of them late. */
  readonly starts: Limiter;
  /** Tells listeners that a container (or a sandbox, by its own id) changed. */
  readonly notify: (type: ContainerEventType, id: string, sandboxId: string) => void;
}
