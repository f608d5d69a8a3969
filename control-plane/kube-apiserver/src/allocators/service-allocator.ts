import { internalError, invalid, invalidValue, type Draft, type FieldError } from "@coracle/apimachinery";
import type { Logger } from "@coracle/base";
import type { Reservation, WriteHooks } from "../registry/resource-core.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import { AddressBlock, familyOf, type IpFamily } from "./address-block.ts";
import type { AddressLedger, AddressRefusal, ServiceName } from "./address-ledger.ts";
import { keepsPreferred, settleFamilies } from "./ip-families.ts";
import { needsPlan, planNodePorts, type NodePortPlan } from "./node-ports.ts";
import type { PortLedger } from "./port-ledger.ts";
import {
  addressesOf,
  clusterIpsOf,
  familiesOf,
  isHeadless,
  needsClusterIp,
  nodePortsOf,
  portsOf,
  specOf,
} from "./service-fields.ts";

const SERVICE = { group: "", kind: "Service" } as const;

/** What one write took so far. */
interface Taken {
  readonly ips: string[];
  ports: readonly number[];
}

const WHY: Readonly<Record<AddressRefusal, string>> = {
  allocated: "provided IP is already allocated",
  mismatched: "the provided network does not match the current range",
  full: "range is full",
};

/** Cluster IPs and node ports of Services: unique, kept over updates, free again when the Service does not need them. */
export class ServiceAllocator implements WriteHooks {
  /** Families that the cluster is configured for, the primary first. */
  readonly families: readonly IpFamily[];
  /** Address of the `kubernetes` Service. */
  readonly kubernetesIp: string;
  readonly #addresses: AddressLedger;
  readonly #ports: PortLedger;
  readonly #checkFamilies: (spec: Draft, old: Draft | undefined) => readonly FieldError[];
  readonly #logger: Logger;

  constructor(options: {
    /** The cluster's own blocks, the primary first: one, or two of different families. */
    readonly cidrs: readonly string[];
    readonly addresses: AddressLedger;
    readonly ports: PortLedger;
    /** The kind's rules for cluster IPs and families. */
    readonly checkFamilies: (spec: Draft, old: Draft | undefined) => readonly FieldError[];
    readonly logger: Logger;
  }) {
    const blocks = options.cidrs.map((cidr) => {
      const block = AddressBlock.of(cidr);
      if (block === undefined) throw new Error(`${cidr} is no CIDR that service addresses can be taken from`);
      return block;
    });
    this.families = blocks.map(({ family }) => family);
    this.kubernetesIp = blocks[0]?.first ?? "";
    this.#addresses = options.addresses;
    this.#ports = options.ports;
    this.#checkFamilies = options.checkFamilies;
    this.#logger = options.logger;
  }

  async reserve(draft: ApiDraft, old: ApiObject | undefined, isDryRun: boolean): Promise<Reservation> {
    const spec = specOf(draft);
    const before = old === undefined ? undefined : specOf(old);
    const wrong = settleFamilies(spec, before, this.families, () => this.#checkFamilies(spec, before));
    if (wrong.length > 0) throw refuse(draft, wrong);
    const taken: Taken = { ips: [], ports: [] };
    try {
      await this.#takeIps(draft, spec, before, isDryRun, taken);
      await this.#takePorts(draft, spec, before, isDryRun, taken);
    } catch (error) {
      if (!isDryRun) await this.#free(taken.ips, taken.ports);
      throw error;
    }
    if (isDryRun) return { commit: () => {}, release: () => {} };
    return {
      commit: () => this.#commit(spec, before),
      release: () => this.#free(taken.ips, taken.ports),
    };
  }

  async #commit(spec: Draft, before: Draft | undefined): Promise<void> {
    if (before === undefined) return;
    const ips = new Set(addressesOf(spec));
    const ports = nodePortsOf(spec);
    await this.#free(
      addressesOf(before).filter((ip) => !ips.has(ip)),
      [...nodePortsOf(before)].filter((port) => !ports.has(port)),
    );
  }

  /** Never fails: what could not be given back is found by the repair. */
  async #free(ips: readonly string[], ports: readonly number[]): Promise<void> {
    await this.#addresses.release(ips);
    if (ports.length === 0) return;
    try {
      await this.#ports.change((all) => {
        for (const port of ports) all.release(port);
      });
    } catch (error) {
      this.#logger.warn("cannot give back node ports", { ports, error });
    }
  }

  async deleted(service: ApiObject): Promise<void> {
    const spec = specOf(service);
    await this.#free(addressesOf(spec), [...nodePortsOf(spec)]);
  }

  async #takeIps(
    draft: ApiDraft,
    spec: Draft,
    before: Draft | undefined,
    isDryRun: boolean,
    taken: Taken,
  ): Promise<void> {
    if (!needsClusterIp(spec) || isHeadless(spec) || keepsPreferred(spec, before)) return;
    const families = familiesOf(spec);
    let from = 0;
    if (before !== undefined && needsClusterIp(before)) {
      // Addresses are for good: only a second family is something new.
      if (isHeadless(before) || familiesOf(before).length !== 1 || families.length !== 2) return;
      from = 1;
    }
    const ips = [...clusterIpsOf(spec)];
    for (let i = from; i < families.length; i++) {
      const family = families[i] as IpFamily;
      const asked = ips[i] ?? "";
      ips[i] = isDryRun
        ? this.#lookAt(draft, spec, asked, family)
        : await this.#takeIp(draft, spec, asked, family, taken);
    }
    spec["clusterIP"] = ips[0];
    spec["clusterIPs"] = ips;
  }

  async #takeIp(draft: ApiDraft, spec: Draft, asked: string, family: IpFamily, taken: Taken): Promise<string> {
    const service: ServiceName = {
      namespace: draft.metadata["namespace"] as string,
      name: draft.metadata["name"] as string,
    };
    if (asked === "") {
      const ip = await this.#addresses.takeAny(family, service);
      if (ip === undefined) throw internalError(`failed to allocate a serviceIP: ${WHY.full}`);
      taken.ips.push(ip);
      return ip;
    }
    if (familyOf(asked) === undefined) throw internalError(`failed to parse service IP ${JSON.stringify(asked)}`);
    const refusal = await this.#addresses.take(asked, service);
    if (refusal !== undefined) throw refuseIp(draft, spec, asked, WHY[refusal]);
    taken.ips.push(asked);
    return asked;
  }

  /** A dry run takes nothing and promises nothing: it names the network in place of an address. */
  #lookAt(draft: ApiDraft, spec: Draft, asked: string, family: IpFamily): string {
    const block = this.#addresses.anyBlock(family);
    if (block === undefined) {
      const why = "allocator not ready";
      if (asked !== "") throw refuseIp(draft, spec, asked, why);
      throw refuse(draft, [invalidValue("spec.clusterIPs", spec["clusterIPs"], `failed to allocate IP: ${why}`)]);
    }
    if (asked === "") return block.network;
    if (block.contains(asked)) return asked;
    const why = `the provided IP (${asked}) is not in the valid range. The range of valid IPs is ${block.cidr}`;
    throw refuseIp(draft, spec, asked, why);
  }

  async #takePorts(
    draft: ApiDraft,
    spec: Draft,
    before: Draft | undefined,
    isDryRun: boolean,
    taken: Taken,
  ): Promise<void> {
    if (!needsPlan(spec, before)) return;
    const plan = await this.#ports.change((ports, random): NodePortPlan => {
      const outcome = planNodePorts(spec, before, ports, random, isDryRun);
      if ("errors" in outcome) throw refuse(draft, outcome.errors);
      return outcome;
    });
    taken.ports = plan.taken;
    for (const [i, port] of portsOf(spec).entries()) {
      const given = plan.ports[i];
      if (given !== undefined) port.nodePort = given;
    }
    if (plan.health !== undefined) spec["healthCheckNodePort"] = plan.health;
  }
}

function refuse(draft: ApiDraft, errors: readonly FieldError[]): Error {
  return invalid(SERVICE, (draft.metadata["name"] as string | undefined) ?? "", errors);
}

function refuseIp(draft: ApiDraft, spec: Draft, ip: string, why: string): Error {
  const detail = `failed to allocate IP ${ip}: ${why}`;
  return refuse(draft, [invalidValue("spec.clusterIPs", spec["clusterIPs"], detail)]);
}
