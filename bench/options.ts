import type { PeerPrograms } from "./api/servers.ts";

/** What a benchmark is asked for. */
export interface BenchOptions {
  /** How often each thing is measured; the median counts. */
  readonly runs: number;
  /** Only metrics whose name holds this text are measured. */
  readonly only: string;
  /** The command to measure. */
  readonly coracle: string;
  /** Upstream's programs, measured in the same run. */
  readonly peer: PeerPrograms | undefined;
  /** Upstream's scheduler, measured beside ours where the peer is given too. */
  readonly peerScheduler?: string | undefined;
  /** Upstream's controllers, measured at our API server, and at the peer's where that is given. */
  readonly peerControllerManager?: string | undefined;
}
