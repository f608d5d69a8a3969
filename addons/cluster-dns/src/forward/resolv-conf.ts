/** Name servers of a resolv.conf, in order, at most 15; addresses of `exclude` left out (forwarding to oneself loops). */
export function nameServers(resolvConf: string, exclude: readonly string[] = []): string[] {
  return resolvConf
    .split("\n")
    .flatMap((line) => /^\s*nameserver\s+([0-9a-fA-F.:]+)/.exec(line)?.[1] ?? [])
    .filter((address) => !exclude.includes(address))
    .slice(0, 15);
}
