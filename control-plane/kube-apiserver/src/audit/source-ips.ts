import { isIP } from "node:net";
import type { Exchange } from "../server/exchange.ts";

const bare = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, "");

/** Where a request says that it came from, and where it did: each once, the first first. */
export function sourceIps(exchange: Exchange): string[] {
  const found: string[] = [];
  const add = (text: string): void => {
    const address = bare(text.trim());
    if (isIP(address) !== 0) found.push(address);
  };
  for (const text of (exchange.header("x-forwarded-for") ?? "").split(",")) add(text);
  const real = bare((exchange.header("x-real-ip") ?? "").trim());
  if (isIP(real) !== 0 && !found.includes(real)) found.push(real);
  const peer = bare(exchange.peer.address);
  if (isIP(peer) !== 0 && found.at(-1) !== peer) found.push(peer);
  return found;
}
