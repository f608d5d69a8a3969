import { timingSafeEqual } from "node:crypto";
import { isObject, parseTime } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { TokenAuthenticator } from "./authenticator.ts";
import { withAuthenticatedGroup } from "./user.ts";

const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const EXTRA_GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;
const DEFAULT_GROUP = "system:bootstrappers";
const VERDICT_TTL_MS = 10_000;

/** Texts in a secret, whichever form its bytes have. */
function readSecret(secret: ApiObject): (key: string) => string {
  const data = (secret as unknown as { readonly data?: unknown }).data;
  return (key) => {
    const value = isObject(data) && Object.hasOwn(data, key) ? data[key] : undefined;
    if (typeof value === "string") return Buffer.from(value, "base64").toString("utf8");
    return value instanceof Uint8Array ? Buffer.from(value).toString("utf8") : "";
  };
}

const isSame = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/** Groups that a secret gives its bearer, sorted; undefined when it names one that it may not give. */
function groupsIn(text: string): string[] | undefined {
  const groups = text === "" ? [] : text.split(",");
  if (!groups.every((group) => EXTRA_GROUP.test(group))) return undefined;
  return [...new Set([DEFAULT_GROUP, ...groups])].toSorted();
}

/** The end of the token's life; undefined: none. What cannot be read is over. */
function endOf(text: string): number | undefined {
  if (text === "") return undefined;
  const end = parseTime(text);
  return end === undefined ? -Infinity : end.seconds * 1000 + end.nanos / 1e6;
}

/** Tokens `ID.SECRET` of machines that join: secrets of type bootstrap.kubernetes.io/token in kube-system. */
export function createBootstrapTokenAuthenticator(options: {
  readonly objects: RegistryReader;
  readonly clock: Clock;
}): TokenAuthenticator {
  const { objects, clock } = options;
  return {
    async authenticateToken(token) {
      const [, id, password] = TOKEN.exec(token) ?? [];
      if (id === undefined || password === undefined) return undefined;
      const ref = { group: "", version: "v1", plural: "secrets" };
      const secret = await objects.get(ref, "kube-system", `bootstrap-token-${id}`);
      if (secret === undefined || secret.metadata["deletionTimestamp"] !== undefined) return undefined;
      if (secret["type"] !== "bootstrap.kubernetes.io/token") return undefined;
      const read = readSecret(secret);
      if (!isSame(read("token-secret"), password) || read("token-id") !== id) return undefined;
      const end = endOf(read("expiration"));
      const now = clock.now();
      if (end !== undefined && end <= now) return undefined;
      if (read("usage-bootstrap-authentication") !== "true") return undefined;
      const groups = groupsIn(read("auth-extra-groups"));
      if (groups === undefined) return undefined;
      return {
        user: withAuthenticatedGroup({ name: `system:bootstrap:${id}`, groups }),
        audiences: [],
        keepUntil: Math.min(now + VERDICT_TTL_MS, end ?? Infinity),
      };
    },
  };
}
