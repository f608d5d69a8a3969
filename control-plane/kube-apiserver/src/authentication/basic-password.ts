import { createHmac, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import type { Clock } from "@coracle/base";
import type { Authenticator } from "./authenticator.ts";
import { parseCsv } from "./csv-record.ts";
import { withAuthenticatedGroup, type UserInfo } from "./user.ts";

/** A password's scrypt hash with what it was made with. */
interface PasswordHash {
  /** Binary logarithm of the cost. */
  readonly logCost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** A user of the file. */
export interface BasicUser {
  readonly user: UserInfo;
  readonly password: PasswordHash;
}

const HASH = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)={0,2}\$([A-Za-z0-9+/]+)={0,2}$/;
const MIN_LOG_COST = 14;
const MAX_LOG_COST = 20;
const MAX_BLOCK_SIZE = 32;
const MIN_SALT_BYTES = 8;
const MIN_HASH_BYTES = 16;
const KEPT_MS = 60_000;
const MAX_KEPT = 1024;
/** Hashing is one at a time, so that it never takes all of the threads that files and names are read with. */
const MAX_WAITING = 64;

/** `$scrypt$ln=15,r=8,p=1$SALT$HASH`, salt and hash in base64. Throws, without quoting it, when it is nothing like that. */
function parseHash(text: string, where: string): PasswordHash {
  const match = HASH.exec(text);
  if (match === null) throw new Error(`${where}: passwords must be hashed: $scrypt$ln=15,r=8,p=1$SALT$HASH`);
  const [logCost, blockSize, parallelization] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const [salt, hash] = [Buffer.from(match[4]!, "base64"), Buffer.from(match[5]!, "base64")];
  if (logCost < MIN_LOG_COST || logCost > MAX_LOG_COST) {
    throw new Error(`${where}: ln must be between ${MIN_LOG_COST} and ${MAX_LOG_COST}`);
  }
  if (blockSize < 1 || blockSize > MAX_BLOCK_SIZE || parallelization < 1)
    throw new Error(`${where}: r or p is out of range`);
  if (salt.length < MIN_SALT_BYTES || hash.length < MIN_HASH_BYTES) {
    throw new Error(`${where}: the salt needs ${MIN_SALT_BYTES} bytes, the hash ${MIN_HASH_BYTES}`);
  }
  return { logCost, blockSize, parallelization, salt, hash };
}

/** `hash,user,uid[,"group1,group2"]`, one a line; the hash in quotes, for it holds commas. Throws at the first bad line. */
export function parseBasicAuthFile(text: string, path = "basic auth file"): Map<string, BasicUser> {
  const users = new Map<string, BasicUser>();
  for (const [index, record] of parseCsv(text).entries()) {
    const [hash, name, uid, groups] = record;
    const where = `${path}, record ${index + 1}`;
    if (hash === undefined || name === undefined || uid === undefined || name === "") {
      throw new Error(`${where}: needs at least 3 columns (password hash, user name, user uid)`);
    }
    if (name.includes(":")) throw new Error(`${where}: a user name cannot hold a colon`);
    if (users.has(name)) throw new Error(`${where}: user ${JSON.stringify(name)} is there twice`);
    const user = withAuthenticatedGroup({ name, uid, groups: groups === undefined ? [] : groups.split(",") });
    users.set(name, { user, password: parseHash(hash, where) });
  }
  return users;
}

function derive(password: string, wanted: PasswordHash): Promise<Buffer> {
  const N = 2 ** wanted.logCost;
  const options = { N, r: wanted.blockSize, p: wanted.parallelization, maxmem: 256 * N * wanted.blockSize };
  return new Promise((resolve, reject) => {
    scrypt(password, wanted.salt, wanted.hash.length, options, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    );
  });
}

/** Name and password of an Authorization header; undefined when it is of another scheme. Throws when it is broken. */
export function readBasicHeader(header: string | undefined): { name: string; password: string } | undefined {
  if (header === undefined || header.slice(0, 6).toLowerCase() !== "basic ") return undefined;
  const encoded = header.slice(6).trim();
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(encoded)) throw new Error("invalid authorization header");
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon === -1) throw new Error("invalid authorization header");
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** User names and passwords, checked against hashes. */
export interface BasicAuthenticator extends Authenticator {
  /** Takes over a changed file; nothing that was found out before holds any longer. */
  replace(users: ReadonlyMap<string, BasicUser>): void;
}

/**
 * `Authorization: Basic …`. A wrong password costs as much as a right one, and an unknown user as much as a known
 * one. Who was right is remembered for a minute, under a keyed digest: no password stays in memory.
 */
export function createBasicAuthenticator(initial: ReadonlyMap<string, BasicUser>, clock: Clock): BasicAuthenticator {
  let users = initial;
  let kept = new Map<string, { readonly user: UserInfo; readonly until: number }>();
  const digestKey = randomBytes(32);
  const nobody: PasswordHash = {
    logCost: 15,
    blockSize: 8,
    parallelization: 1,
    salt: randomBytes(16),
    hash: randomBytes(32),
  };
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (waiting >= MAX_WAITING) return Promise.reject(new Error("too many passwords to check"));
    waiting += 1;
    const turn = last.then(work, work).finally(() => {
      waiting -= 1;
    });
    last = turn.catch(() => undefined);
    return turn;
  }

  async function check(name: string, password: string, digest: string): Promise<UserInfo> {
    const known = users;
    const found = known.get(name);
    const wanted = found?.password ?? known.values().next().value?.password ?? nobody;
    const hash = await inTurn(() => derive(password, wanted));
    const isRight = timingSafeEqual(hash, wanted.hash);
    if (found === undefined || !isRight || known !== users) throw new Error("invalid username/password combination");
    if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value!);
    kept.set(digest, { user: found.user, until: clock.now() + KEPT_MS });
    return found.user;
  }

  return {
    authenticate(exchange) {
      const given = readBasicHeader(exchange.header("authorization"));
      if (given === undefined) return undefined;
      const digest = createHmac("sha256", digestKey).update(`${given.name}:${given.password}`).digest("base64");
      const before = kept.get(digest);
      if (before !== undefined && clock.now() < before.until) return before.user;
      return check(given.name, given.password, digest);
    },
    replace(changed) {
      users = changed;
      kept = new Map();
    },
  };
}
