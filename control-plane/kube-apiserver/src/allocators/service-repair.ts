import { isAlreadyExists } from "@coracle/apimachinery";
import type { Clock, Logger, TaskScope, Timer } from "@coracle/base";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { ObjectStorage, StorageEvent } from "../storage/object-storage.ts";
import { canonicalIp, familyOf } from "./address-block.ts";
import { hasOurLabels, isOurs, parentOf, type AddressLedger } from "./address-ledger.ts";
import { DefaultBlock } from "./default-block.ts";
import { PortRepair } from "./port-repair.ts";
import type { PortLedger } from "./port-ledger.ts";
import type { ReportProblem } from "./problem-events.ts";
import type { ServiceBlocks } from "./service-blocks.ts";
import { addressesOf, specOf } from "./service-fields.ts";

/** A look at everything, although nothing seems to be amiss. */
const SAFETY_NET_MS = 30 * 60_000;
/** How soon ports that no Service has are looked at again. */
const LEAK_CHECK_MS = 3 * 60_000;
/** An address is taken before its Service is written: so long a request may last. */
const WRITE_MS = 60_000;
/** What a Service gives up is given back after it is written. */
const RELEASE_MS = 5_000;

export interface ServiceRepairOptions {
  readonly services: ObjectStorage;
  readonly addresses: ObjectStorage;
  readonly blocks: ObjectStorage;
  readonly ranges: ServiceBlocks;
  readonly ledger: AddressLedger;
  readonly ports: PortLedger;
  readonly defaultBlock: DefaultBlock;
  readonly reportIp: ReportProblem;
  readonly reportPort: ReportProblem;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly scope: TaskScope;
}

type Key = `service ${string}/${string}` | `address ${string}`;

/**
 * Makes what is written down about addresses and ports agree with the Services: at start, whenever a change does not
 * agree for longer than a request lasts, and now and then.
 */
export class ServiceRepair implements Disposable {
  readonly #options: ServiceRepairOptions;
  readonly #ports: PortRepair;
  readonly #following: Disposable[] = [];
  /** What to look at, and when. */
  readonly #due = new Map<Key, number>();
  #timer: { readonly at: number; readonly timer: Timer } | undefined;
  #net: Timer | undefined;

  constructor(options: ServiceRepairOptions) {
    this.#options = options;
    this.#ports = new PortRepair(options.ports, options.reportPort);
  }

  /** Mends what is wrong now and follows what happens from then on. */
  async start(): Promise<void> {
    await this.#options.defaultBlock.sync();
    await this.#all();
    const { services, addresses, blocks, scope, defaultBlock } = this.#options;
    this.#follow(services, (type, event) => this.#serviceChanged(type, event));
    this.#follow(addresses, (type, event) => this.#addressChanged(type, event));
    this.#follow(blocks, (_type, { current }) => {
      if (DefaultBlock.concerns(current.name)) scope.run(() => this.#quietly(() => defaultBlock.sync()));
    });
  }

  #follow(
    storage: ObjectStorage,
    changed: (type: "ADDED" | "MODIFIED" | "DELETED", event: StorageEvent) => void,
  ): void {
    let isLive = false;
    this.#following.push(
      storage.watch(
        {},
        {
          event: (type, event) => {
            if (isLive) changed(type, event);
          },
          initialDone: () => {
            isLive = true;
          },
          closed: () => {},
        },
      ),
    );
  }

  async #all(): Promise<void> {
    const { services, addresses, clock } = this.#options;
    const items = (await services.list({})).items.map(({ object }) => object);
    for (const service of items) await this.#quietly(() => this.#checkService(service));
    for (const { object } of (await addresses.list({})).items) await this.#quietly(() => this.#checkAddress(object));
    await this.#quietly(() => this.#ports.run(items));
    this.#net?.[Symbol.dispose]();
    this.#net = clock.after(this.#ports.suspectsLeaks ? LEAK_CHECK_MS : SAFETY_NET_MS, () =>
      this.#options.scope.run(() => this.#quietly(() => this.#all())),
    );
    this.#net.unref();
  }

  /** What fails now is tried again by the safety net. */
  async #quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isAlreadyExists(error)) this.#options.logger.warn("cannot repair service networking", { error });
    }
  }

  #serviceChanged(type: "ADDED" | "MODIFIED" | "DELETED", { current, previous }: StorageEvent): void {
    const now = type === "DELETED" ? [] : addressesOf(specOf(current.object));
    const before = previous === undefined ? [] : addressesOf(specOf(previous.object));
    for (const ip of before) if (!now.includes(ip)) this.#later(`address ${canonicalIp(ip) ?? ip}`, RELEASE_MS);
    const isRight = now.every((ip) => {
      this.#done(`address ${canonicalIp(ip) ?? ip}`);
      const address = this.#options.ledger.get(ip);
      return address !== undefined && isFor(address, current.object) && hasOurLabels(address);
    });
    if (!isRight) this.#later(`service ${current.namespace}/${current.name}`, 0);
  }

  #addressChanged(type: "ADDED" | "MODIFIED" | "DELETED", { current, previous }: StorageEvent): void {
    const key: Key = `address ${current.name}`;
    const parent = parentOf(type === "DELETED" ? (previous ?? current).object : current.object);
    const service = this.#options.services.get(parent?.namespace ?? "", parent?.name ?? "");
    const isUsed =
      service !== undefined && addressesOf(specOf(service.object)).some((ip) => canonicalIp(ip) === current.name);
    if (type === "DELETED") {
      this.#done(key);
      if (isUsed && parent?.resource === "services") this.#later(`service ${service.namespace}/${service.name}`, 0);
      return;
    }
    if (isUsed && parent?.resource === "services" && hasOurLabels(current.object)) this.#done(key);
    else if (isOurs(current.object)) this.#later(key, isUsed || parent?.resource !== "services" ? 0 : WRITE_MS);
  }

  #later(key: Key, delayMs: number): void {
    const at = this.#options.clock.now() + delayMs;
    if ((this.#due.get(key) ?? Infinity) <= at) return;
    this.#due.set(key, at);
    if (this.#timer !== undefined && this.#timer.at <= at) return;
    this.#timer?.timer[Symbol.dispose]();
    this.#arm(at);
  }

  #done(key: Key): void {
    if (!this.#due.delete(key) || this.#due.size > 0) return;
    this.#timer?.timer[Symbol.dispose]();
    this.#timer = undefined;
  }

  #arm(at: number): void {
    const { clock, scope } = this.#options;
    const timer = clock.after(Math.max(0, at - clock.now()), () => {
      this.#timer = undefined;
      scope.run(() => this.#checkDue());
    });
    timer.unref();
    this.#timer = { at, timer };
  }

  async #checkDue(): Promise<void> {
    const now = this.#options.clock.now();
    const keys = [...this.#due].filter(([, at]) => at <= now).map(([key]) => key);
    for (const key of keys) this.#due.delete(key);
    const { services, addresses } = this.#options;
    for (const key of keys) {
      const [what, name = ""] = key.split(" ", 2);
      if (what === "address") {
        const address = addresses.get("", name);
        if (address !== undefined) await this.#quietly(() => this.#checkAddress(address.object));
      } else {
        const [namespace = "", service = ""] = name.split("/");
        const stored = services.get(namespace, service);
        if (stored !== undefined) await this.#quietly(() => this.#checkService(stored.object));
      }
    }
    const next = Math.min(...this.#due.values());
    if (this.#timer === undefined && Number.isFinite(next)) this.#arm(next);
  }

  /** Each address of a Service has its record, and the record names the Service. */
  async #checkService(service: ApiObject): Promise<void> {
    const { ranges, ledger } = this.#options;
    const { namespace, name } = service.metadata as { namespace: string; name: string };
    for (const ip of addressesOf(specOf(service))) {
      const family = familyOf(ip);
      const wrongReference = `the ClusterIP [${family}]: ${ip} for Service ${namespace}/${name} has a wrong reference; repairing`;
      if (family === undefined) {
        const note = `Cluster IP ${ip} is not a valid IP; please recreate Service`;
        this.#tellService(service, "ClusterIPNotValid", note, "ClusterIPValidation");
        continue;
      }
      if (!ranges.covers(ip)) {
        const note = `Cluster IP [${family}]: ${ip} is not within any configured Service CIDR; please recreate service`;
        this.#tellService(service, "ClusterIPOutOfRange", note);
        continue;
      }
      const address = ledger.get(ip);
      if (address === undefined) {
        const note = `Cluster IP [${family}]: ${ip} is not allocated; repairing`;
        this.#tellService(service, "ClusterIPNotAllocated", note);
        await ledger.record(ip, { namespace, name });
        continue;
      }
      if (isFor(address, service)) {
        if (!hasOurLabels(address)) await this.#recreate(ip, namespace, name);
        continue;
      }
      if (this.#hasOtherOwner(address, ip)) {
        const note = `Cluster IP [${family}]:${ip} was assigned to multiple services; please recreate service`;
        this.#tellService(service, "ClusterIPAlreadyAllocated", note);
        continue;
      }
      this.#tellService(service, "ClusterIPNotAllocated", wrongReference);
      await this.#recreate(ip, namespace, name);
    }
  }

  /** Whether the Service that a record names exists and has the address. */
  #hasOtherOwner(address: ApiObject, ip: string): boolean {
    const parent = parentOf(address);
    if ((parent?.group ?? "") !== "" || parent?.resource !== "services") return false;
    const other = this.#options.services.get(parent.namespace ?? "", parent.name ?? "");
    return other !== undefined && addressesOf(specOf(other.object)).includes(ip);
  }

  async #recreate(ip: string, namespace: string, name: string): Promise<void> {
    await this.#options.ledger.release([ip]);
    await this.#options.ledger.record(ip, { namespace, name });
  }

  #tellService(service: ApiObject, reason: string, note: string, action = "ClusterIPAllocation"): void {
    this.#options.reportIp({ object: service, kind: "Service", reason, action, note });
  }

  /** A record that the allocator made names a Service that has the address. */
  async #checkAddress(address: ApiObject): Promise<void> {
    if (!isOurs(address)) return;
    const { clock, services } = this.#options;
    const { name: ip, creationTimestamp } = address.metadata as { name: string; creationTimestamp: string };
    const parent = parentOf(address);
    const of = `${parent?.namespace ?? ""}/${parent?.name ?? ""}`;
    const key: Key = `address ${ip}`;
    const tell = (reason: string, note: string): void =>
      this.#options.reportIp({ object: address, kind: "IPAddress", reason, action: "IPAddressAllocation", note });
    if ((parent?.group ?? "") !== "" || parent?.resource !== "services") {
      const said = `&ParentReference{Group:${parent?.group ?? ""},Resource:${parent?.resource ?? ""},Namespace:${parent?.namespace ?? ""},Name:${parent?.name ?? ""},}`;
      tell(
        "IPAddressNotAllocated",
        `IPAddress ${ip} appears to have been modified, not referencing a Service ${said}: cleaning up`,
      );
      await this.#giveUp(ip);
      return;
    }
    const born = Date.parse(creationTimestamp);
    const age = clock.now() - born;
    const service = services.get(parent.namespace ?? "", parent.name ?? "");
    if (service === undefined) {
      if (age <= WRITE_MS) return this.#later(key, WRITE_MS - age + 1);
      tell("IPAddressNotAllocated", `IPAddress: ${ip} for Service ${of} appears to have leaked: cleaning up`);
      await this.#giveUp(ip);
      return;
    }
    if (addressesOf(specOf(service.object)).some((own) => canonicalIp(own) === ip)) {
      if (!hasOurLabels(address)) await this.#recreate(ip, service.namespace, service.name);
      return;
    }
    // Taken for a Service that was there already: the request that took it is about to give it back.
    const serviceBorn = Date.parse(service.object.metadata["creationTimestamp"] as string);
    if (born > serviceBorn && age < RELEASE_MS) return this.#later(key, RELEASE_MS);
    tell("IPAddressWrongReference", `IPAddress: ${ip} for Service ${of} has a wrong reference; cleaning up`);
    await this.#giveUp(ip);
  }

  /** The record goes; whoever has the address all the same gets one of its own. */
  async #giveUp(ip: string): Promise<void> {
    const { ledger, services } = this.#options;
    await ledger.release([ip]);
    const has = ({ object }: { readonly object: ApiObject }): boolean =>
      addressesOf(specOf(object)).some((own) => canonicalIp(own) === ip);
    const owner = (await services.list({})).items.find(has);
    if (owner !== undefined) await this.#checkService(owner.object);
  }

  [Symbol.dispose](): void {
    for (const following of this.#following) following[Symbol.dispose]();
    this.#timer?.timer[Symbol.dispose]();
    this.#net?.[Symbol.dispose]();
  }
}

/** Whether a record names that Service. */
function isFor(address: ApiObject, service: ApiObject): boolean {
  const parent = parentOf(address);
  const { namespace, name } = service.metadata;
  return (
    (parent?.group ?? "") === "" &&
    parent?.resource === "services" &&
    parent.namespace === namespace &&
    parent.name === name
  );
}
