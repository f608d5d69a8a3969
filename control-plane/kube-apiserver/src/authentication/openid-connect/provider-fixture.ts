import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { generateKeyPairSync, randomUUID, sign, type JsonWebKey, type KeyObject } from "node:crypto";
import type { RequestListener } from "node:http";
import { createAuthority } from "@coracle/pki";

const DAY_MS = 86_400_000;

/** A key pair of a provider. */
export interface ProviderKeyPair {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly jwk: JsonWebKey;
}

/** Makes one. */
export function makeKey(kid: string): ProviderKeyPair {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { kid, privateKey, jwk: { ...privateKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" } };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token of any content, signed by `key`. */
export function forge(key: ProviderKeyPair, claims: object, header: object = {}): string {
  const head = `${encode({ alg: "RS256", kid: key.kid, ...header })}.${encode(claims)}`;
  return `${head}.${sign("sha256", Buffer.from(head), key.privateKey).toString("base64url")}`;
}

/** The npm package oidc-provider, behind TLS on loopback: a real OpenID provider. */
export interface RealProvider extends AsyncDisposable {
  readonly issuer: string;
  /** PEM of the authority that its certificate is from. */
  readonly ca: string;
  /** Logs a user in at the provider's token endpoint; resolves with the ID token. */
  logIn(account: string): Promise<string>;
  /** From now on the provider signs with this key, and names no other. */
  rotate(key: ProviderKeyPair): void;
  /** Stops answering; `start` begins again on the same port. */
  stop(): Promise<void>;
  start(): Promise<void>;
  readonly discoveries: number;
}

/** What of the package is used here: it comes without types. */
interface GrantContext {
  readonly oidc: { readonly client: object; readonly params: Readonly<Record<string, string>> };
  body: unknown;
}
interface ProviderInstance {
  proxy: boolean;
  callback(): RequestListener;
  registerGrantType(name: string, handler: (context: GrantContext) => Promise<void>, parameters: string[]): void;
  readonly IdToken: new (
    claims: object,
    context: { readonly ctx: GrantContext; readonly client: object },
  ) => { scope: string; issue(options: { readonly use: "idtoken" }): Promise<string> };
}
interface ProviderModule {
  readonly default: new (issuer: string, configuration: object) => ProviderInstance;
}

const CLIENT = "kubernetes";

/** Starts one with a client `kubernetes` whose users are as `claimsOf` says. */
export async function startRealProvider(
  key: ProviderKeyPair,
  claimsOf: (account: string) => Readonly<Record<string, unknown>>,
): Promise<RealProvider> {
  // @ts-expect-error -- the package comes without types
  const { default: Provider } = (await import("oidc-provider")) as ProviderModule;
  const valid = { notBefore: Date.now() - DAY_MS, notAfter: Date.now() + DAY_MS };
  const authority = createAuthority({ subject: { commonName: "provider" }, ...valid });
  const { cert, key: tlsKey } = authority.issue({
    subject: { commonName: "127.0.0.1" },
    usages: ["server"],
    names: ["127.0.0.1"],
    ...valid,
  });
  let handle: RequestListener = (_request, response) => response.writeHead(503).end();
  let discoveries = 0;
  const make = () =>
    createServer({ cert, key: tlsKey }, (incoming, response) => {
      if (incoming.url?.endsWith("/openid-configuration") === true) discoveries += 1;
      handle(incoming, response);
    });
  let server = make();
  const listen = (port: number): Promise<void> => new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const issuer = `https://127.0.0.1:${port}`;

  const secret = randomUUID();
  const open = (signing: ProviderKeyPair): void => {
    const provider = new Provider(issuer, {
      jwks: { keys: [signing.jwk] },
      clients: [
        {
          client_id: CLIENT,
          client_secret: secret,
          redirect_uris: [],
          response_types: [],
          grant_types: ["password"],
        },
      ],
      claims: { openid: ["sub", "email", "email_verified", "groups", "team", "jti", "a.b"] },
      conformIdTokenClaims: false,
      cookies: { keys: [randomUUID()] },
      ttl: { IdToken: 3600 },
      features: { devInteractions: { enabled: false } },
      findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id, ...claimsOf(id) }) }),
    });
    const grant = async (context: GrantContext): Promise<void> => {
      const { client, params } = context.oidc;
      const account = params["username"] ?? "";
      const token = new provider.IdToken({ sub: account, ...claimsOf(account) }, { ctx: context, client });
      token.scope = "openid";
      context.body = { id_token: await token.issue({ use: "idtoken" }), token_type: "Bearer" };
    };
    provider.registerGrantType("password", grant, ["username"]);
    handle = provider.callback();
  };
  open(key);
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  };

  return {
    issuer,
    ca: authority.cert,
    get discoveries() {
      return discoveries;
    },
    async logIn(account) {
      const body = new URLSearchParams({ grant_type: "password", username: account }).toString();
      const authorization = `Basic ${Buffer.from(`${CLIENT}:${secret}`).toString("base64")}`;
      const answer = await new Promise<string>((resolve, reject) => {
        const headers = { authorization, "content-type": "application/x-www-form-urlencoded" };
        const asked = request(
          `${issuer}/token`,
          { method: "POST", ca: authority.cert, headers, agent: false },
          (response) => {
            let text = "";
            response.setEncoding("utf8").on("data", (part: string) => (text += part));
            response.on("end", () => resolve(text));
          },
        );
        asked.on("error", reject).end(body);
      });
      const { id_token: token } = JSON.parse(answer) as { readonly id_token?: string };
      if (token === undefined) throw new Error(`no token: ${answer}`);
      return token;
    },
    rotate: open,
    stop: close,
    async start() {
      server = make();
      await listen(port);
    },
    [Symbol.asyncDispose]: close,
  };
}
