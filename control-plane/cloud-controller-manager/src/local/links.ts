import { parseIp } from "@coracle/apimachinery";
import { ipJson } from "@coracle/linux";
import type { Family } from "../addresses/ranges.ts";

/** A network link of a machine. */
export interface Link {
  readonly name: string;
  readonly isUp: boolean;
  readonly addresses: readonly LinkAddress[];
}

export interface LinkAddress {
  readonly address: string;
  readonly prefixLength: number;
  readonly label: string | undefined;
  /** Never the source of packets that others did not ask for. */
  readonly isDeprecated: boolean;
  /** Nobody has said yet that it is his: its machine may not use it until then. */
  readonly isTentative: boolean;
  /** Somebody said that it is his. */
  readonly isSomebodyElses: boolean;
}

interface IpLink {
  readonly ifname?: string;
  readonly flags?: readonly string[];
  readonly addr_info?: readonly {
    readonly local?: string;
    readonly prefixlen?: number;
    readonly scope?: string;
    readonly label?: string;
    readonly deprecated?: boolean;
    readonly tentative?: boolean;
    readonly dadfailed?: boolean;
  }[];
}

/** Links of the network namespace, but loopback, with their addresses that others can reach. */
export async function readLinks(netns: string | undefined): Promise<Link[]> {
  const links = (await ipJson(["addr", "show"], { netns })) as readonly IpLink[];
  return links
    .filter(({ flags = [] }) => !flags.includes("LOOPBACK"))
    .map(({ ifname = "", flags = [], addr_info: addresses = [] }) => ({
      name: ifname,
      isUp: flags.includes("UP"),
      addresses: addresses
        .filter(({ scope, local }) => scope === "global" && local !== undefined)
        .map(({ local = "", prefixlen = 0, label, deprecated, tentative, dadfailed }) => ({
          address: local,
          prefixLength: prefixlen,
          label,
          isDeprecated: deprecated === true,
          isTentative: tentative === true,
          isSomebodyElses: dadfailed === true,
        })),
    }));
}

/** The link that leads to everywhere; undefined: none does. */
export async function defaultLink(netns: string | undefined, family: Family): Promise<string | undefined> {
  const routes = (await ipJson([`-${family}`, "route", "show", "default"], { netns })) as readonly {
    readonly dev?: string;
  }[];
  return routes[0]?.dev;
}

/** The link one of whose networks the address is of. */
export function linkTowards(links: readonly Link[], address: string): string | undefined {
  const ip = parseIp(address);
  return links.find((link) =>
    link.addresses.some((each) => {
      const own = parseIp(each.address);
      const bits = own?.family === 4 ? 32 : 128;
      // A single address is no network.
      if (ip === undefined || own?.family !== ip.family || each.prefixLength >= bits) return false;
      const shift = BigInt(bits - each.prefixLength);
      return own.value >> shift === ip.value >> shift;
    }),
  )?.name;
}
