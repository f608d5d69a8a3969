import type { ServicePort } from "./services/service-port.ts";

/** What every backend must know of the node. */
export interface RuleOptions {
  /** Range of pod addresses: what comes from elsewhere to a cluster IP is masqueraded. Absent: nothing is. */
  readonly clusterCidr: string | undefined;
  readonly masqueradeAll: boolean;
  /** Bit of the packet mark that asks for masquerading, 0 to 31. */
  readonly masqueradeBit: number;
  /** Serve node ports on 127.0.0.1 too (iptables only). */
  readonly localhostNodePorts: boolean;
}

/** Turns the wanted state into rules of the kernel. Calls do not overlap. */
export interface RuleBackend {
  /** Makes the kernel's rules be those of `ports`, whatever they were. */
  sync(ports: readonly ServicePort[]): Promise<void>;
  /** Removes every rule this backend ever made. */
  remove(): Promise<void>;
}
