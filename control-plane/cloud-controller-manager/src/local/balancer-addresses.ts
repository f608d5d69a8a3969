import { sleep, type Clock } from "@coracle/base";
import { inNetworkNamespace, ipBatch, run } from "@coracle/linux";
import { familyOf, holdsAddress, parseRange, type Family } from "../addresses/ranges.ts";
import { defaultLink, linkTowards, readLinks, type LinkAddress } from "./links.ts";

/** By this label the kernel tells our IPv4 addresses from others. */
const LABEL = ":lb";
const LONGEST_LABEL = 15;
/** So long neighbours have to say that an IPv6 address is theirs, and a little. */
const TENTATIVE_WITHIN_MS = 5000;
const LOOK_EVERY_MS = 100;

/** An address of a load balancer, where it is. */
export interface HeldAddress {
  readonly address: string;
  readonly link: string;
  readonly prefixLength: number;
}

/** Labels are of IPv4 alone. An IPv6 address that is a whole network and the source of nothing is one like ours. */
const isBalancers = ({ address, prefixLength, label, isDeprecated }: LinkAddress): boolean =>
  label?.endsWith(LABEL) === true || (isDeprecated && prefixLength === 128 && familyOf(address) === 6);

/** The load balancers' addresses that the network namespace has; of IPv6 also others' that are like them. */
export async function heldAddresses(netns: string | undefined): Promise<HeldAddress[]> {
  return (await readLinks(netns)).flatMap(({ name, addresses }) =>
    addresses.filter(isBalancers).map(({ address, prefixLength }) => ({ address, prefixLength, link: name })),
  );
}

/** Where an address goes. */
export interface Holder {
  /** Path of the network namespace; undefined: this one. */
  readonly netns: string | undefined;
  /** The link; undefined: the one of the address' network, or the one that leads outside. */
  readonly link: string | undefined;
}

/** Gives the address to the machine and tells its neighbours; again is no error. Throws when no link could have it. */
export async function holdAddress({ netns, link: preferred }: Holder, address: string, clock: Clock): Promise<void> {
  const family = familyOf(address) ?? 4;
  const links = await readLinks(netns);
  if (links.some((link) => link.addresses.some((each) => each.address === address && !each.isSomebodyElses))) return;
  const link = preferred ?? linkTowards(links, address) ?? (await defaultLink(netns, family));
  if (link === undefined) throw new Error(`no link for the address ${address}: name one with "interface"`);
  await (family === 4 ? holdIpv4(netns, address, link) : holdIpv6(netns, address, link, clock));
}

async function holdIpv4(netns: string | undefined, address: string, link: string): Promise<void> {
  const label = `${link}${LABEL}`;
  if (label.length > LONGEST_LABEL) throw new Error(`the link's name ${link} is too long for addresses with a label`);
  await ipBatch([`addr add ${address}/32 dev ${link} label ${label}`], { netns });
  await announceIpv4(netns, address, link);
}

/** Neighbours that knew the address elsewhere learn where it is now; others ask anyway. */
async function announceIpv4(netns: string | undefined, address: string, link: string): Promise<void> {
  const args = ["-U", "-c", "1", "-w", "1", "-I", link, address];
  for (const command of [["arping"], ["busybox", "arping"]] as const) {
    const [program = "", ...more] = command;
    const [entry, all] = inNetworkNamespace(netns, program, [...more, ...args]);
    try {
      // Nobody answers, and the exit code says so.
      const { code } = await run(entry, all, { allowFailure: true });
      if (code !== 127) return;
    } catch {
      // Not installed: try the next. Without any, the old neighbour's entry has to age.
    }
  }
}

/** The kernel asks first whether the address is anybody's, and tells all neighbours then, if it is told to. */
async function holdIpv6(netns: string | undefined, address: string, link: string, clock: Clock): Promise<void> {
  // With slashes: links' names may have dots.
  const setting = `net/ipv6/conf/${link}/ndisc_notify`;
  const sysctl = async (...args: readonly string[]): Promise<string> =>
    (await run(...inNetworkNamespace(netns, "sysctl", ["-n", ...args]), { allowFailure: true })).stdout.trim();
  const before = await sysctl(setting);
  await sysctl("-w", `${setting}=1`);
  try {
    await ipBatch([`addr replace ${address}/128 dev ${link} preferred_lft 0`], { netns });
    const state = await settledState(netns, address, clock);
    if (state?.isSomebodyElses !== true) return;
    await releaseAddress(netns, address);
    throw new Error(`the address ${address} is somebody else's on the network of ${link}`);
  } finally {
    if (before === "0") await sysctl("-w", `${setting}=0`);
  }
}

async function settledState(
  netns: string | undefined,
  address: string,
  clock: Clock,
): Promise<LinkAddress | undefined> {
  const end = clock.monotonicMs() + TENTATIVE_WITHIN_MS;
  for (;;) {
    const all = (await readLinks(netns)).flatMap(({ addresses }) => addresses);
    const state = all.find((each) => each.address === address);
    if (state?.isTentative !== true || state.isSomebodyElses || clock.monotonicMs() > end) return state;
    await sleep(clock, LOOK_EVERY_MS);
  }
}

/** Takes the address from the machine; not having it is no error. */
export async function releaseAddress(netns: string | undefined, address: string): Promise<void> {
  const held = (await heldAddresses(netns)).filter((each) => each.address === address);
  await ipBatch(
    held.map(({ link, prefixLength }) => `addr del ${address}/${prefixLength} dev ${link}`),
    { netns, force: true },
  );
}

/** Takes all load balancers' addresses from this machine, for the end of its cluster; `pool` as in its configuration. */
export async function removeBalancerAddresses(pool: readonly string[]): Promise<void> {
  const ranges = pool.map(parseRange);
  const isOurs = (address: string, family: Family | undefined): boolean =>
    family === 4 || holdsAddress(ranges, address);
  for (const { address } of await heldAddresses(undefined))
    if (isOurs(address, familyOf(address))) await releaseAddress(undefined, address);
}
