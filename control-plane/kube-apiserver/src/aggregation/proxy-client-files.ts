import { readFileSync, statSync } from "node:fs";
import type { ProxyIdentity } from "./front-proxy.ts";

/** Reads the front proxy's certificate and key, again when one of the files changed. Throws when they cannot be read at first. */
export function createProxyClientFiles(certFile: string, keyFile: string): () => ProxyIdentity {
  const read = (): ProxyIdentity => ({ cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") });
  const stamp = (): string => [certFile, keyFile].map((file) => statSync(file).mtimeMs).join(" ");
  let current = read();
  let seen = stamp();
  return () => {
    try {
      const now = stamp();
      if (now === seen) return current;
      const renewed = read();
      [current, seen] = [renewed, now];
    } catch {
      // Being replaced at this moment: the old pair is good until the new one is whole.
    }
    return current;
  };
}
