import { renameSync, writeFileSync } from "node:fs";
import { createHmac } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, eventually, startAccessServer, whoAmI, type AccessServer } from "../../access-fixture.ts";
import type { OpenIdFlags } from "../settings.ts";
import { forge, makeKey, startRealProvider, type ProviderKeyPair, type RealProvider } from "./provider-fixture.ts";

const AUTHENTICATED = "system:authenticated";
const ACCOUNTS: Readonly<Record<string, Record<string, unknown>>> = {
  jane: {
    email: "jane@example.com",
    email_verified: true,
    groups: ["dev", "ops"],
    team: "red",
    jti: "t-1",
    "a.b": "x",
  },
  joe: { email: "joe@example.com", email_verified: false, groups: "single" },
  eve: { email: "eve@example.com", email_verified: true, groups: ["system:masters"] },
};
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

let key: ProviderKeyPair;
let provider: RealProvider;

beforeAll(async () => {
  key = makeKey("first");
  provider = await startRealProvider(key, (account) => ACCOUNTS[account] ?? {});
});
afterAll(() => provider[Symbol.asyncDispose]());

const flags = (changes: Partial<OpenIdFlags> = {}): OpenIdFlags => ({
  issuerUrl: provider.issuer,
  clientId: "kubernetes",
  ca: provider.ca,
  usernameClaim: "sub",
  usernamePrefix: "",
  groupsClaim: "",
  groupsPrefix: "",
  signingAlgorithms: ["RS256"],
  requiredClaims: {},
  ...changes,
});

async function startWithFlags(changes: Partial<OpenIdFlags> = {}): Promise<AccessServer> {
  return startAccessServer(() => ({ authentication: { openId: flags(changes) } }));
}

const initialised = (server: AccessServer, token: string): Promise<unknown> =>
  eventually(
    () => whoAmI(server.nobody, bearer(token)),
    (answer) => answer !== 401,
  );

async function errorOf(server: AccessServer, token: string): Promise<string> {
  const body = { kind: "TokenReview", apiVersion: "authentication.k8s.io/v1", spec: { token } };
  const { json } = await call(server.admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", body);
  return String((json["status"] as { readonly error?: string }).error);
}

describe("OpenID Connect by flags", () => {
  it("users who logged in at the provider are known by their subject, with the issuer before it", async () => {
    await using server = await startWithFlags();
    const token = await provider.logIn("jane");
    expect(await initialised(server, token)).toEqual({
      username: `${provider.issuer}#jane`,
      groups: [AUTHENTICATED],
    });
  });

  it.each([
    ["a claim without a prefix", { usernameClaim: "email" }, { username: "jane@example.com", groups: [AUTHENTICATED] }],
    ["no prefix at all", { usernamePrefix: "-" }, { username: "jane", groups: [AUTHENTICATED] }],
    [
      "groups with a prefix",
      { usernamePrefix: "oidc:", groupsClaim: "groups", groupsPrefix: "g:" },
      { username: "oidc:jane", groups: ["g:dev", "g:ops", AUTHENTICATED] },
    ],
    [
      "a claim that is required",
      { usernamePrefix: "-", requiredClaims: { team: "red" } },
      { username: "jane", groups: [AUTHENTICATED] },
    ],
  ])("%s", async (_, changes, user) => {
    await using server = await startWithFlags(changes);
    expect(await initialised(server, await provider.logIn("jane"))).toEqual(user);
  });

  it("a token that does not hold is refused, and the review says why", async () => {
    await using server = await startWithFlags({ usernamePrefix: "-", requiredClaims: {} });
    await initialised(server, await provider.logIn("jane"));
    const now = Math.floor(Date.now() / 1000);
    const good = { iss: provider.issuer, aud: "kubernetes", sub: "jane", exp: now + 600, iat: now };
    const none = (claims: object): string => {
      const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
      return `${encode({ alg: "none" })}.${encode(claims)}.`;
    };
    const symmetric = (claims: object): string => {
      const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
      const head = `${encode({ alg: "HS256", kid: "first" })}.${encode(claims)}`;
      const pem = key.privateKey.export({ type: "pkcs8", format: "pem" });
      return `${head}.${createHmac("sha256", pem).update(head).digest("base64url")}`;
    };
    const cases: readonly (readonly [string, RegExp])[] = [
      [forge(key, { ...good, aud: "others" }), /expected audience "kubernetes" got \["others"\]/],
      [forge(key, { ...good, exp: now - 5 }), /oidc: token is expired/],
      [forge(key, { ...good, exp: undefined }), /oidc: token is expired/],
      [forge(key, { ...good, nbf: now + 600 }), /before the nbf/],
      [forge(key, { ...good, exp: "never" }), /failed to unmarshal claims/],
      [forge(key, { ...good, iss: "https://elsewhere" }), /^invalid bearer token$/],
      [forge(makeKey("first"), good), /failed to verify id token signature/],
      [forge(makeKey("unknown"), good), /failed to verify id token signature/],
      [symmetric(good), /unsupported algorithm, expected \["RS256"\] got "HS256"/],
      [none(good), /^invalid bearer token$/],
      [forge(key, good, { alg: "ES256" }), /unsupported algorithm/],
      ["a.b.c", /^invalid bearer token$/],
    ];
    for (const [token, why] of cases) {
      expect(await whoAmI(server.nobody, bearer(token))).toBe(401);
      expect(await errorOf(server, token)).toMatch(why);
    }
    expect(await whoAmI(server.nobody, bearer(forge(key, good)))).toMatchObject({ username: "jane" });
  });

  it("an address that the provider did not verify is nobody's name", async () => {
    await using server = await startWithFlags({ usernameClaim: "email" });
    await initialised(server, await provider.logIn("jane"));
    const token = await provider.logIn("joe");
    expect(await whoAmI(server.nobody, bearer(token))).toBe(401);
    expect(await errorOf(server, token)).toBe("[invalid bearer token, oidc: email not verified]");
  });

  it("the provider's new keys are found when it has changed them", async () => {
    await using own = await startRealProvider(makeKey("old"), () => ({}));
    await using server = await startAccessServer(() => ({
      authentication: { openId: flags({ issuerUrl: own.issuer, ca: own.ca, usernamePrefix: "-" }) },
    }));
    expect(await initialised(server, await own.logIn("ann"))).toMatchObject({ username: "ann" });
    own.rotate(makeKey("new"));
    expect(await whoAmI(server.nobody, bearer(await own.logIn("bob")))).toMatchObject({ username: "bob" });
  });

  it("a server starts without its provider, and says so until it is there", async () => {
    await using own = await startRealProvider(makeKey("k"), () => ({}));
    const token = await own.logIn("ann");
    await own.stop();
    await using server = await startAccessServer(() => ({
      authentication: { openId: flags({ issuerUrl: own.issuer, ca: own.ca }) },
    }));
    expect(await errorOf(server, token)).toBe("[invalid bearer token, oidc: authenticator not initialized]");
    expect(await whoAmI(server.admin)).toMatchObject({ username: "kubernetes-admin" });
    await own.start();
  });
});

const indent = (text: string, by: number): string => text.trimEnd().replaceAll("\n", `\n${" ".repeat(by)}`);

const configuration = (mappings: string, more = ""): string => `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: ${provider.issuer}
    audiences: [kubernetes, other]
    audienceMatchPolicy: MatchAny
    certificateAuthority: |
      ${indent(provider.ca, 6)}
  claimMappings:
    ${indent(mappings.trim(), 4)}
${more}`;

const EXPRESSIONS = `
username:
  expression: 'claims.email_verified ? claims.email.split("@")[0] : claims.sub'
groups:
  expression: 'claims.groups.map(g, "idp:" + g)'
uid:
  claim: sub
extra:
- key: example.com/team
  valueExpression: 'has(claims.team) ? claims.team : ""'
- key: example.com/dotted
  valueExpression: 'claims[?"a.b"].orValue("")'
`;
const RULES = `  claimValidationRules:
  - expression: 'claims.exp - claims.iat <= 86400.0'
    message: lives too long
  userValidationRules:
  - expression: "!user.groups.exists(g, g.startsWith('idp:system:'))"
    message: reserved group
anonymous:
  enabled: true
  conditions:
  - path: /livez
`;

describe("OpenID Connect by AuthenticationConfiguration", () => {
  let server: AccessServer;
  let path: string;
  beforeAll(async () => {
    server = await startAccessServer((dir) => {
      path = join(dir, "authentication.yaml");
      writeFileSync(path, configuration(EXPRESSIONS, RULES));
      return { authentication: { configFile: path } };
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("expressions make the user out of the claims", async () => {
    expect(await initialised(server, await provider.logIn("jane"))).toEqual({
      username: "jane",
      uid: "jane",
      groups: ["idp:dev", "idp:ops", AUTHENTICATED],
    });
    const body = { kind: "SelfSubjectReview", apiVersion: "authentication.k8s.io/v1" };
    const reply = await call(
      server.nobody,
      "POST",
      "/apis/authentication.k8s.io/v1/selfsubjectreviews",
      body,
      bearer(await provider.logIn("jane")),
    );
    const { userInfo } = reply.json["status"] as { readonly userInfo: { readonly extra: unknown } };
    expect(userInfo.extra).toEqual({
      "authentication.kubernetes.io/credential-id": ["JTI=t-1"],
      "example.com/team": ["red"],
      "example.com/dotted": ["x"],
    });
  });

  it("rules about claims and users refuse with their message", async () => {
    await initialised(server, await provider.logIn("jane"));
    expect(await errorOf(server, await provider.logIn("eve"))).toBe(
      "[invalid bearer token, oidc: error evaluating user info validation rule: validation expression '!user.groups.exists(g, g.startsWith('idp:system:'))' failed: reserved group]",
    );
    const now = Math.floor(Date.now() / 1000);
    const long = {
      iss: provider.issuer,
      aud: ["other"],
      sub: "x",
      groups: [],
      email_verified: false,
      iat: now,
      exp: now + 90_000,
    };
    expect(await errorOf(server, forge(key, long))).toContain("failed: lives too long");
  });

  it("who shows nothing passes where the file says, and nowhere else", async () => {
    expect((await call(server.nobody, "GET", "/livez")).status).toBe(200);
    expect((await call(server.nobody, "GET", "/readyz")).status).toBe(401);
    expect((await call(server.nobody, "GET", "/version")).status).toBe(401);
  });

  it("a changed file takes effect without a restart; a broken one, or one that changes who may be nobody, does not", async () => {
    await initialised(server, await provider.logIn("jane"));
    const write = (content: string): void => {
      writeFileSync(`${path}.new`, content);
      renameSync(`${path}.new`, path);
    };
    const reloads = async (status: string): Promise<number> => {
      const { text } = await call(server.admin, "GET", "/metrics");
      const line = new RegExp(
        `apiserver_authentication_config_controller_automatic_reloads_total\\{[^}]*status="${status}"\\} (\\d+)`,
      );
      return Number(line.exec(text)?.[1] ?? 0);
    };
    write(configuration('username: { claim: sub, prefix: "new:" }', RULES.replace("/livez", "/readyz")));
    await eventually(
      () => reloads("failure"),
      (count) => count === 1,
    );
    write("nonsense: [");
    await eventually(
      () => reloads("failure"),
      (count) => count === 2,
    );
    write(configuration('username: { claim: sub, prefix: "new:" }', RULES));
    await eventually(
      () => reloads("success"),
      (count) => count === 1,
    );
    // Another token: what is known of one is kept for ten seconds.
    const now = Math.floor(Date.now() / 1000);
    const token = forge(key, { iss: provider.issuer, aud: "other", sub: "zoe", iat: now, exp: now + 60 });
    expect(await initialised(server, token)).toEqual({ username: "new:zoe", groups: [AUTHENTICATED] });
  });
});
