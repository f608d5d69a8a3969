import { ipBatch, run } from "@coracle/linux";
import { defaultLink, linkTowards, readLinks } from "./links.ts";

/** By this label the kernel tells our addresses from others. */
const LABEL = ":lb";
const LONGEST_LABEL = 15;

/** An address of a load balancer, where it is. */
export interface HeldAddress {
  readonly address: string;
  readonly link: string;
  readonly prefixLength: number;
}

/** The load balancers' addresses that the network namespace has. */
export async function heldAddresses(netns: string | undefined): Promise<HeldAddress[]> {
  return (await readLinks(netns)).flatMap(({ name, addresses }) =>
    addresses
      .filter(({ label }) => label?.endsWith(LABEL) === true)
      .map(({ address, prefixLength }) => ({ address, prefixLength, link: name })),
  );
}

/** Gives the address to the machine; again is no error. Throws when no link could have it. */
export async function holdAddress(netns: string | undefined, address: string, preferred?: string): Promise<void> {
  const links = await readLinks(netns);
  if (links.some((link) => link.addresses.some((each) => each.address === address))) return;
  const link = preferred ?? linkTowards(links, address) ?? (await defaultLink(netns));
  if (link === undefined) throw new Error(`no link for the address ${address}: name one with "interface"`);
  const label = `${link}${LABEL}`;
  if (label.length > LONGEST_LABEL) throw new Error(`the link's name ${link} is too long for addresses with a label`);
  await ipBatch([`addr add ${address}/32 dev ${link} label ${label}`], { netns });
  await announce(netns, address, link);
}

/** Neighbours that knew the address elsewhere learn where it is now; others ask anyway. */
async function announce(netns: string | undefined, address: string, link: string): Promise<void> {
  const args = ["-U", "-c", "1", "-w", "1", "-I", link, address];
  for (const command of [["arping"], ["busybox", "arping"]] as const) {
    const line = [...command, ...args];
    const [program = "", ...rest] = netns === undefined ? line : ["nsenter", `--net=${netns}`, ...line];
    try {
      // Nobody answers, and the exit code says so.
      const { code } = await run(program, rest, { allowFailure: true });
      if (code !== 127) return;
    } catch {
      // Not installed: try the next. Without any, the old neighbour's entry has to age.
    }
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

/** Takes all load balancers' addresses from this machine, for the end of its cluster. */
export async function removeBalancerAddresses(): Promise<void> {
  for (const { address } of await heldAddresses(undefined)) await releaseAddress(undefined, address);
}
