import type { X509Certificate } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { TokenReview } from "@coracle/api/authentication/v1";
import { SubjectAccessReview } from "@coracle/api/authorization/v1";
import type { Clock } from "@coracle/base";
import type { ApiClient } from "@coracle/client";

/** Why a request is not served; undefined lets it pass. */
export type RequestGuard = (
  request: IncomingMessage,
  verb: string,
  subresource: string,
) => Promise<{ readonly code: 401 | 403; readonly message: string } | undefined>;

interface User {
  readonly username: string;
  readonly groups: readonly string[];
  readonly uid?: string | undefined;
}

const TOKEN_TTL_MS = 120_000;
const ALLOWED_TTL_MS = 300_000;
const DENIED_TTL_MS = 30_000;
const MAX_CACHED = 1_000;

/** Who asks is told by a client certificate or a token that the API server knows; what they may do, by the API server. */
export function createRequestGuard(deps: {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly nodeName: string;
}): RequestGuard {
  const { client, clock, nodeName } = deps;
  const users = new Map<string, { readonly user: User | undefined; readonly until: number }>();
  const verdicts = new Map<string, { readonly isAllowed: boolean; readonly until: number }>();

  async function authenticate(request: IncomingMessage): Promise<User | undefined> {
    const socket = request.socket as TLSSocket;
    const peer = socket.authorized ? socket.getPeerX509Certificate() : undefined;
    if (peer !== undefined) return certificateUser(peer);
    const token = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    if (token === undefined) return undefined;
    const known = users.get(token);
    if (known !== undefined && known.until > clock.now()) return known.user;
    const review = await client.create(TokenReview, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      metadata: {},
      spec: { token },
    });
    const answer = review.status?.authenticated === true ? review.status.user : undefined;
    const user =
      answer === undefined
        ? undefined
        : { username: answer.username ?? "", groups: answer.groups ?? [], uid: answer.uid };
    remember(users, token, { user, until: clock.now() + TOKEN_TTL_MS });
    return user;
  }

  return async (request, verb, subresource) => {
    const user = await authenticate(request);
    if (user === undefined) return { code: 401, message: "Unauthorized" };
    if (user.groups.includes("system:masters")) return undefined;
    const key = JSON.stringify([user, verb, subresource]);
    let verdict = verdicts.get(key);
    if (verdict === undefined || verdict.until <= clock.now()) {
      const review = await client.create(SubjectAccessReview, {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        metadata: {},
        spec: {
          user: user.username,
          groups: user.groups,
          ...(user.uid === undefined ? {} : { uid: user.uid }),
          resourceAttributes: { verb, version: "v1", resource: "nodes", subresource, name: nodeName },
        },
      });
      const isAllowed = review.status?.allowed === true;
      verdict = { isAllowed, until: clock.now() + (isAllowed ? ALLOWED_TTL_MS : DENIED_TTL_MS) };
      remember(verdicts, key, verdict);
    }
    if (verdict.isAllowed) return undefined;
    const message = `Forbidden (user=${user.username}, verb=${verb}, resource=nodes, subresource(s)=[${subresource}])\n`;
    return { code: 403, message };
  };
}

function remember<T>(cache: Map<string, T>, key: string, value: T): void {
  if (cache.size >= MAX_CACHED) cache.clear();
  cache.set(key, value);
}

/** A certificate's common name is the user, its organisations are the groups. */
function certificateUser(certificate: X509Certificate): User {
  const fields = certificate.subject.split("\n").map((line) => {
    const equals = line.indexOf("=");
    return [line.slice(0, equals), line.slice(equals + 1)] as const;
  });
  return {
    username: fields.find(([name]) => name === "CN")?.[1] ?? "",
    groups: [...fields.filter(([name]) => name === "O").map(([, value]) => value), "system:authenticated"],
  };
}
