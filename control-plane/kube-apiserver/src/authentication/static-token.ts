import type { TokenAuthenticator } from "./authenticator.ts";
import { withAuthenticatedGroup, type UserInfo } from "./user.ts";

/** Splits one line of comma-separated values, with quotes as in RFC 4180. */
function splitCsv(line: string): string[] {
  const out: string[] = [];
  for (const match of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    out.push((match[1]?.replaceAll('""', '"') ?? match[2] ?? "").trim());
  }
  return out;
}

/** `token,user,uid[,"group1,group2"]`, one a line. Throws on a line with fewer than three columns. */
export function parseTokenFile(text: string): Map<string, UserInfo> {
  const users = new Map<string, UserInfo>();
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [token, name, uid, groups] = splitCsv(line);
    if (token === undefined || name === undefined || uid === undefined) {
      throw new Error("token file must have at least 3 columns (token, user name, user uid)");
    }
    if (token === "") continue;
    users.set(
      token,
      withAuthenticatedGroup({
        name,
        uid,
        groups: groups === undefined || groups === "" ? [] : groups.split(",").map((g) => g.trim()),
      }),
    );
  }
  return users;
}

/** Tokens from a file that never change while the server runs. */
export function createStaticTokenAuthenticator(users: ReadonlyMap<string, UserInfo>): TokenAuthenticator {
  return {
    authenticateToken(token) {
      const user = users.get(token);
      return Promise.resolve(user === undefined ? undefined : { user, audiences: [], keepUntil: Infinity });
    },
  };
}
