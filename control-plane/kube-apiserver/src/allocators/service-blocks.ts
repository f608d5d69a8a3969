import type { ServiceCIDR } from "@coracle/api/networking/v1";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { ObjectStorage } from "../storage/object-storage.ts";
import { AddressBlock, type IpFamily } from "./address-block.ts";

interface Entry {
  readonly block: AddressBlock;
  /** ServiceCIDR → whether addresses may be taken because of it. */
  readonly isReadyBy: Map<string, boolean>;
}

/** Ready unless it says that it is not: its controller may not run. */
function isReady(object: ApiObject): boolean {
  const { metadata, status } = object as unknown as ServiceCIDR;
  if (metadata.deletionTimestamp !== undefined) return false;
  const condition = status?.conditions?.find(({ type }) => type === "Ready");
  return condition === undefined || condition.status === "True";
}

/** The blocks that cluster IPs come from: those of all ServiceCIDR objects, as they come and go. */
export class ServiceBlocks implements Disposable {
  readonly #byCidr = new Map<string, Entry>();
  readonly #following: Disposable;

  constructor(storage: ObjectStorage) {
    this.#following = storage.watch(
      {},
      {
        event: (type, { current }) => {
          this.#forget(current.name);
          if (type !== "DELETED") this.#take(current.object);
        },
        initialDone: () => {},
        closed: () => {},
      },
    );
  }

  #forget(name: string): void {
    for (const [cidr, { isReadyBy }] of this.#byCidr) {
      if (isReadyBy.delete(name) && isReadyBy.size === 0) this.#byCidr.delete(cidr);
    }
  }

  #take(object: ApiObject): void {
    const { metadata, spec } = object as unknown as ServiceCIDR;
    for (const cidr of spec?.cidrs ?? []) {
      let entry = this.#byCidr.get(cidr);
      if (entry === undefined) {
        const block = AddressBlock.of(cidr);
        if (block === undefined) continue;
        entry = { block, isReadyBy: new Map() };
        this.#byCidr.set(cidr, entry);
      }
      entry.isReadyBy.set(metadata.name ?? "", isReady(object));
    }
  }

  /** Blocks that addresses of a family may be taken from now. */
  ready(family: IpFamily): readonly AddressBlock[] {
    return [...this.#byCidr.values()]
      .filter(({ block, isReadyBy }) => block.family === family && [...isReadyBy.values()].includes(true))
      .map(({ block }) => block);
  }

  /** Blocks of a family, ready or not. */
  of(family: IpFamily): readonly AddressBlock[] {
    return [...this.#byCidr.values()].filter(({ block }) => block.family === family).map(({ block }) => block);
  }

  /** Whether any block, ready or not, has the address. */
  covers(ip: string): boolean {
    for (const { block } of this.#byCidr.values()) if (block.contains(ip)) return true;
    return false;
  }

  [Symbol.dispose](): void {
    this.#following[Symbol.dispose]();
  }
}
