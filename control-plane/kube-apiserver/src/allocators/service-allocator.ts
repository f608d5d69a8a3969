import { isIP } from "node:net";
import type { Logger, Random } from "@coracle/base";
import {
  internalError,
  invalid,
  invalidValue,
  isIpv6Address,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { Reservation, WriteHooks } from "../registry/resource-core.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import { IpAllocator } from "./ip-allocator.ts";
import type { IpRecords } from "./ip-records.ts";
import { PortAllocator } from "./port-allocator.ts";
import {
  clusterIpsOf,
  dropUnused,
  isHeadless,
  keepAllocated,
  needsClusterIp,
  needsHealthPort,
  needsNodePort,
  nodePortsOf,
  portsOf,
  specOf,
  type ServicePort,
} from "./service-fields.ts";

const SERVICE = { group: "", kind: "Service" } as const;

/** What one write took so far. */
interface Taken {
  readonly ips: string[];
  readonly ports: number[];
}

/** Cluster IPs and node ports of Services: unique, kept over updates, free again when the Service does not need them. */
export class ServiceAllocator implements WriteHooks {
  readonly #ips: readonly IpAllocator[];
  readonly #ports: PortAllocator;
  readonly #random: Random;
  readonly #records: IpRecords | undefined;

  constructor(options: {
    /** One CIDR, or two of different families. */
    readonly serviceCidr: string;
    readonly nodePortRange: string;
    readonly random: Random;
    readonly records?: IpRecords | undefined;
  }) {
    this.#ips = options.serviceCidr.split(",").map((cidr) => new IpAllocator(cidr.trim()));
    this.#ports = new PortAllocator(options.nodePortRange);
    this.#random = options.random;
    this.#records = options.records;
    const [first] = this.#ips;
    if (first !== undefined) first.take(first.first);
  }

  /** CIDRs in use, the primary first. */
  get cidrs(): readonly string[] {
    return this.#ips.map((allocator) => allocator.cidr);
  }

  /** Address of the `kubernetes` Service. */
  get kubernetesIp(): string {
    return this.#ips[0]?.first ?? "";
  }

  /** Marks what an existing service has as taken. */
  adopt(service: ApiObject, logger: Logger): void {
    const spec = specOf(service);
    const { namespace, name } = service.metadata;
    for (const ip of clusterIpsOf(spec)) {
      if (ip === "None" || ip === this.kubernetesIp) continue;
      const outcome = this.#allocatorOf(ip)?.take(ip) ?? "outOfRange";
      if (outcome !== "taken") logger.warn("a service's cluster IP is not its own", { namespace, name, ip, outcome });
    }
    for (const port of nodePortsOf(spec)) {
      const outcome = this.#ports.take(port);
      if (outcome !== "taken") logger.warn("a service's node port is not its own", { namespace, name, port, outcome });
    }
  }

  #allocatorOf(ip: string): IpAllocator | undefined {
    const family = isIpv6Address(ip).length === 0 ? "IPv6" : "IPv4";
    return this.#ips.find((allocator) => allocator.family === family);
  }

  // oxlint-disable-next-line require-await
  async reserve(draft: ApiDraft, old: ApiObject | undefined): Promise<Reservation> {
    const before = specOf(old);
    const spec = specOf(draft);
    if (old !== undefined) {
      keepAllocated(spec, before);
      dropUnused(spec, before);
    }
    const taken: Taken = { ips: [], ports: [] };
    try {
      this.#takeIps(draft, spec, before, taken);
      this.#takePorts(draft, spec, before, taken);
    } catch (error) {
      this.#free(taken.ips, taken.ports);
      throw error;
    }
    return {
      commit: () => this.#commit(draft, spec, before, taken),
      release: () => this.#free(taken.ips, taken.ports),
    };
  }

  async #commit(draft: ApiDraft, spec: Draft, before: Draft, taken: Taken): Promise<void> {
    const ips = new Set(clusterIpsOf(spec));
    const ports = nodePortsOf(spec);
    const leftIps = clusterIpsOf(before).filter((ip) => !ips.has(ip));
    this.#free(
      leftIps,
      [...nodePortsOf(before)].filter((port) => !ports.has(port)),
    );
    await this.#records?.add(taken.ips, draft);
    await this.#records?.remove(leftIps);
  }

  #free(ips: readonly string[], ports: Iterable<number>): void {
    for (const ip of ips) if (ip !== "None" && ip !== this.kubernetesIp) this.#allocatorOf(ip)?.release(ip);
    for (const port of ports) this.#ports.release(port);
  }

  async deleted(service: ApiObject): Promise<void> {
    const spec = specOf(service);
    const ips = clusterIpsOf(spec);
    this.#free(ips, nodePortsOf(spec));
    await this.#records?.remove(ips);
  }

  #takeIps(draft: ApiDraft, spec: Draft, before: Draft, taken: Taken): void {
    if (!needsClusterIp(spec)) return;
    this.#settleFamilies(draft, spec);
    if (isHeadless(spec)) {
      spec.clusterIP = "None";
      spec.clusterIPs = ["None"];
      return;
    }
    const known = new Set(clusterIpsOf(before));
    const ips = [...clusterIpsOf(spec)];
    const families = spec.ipFamilies as string[];
    families.forEach((family, i) => {
      const ip = ips[i];
      if (ip === undefined || ip === "") ips[i] = this.#takeAnyIp(draft, spec, family, taken);
      else if (!known.has(ip)) this.#takeIp(draft, spec, ip, taken);
    });
    spec.clusterIP = ips[0];
    spec.clusterIPs = ips.slice(0, Math.max(families.length, clusterIpsOf(spec).length));
  }

  #takeAnyIp(draft: ApiDraft, spec: Draft, family: string, taken: Taken): string {
    const allocator = this.#ips.find((candidate) => candidate.family === family);
    const ip = allocator?.takeAny(this.#random);
    if (ip === undefined) {
      throw refuse(draft, [
        invalidValue("spec.clusterIPs", spec.clusterIPs, "failed to allocate a serviceIP: range is full"),
      ]);
    }
    taken.ips.push(ip);
    return ip;
  }

  #takeIp(draft: ApiDraft, spec: Draft, ip: string, taken: Taken): void {
    const { namespace, name } = draft.metadata;
    if (ip === this.kubernetesIp && namespace === "default" && name === "kubernetes") {
      taken.ips.push(ip);
      return;
    }
    // What is no address is refused by the kind's own rules.
    if (isIP(ip) === 0) return;
    const allocator = this.#allocatorOf(ip);
    const outcome = allocator?.take(ip) ?? "outOfRange";
    if (outcome === "taken") {
      taken.ips.push(ip);
      return;
    }
    const why =
      outcome === "allocated"
        ? "provided IP is already allocated"
        : `the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${allocator?.cidr ?? this.cidrs.join(",")}`;
    throw refuse(draft, [invalidValue("spec.clusterIPs", clusterIpsOf(spec), `failed to allocate IP ${ip}: ${why}`)]);
  }

  #settleFamilies(draft: ApiDraft, spec: Draft): void {
    const configured = this.#ips.map((allocator) => allocator.family as string);
    const selects = Object.keys((spec.selector as Draft | undefined) ?? {}).length > 0;
    if (isHeadless(spec) && !selects) {
      spec.ipFamilyPolicy ??= "RequireDualStack";
      const first = (spec.ipFamilies as string[] | undefined)?.[0] ?? configured[0] ?? "IPv4";
      const both = [first, first === "IPv4" ? "IPv6" : "IPv4"];
      spec.ipFamilies = spec.ipFamilyPolicy === "SingleStack" ? [first] : both;
      return;
    }
    const given = (spec.ipFamilies as string[] | undefined) ?? [];
    const unknown = given.findIndex((family) => !configured.includes(family));
    if (unknown !== -1) {
      const why = "not configured on this cluster";
      throw refuse(draft, [invalidValue(`spec.ipFamilies[${unknown}]`, given[unknown], why)]);
    }
    if (spec.ipFamilyPolicy === "RequireDualStack" && configured.length < 2) {
      const why = "this cluster is not configured for dual-stack services";
      throw refuse(draft, [invalidValue("spec.ipFamilyPolicy", "RequireDualStack", why)]);
    }
    const asked = clusterIpsOf(spec).filter((ip) => ip !== "None");
    const byAddress = asked.map((ip) => (isIpv6Address(ip).length === 0 ? "IPv6" : "IPv4"));
    spec.ipFamilyPolicy ??= given.length > 1 || asked.length > 1 ? "RequireDualStack" : "SingleStack";
    const families = given.length > 0 ? [...given] : byAddress.length > 0 ? byAddress : configured.slice(0, 1);
    if (spec.ipFamilyPolicy === "SingleStack") families.length = Math.min(families.length, 1);
    else for (const family of configured) if (!families.includes(family)) families.push(family);
    spec.ipFamilies = families;
  }

  #takePorts(draft: ApiDraft, spec: Draft, before: Draft, taken: Taken): void {
    const known = nodePortsOf(before);
    const errors: FieldError[] = [];
    const seen = new Set<number>();
    portsOf(spec).forEach((port, i) => {
      const wanted = port.nodePort ?? 0;
      if (wanted === 0 || known.has(wanted) || seen.has(wanted)) return;
      seen.add(wanted);
      errors.push(...this.#takePort(wanted, `spec.ports[${i}].nodePort`, taken));
    });
    if (errors.length > 0) throw refuse(draft, errors);
    if (needsNodePort(spec)) for (const port of portsOf(spec)) this.#fillPort(port, spec, taken);
    if (!needsHealthPort(spec)) return;
    const wanted = (spec.healthCheckNodePort as number | undefined) ?? 0;
    if (wanted === 0) spec.healthCheckNodePort = this.#takeAnyPort(taken);
    else if (!known.has(wanted)) {
      const refused = this.#takePort(wanted, "spec.healthCheckNodePort", taken);
      if (refused.length > 0) throw refuse(draft, refused);
    }
  }

  #takePort(port: number, field: string, taken: Taken): FieldError[] {
    const outcome = this.#ports.take(port);
    if (outcome === "taken") {
      taken.ports.push(port);
      return [];
    }
    const why =
      outcome === "allocated"
        ? "provided port is already allocated"
        : `provided port is not in the valid range. The range of valid ports is ${this.#ports.range}`;
    return [invalidValue(field, port, why)];
  }

  /** TCP and UDP of the same port share one node port. */
  #fillPort(port: ServicePort, spec: Draft, taken: Taken): void {
    if ((port.nodePort ?? 0) !== 0) return;
    const peers = portsOf(spec).filter((other) => other.port === port.port && other.protocol !== port.protocol);
    const shared = peers.find((other) => (other.nodePort ?? 0) !== 0)?.nodePort;
    const isShareable =
      shared !== undefined &&
      !portsOf(spec).some((other) => other.nodePort === shared && other.protocol === port.protocol);
    port.nodePort = isShareable ? shared : this.#takeAnyPort(taken);
  }

  #takeAnyPort(taken: Taken): number {
    const port = this.#ports.takeAny(this.#random);
    if (port === undefined) throw internalError("failed to allocate a nodePort: range is full");
    taken.ports.push(port);
    return port;
  }
}

function refuse(draft: ApiDraft, errors: readonly FieldError[]): Error {
  return invalid(SERVICE, (draft.metadata.name as string | undefined) ?? "", errors);
}
