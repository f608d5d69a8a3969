import type { TokenAuthenticator } from "./authenticator.ts";
import { parseCsv } from "./csv-record.ts";
import { withAuthenticatedGroup, type UserInfo } from "./user.ts";

/** `token,user,uid[,"group1,group2"]`, one a line; `path` for messages. Throws on a line with fewer than three columns. */
export function parseTokenFile(text: string, path = ""): Map<string, UserInfo> {
  const users = new Map<string, UserInfo>();
  for (const record of parseCsv(text)) {
    const [token, name, uid, groups] = record;
    if (token === undefined || name === undefined || uid === undefined) {
      throw new Error(
        `token file '${path}' must have at least 3 columns (token, user name, user uid), found ${record.length}`,
      );
    }
    if (token === "") continue;
    users.set(token, withAuthenticatedGroup({ name, uid, groups: groups === undefined ? [] : groups.split(",") }));
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
