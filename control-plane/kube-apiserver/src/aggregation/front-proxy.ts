import type { UserInfo } from "../authentication/user.ts";

/** How this server proves to aggregated servers that it may speak for users. Read for every new connection. */
export interface ProxyIdentity {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

/** Characters that may stand in a header's name; all others of a key are written as `%XX`. */
const TOKEN = /[!#$&'*+\-.^_`|~0-9A-Za-z]/;

/** The key of an extra value as part of a header's name. */
export function escapedHeaderKey(key: string): string {
  let out = "";
  for (const byte of Buffer.from(key, "utf8")) {
    const char = String.fromCharCode(byte);
    out += TOKEN.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

/** UTF-8 as it goes over the wire; a line break would begin a header of its own. */
const wireText = (text: string): string => Buffer.from(text.replace(/[\r\n\0]/g, " "), "utf8").toString("latin1");

/** The headers by which a trusted proxy says for whom it asks. They replace whatever a client sent under these names. */
export function frontProxyHeaders(user: UserInfo): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { "x-remote-user": wireText(user.name) };
  if (user.uid !== undefined && user.uid !== "") headers["x-remote-uid"] = wireText(user.uid);
  if (user.groups.length > 0) headers["x-remote-group"] = user.groups.map(wireText);
  for (const [key, values] of Object.entries(user.extra ?? {})) {
    headers[`x-remote-extra-${escapedHeaderKey(key).toLowerCase()}`] = values.map(wireText);
  }
  return headers;
}
