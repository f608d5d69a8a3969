import { randomBytes, scryptSync } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import { connect } from "node:http2";
import { request } from "node:https";
import { join } from "node:path";
import { createAuthority } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, eventually, startAccessServer, whoAmI, type AccessServer } from "../access-fixture.ts";
import { startPeer, testAuthority, type Peer } from "../outbound/peer-fixture.ts";

const AUTHENTICATED = "system:authenticated";
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const basic = (name: string, password: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`,
});

function hashed(password: string): string {
  const salt = randomBytes(16);
  const hash = scryptSync(password, salt, 32, { N: 2 ** 14, r: 8, p: 1, maxmem: 64 * 2 ** 20 });
  return `"$scrypt$ln=14,r=8,p=1$${salt.toString("base64")}$${hash.toString("base64")}"`;
}

async function review(
  server: AccessServer,
  token: string,
  audiences?: readonly string[],
): Promise<Record<string, unknown>> {
  const body = { kind: "TokenReview", apiVersion: "authentication.k8s.io/v1", spec: { token, audiences } };
  const { json } = await call(server.admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", body);
  return json["status"] as Record<string, unknown>;
}

describe("passwords", () => {
  let server: AccessServer;
  let path: string;
  beforeAll(async () => {
    server = await startAccessServer((dir) => {
      path = join(dir, "passwords.csv");
      writeFileSync(path, `${hashed("open sesame")},ali,u1,"baba,forty"\n${hashed("x:y")},zoe,u2\n`);
      return { authentication: { basicAuthFile: path } };
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("the right one is taken, also a second time, and with a colon in it", async () => {
    const ali = { username: "ali", uid: "u1", groups: ["baba", "forty", AUTHENTICATED] };
    expect(await whoAmI(server.nobody, basic("ali", "open sesame"))).toEqual(ali);
    expect(await whoAmI(server.nobody, basic("ali", "open sesame"))).toEqual(ali);
    expect(await whoAmI(server.nobody, basic("zoe", "x:y"))).toMatchObject({ username: "zoe" });
  });

  it.each([
    ["a wrong one", basic("ali", "open barley")],
    ["an unknown user", basic("qasim", "open sesame")],
    ["an empty one", basic("ali", "")],
    ["no colon", { authorization: `Basic ${Buffer.from("ali").toString("base64")}` }],
    ["no base64", { authorization: "Basic ???" }],
  ])("%s is 401 with a challenge", async (_, headers) => {
    const reply = await call(server.nobody, "GET", "/api", undefined, headers);
    expect(reply.status).toBe(401);
    expect(reply.headers["www-authenticate"]).toBe('Basic realm="kubernetes-master"');
    expect(reply.json).toMatchObject({ message: "Unauthorized", reason: "Unauthorized" });
  });

  it("tokens go on working beside them", async () => {
    expect(await whoAmI(server.nobody, bearer("nobody's"))).toBe(401);
    expect(await whoAmI(server.admin)).toMatchObject({ username: "kubernetes-admin" });
  });

  it("a changed file counts from the next request on, also against what was remembered", async () => {
    await whoAmI(server.nobody, basic("ali", "open sesame"));
    writeFileSync(`${path}.new`, `${hashed("open barley")},ali,u1\n`);
    renameSync(`${path}.new`, path);
    const now = await eventually(
      () => whoAmI(server.nobody, basic("ali", "open barley")),
      (answer) => answer !== 401,
    );
    expect(now).toMatchObject({ username: "ali" });
    expect(await whoAmI(server.nobody, basic("ali", "open sesame"))).toBe(401);
  });
});

it("without --basic-auth-file passwords mean nothing, and nobody is asked for one", async () => {
  await using server = await startAccessServer();
  const reply = await call(server.nobody, "GET", "/api", undefined, basic("a", "b"));
  expect([reply.status, reply.headers["www-authenticate"]]).toEqual([403, undefined]);
});

describe("bootstrap tokens", () => {
  let server: AccessServer;
  beforeAll(async () => {
    server = await startAccessServer(() => ({ authentication: { bootstrapTokens: true } }));
  });
  afterAll(() => server[Symbol.asyncDispose]());

  let count = 0;
  async function make(
    changes: Record<string, string | undefined>,
    type = "bootstrap.kubernetes.io/token",
  ): Promise<string> {
    const id = `abc${String((count += 1)).padStart(3, "0")}`;
    const stringData = {
      "token-id": id,
      "token-secret": "0123456789abcdef",
      "usage-bootstrap-authentication": "true",
      ...changes,
    };
    const body = { metadata: { name: `bootstrap-token-${id}` }, type, stringData };
    const reply = await call(server.admin, "POST", "/api/v1/namespaces/kube-system/secrets", body);
    expect(reply.status).toBe(201);
    return `${id}.0123456789abcdef`;
  }

  it("are users of the group system:bootstrappers, and of those that the secret adds", async () => {
    expect(await whoAmI(server.nobody, bearer(await make({})))).toEqual({
      username: "system:bootstrap:abc001",
      groups: ["system:bootstrappers", AUTHENTICATED],
    });
    const token = await make({ "auth-extra-groups": "system:bootstrappers:z,system:bootstrappers:a" });
    expect(await whoAmI(server.nobody, bearer(token))).toMatchObject({
      groups: ["system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:z", AUTHENTICATED],
    });
    const ahead = new Date(Date.now() + 60_000).toISOString();
    expect(await whoAmI(server.nobody, bearer(await make({ expiration: ahead })))).not.toBe(401);
  });

  it.each([
    ["whose time is over", { expiration: "2020-01-01T00:00:00Z" }],
    ["whose end cannot be read", { expiration: "tomorrow" }],
    ["not for authentication", { "usage-bootstrap-authentication": undefined }],
    ["with a group that is none of theirs", { "auth-extra-groups": "system:masters" }],
    ["whose secret is another", { "token-secret": "fedcba9876543210" }],
    ["whose id is another", { "token-id": "zzzzzz" }],
  ])("one %s is refused", async (_, changes) => {
    expect(await whoAmI(server.nobody, bearer(await make(changes)))).toBe(401);
  });

  it("a secret of another type is no token", async () => {
    expect(await whoAmI(server.nobody, bearer(await make({}, "Opaque")))).toBe(401);
  });
});

describe("service accounts", () => {
  let server: AccessServer;
  beforeAll(async () => {
    server = await startAccessServer((_dir, pki) => ({
      serviceAccounts: {
        issuers: ["https://new.example", "https://old.example"],
        signingKey: pki.serviceAccountKey,
        extendTokenExpiration: true,
        maxTokenSeconds: 7200,
        jwksUri: "https://keys.example/jwks",
      },
    }));
    for (const name of ["sa", "other"]) {
      await call(server.admin, "POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name } });
    }
    await call(server.admin, "POST", "/api/v1/nodes", { metadata: { name: "n1" } });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const pod = (name: string): object => ({
    metadata: { name },
    spec: { serviceAccountName: "sa", nodeName: "n1", containers: [{ name: "c", image: "i" }] },
  });
  const askToken = (spec: object, name = "sa", metadata: object = {}) =>
    call(server.admin, "POST", `/api/v1/namespaces/default/serviceaccounts/${name}/token`, { metadata, spec });
  const tokenIn = (reply: { readonly json: Record<string, unknown> }): string =>
    (reply.json["status"] as { readonly token: string }).token;
  const claimsIn = (token: string): Record<string, unknown> =>
    JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()) as Record<string, unknown>;

  it("the first issuer issues; the audience is every issuer's when none is asked for", async () => {
    const token = tokenIn(await askToken({}));
    expect(claimsIn(token)).toMatchObject({
      iss: "https://new.example",
      aud: ["https://new.example", "https://old.example"],
      sub: "system:serviceaccount:default:sa",
    });
    expect(await whoAmI(server.nobody, bearer(token))).toMatchObject({
      username: "system:serviceaccount:default:sa",
      groups: ["system:serviceaccounts", "system:serviceaccounts:default", AUTHENTICATED],
    });
  });

  it.each([
    ["pods", "Pod", pod("p1")],
    ["secrets", "Secret", { metadata: { name: "p1" } }],
  ])("a token bound to one of the %s ends with it", async (plural, kind, object) => {
    await call(server.admin, "POST", `/api/v1/namespaces/default/${plural}`, object);
    const token = tokenIn(await askToken({ boundObjectRef: { kind, apiVersion: "v1", name: "p1" } }));
    expect(await review(server, token)).toMatchObject({ authenticated: true });
    await call(server.admin, "DELETE", `/api/v1/namespaces/default/${plural}/p1?gracePeriodSeconds=0`);
    expect(await review(server, token)).toEqual({
      user: {},
      error: "[invalid bearer token, service account token has been invalidated]",
    });
  });

  it("a token bound to a node ends with it, and one bound to a pod names its node", async () => {
    await call(server.admin, "POST", "/api/v1/nodes", { metadata: { name: "n2" } });
    const token = tokenIn(await askToken({ boundObjectRef: { kind: "Node", apiVersion: "v1", name: "n2" } }));
    expect(await review(server, token)).toMatchObject({
      user: { extra: { "authentication.kubernetes.io/node-name": ["n2"] } },
    });
    await call(server.admin, "DELETE", "/api/v1/nodes/n2");
    await call(server.admin, "POST", "/api/v1/nodes", { metadata: { name: "n2" } });
    expect((await review(server, token))["error"]).toMatch(
      /node UID \(.*\) does not match service account node ref claim/,
    );
    await call(server.admin, "POST", "/api/v1/namespaces/default/pods", pod("p2"));
    const ofPod = tokenIn(await askToken({ boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "p2" } }));
    expect(claimsIn(ofPod)["kubernetes.io"]).toMatchObject({ pod: { name: "p2" }, node: { name: "n1" } });
  });

  it("a token that a kubelet asks for lives a year, and its holder is told an hour", async () => {
    await call(server.admin, "POST", "/api/v1/namespaces/default/pods", pod("p3"));
    const reply = await askToken({
      expirationSeconds: 3607,
      boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "p3" },
    });
    const claims = claimsIn(tokenIn(reply)) as { exp: number; iat: number; "kubernetes.io": { warnafter: number } };
    expect(claims.exp - claims.iat).toBe(365 * 86_400);
    expect(claims["kubernetes.io"].warnafter - claims.iat).toBe(3607);
    const { expirationTimestamp } = reply.json["status"] as { readonly expirationTimestamp: string };
    expect(Date.parse(expirationTimestamp) / 1000 - claims.iat).toBe(3607);
  });

  it("a life longer than allowed is shortened, with a warning", async () => {
    const reply = await askToken({ expirationSeconds: 86_400 });
    expect(reply.json["spec"]).toMatchObject({ expirationSeconds: 7200 });
    expect(reply.headers["warning"]).toEqual([
      '299 - "requested expiration of 86400 seconds shortened to 7200 seconds"',
    ]);
  });

  it.each([
    [
      { expirationSeconds: 599 },
      {},
      422,
      "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
    ],
    [{ boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "gone" } }, {}, 404, 'pods "gone" not found'],
    [
      { boundObjectRef: { kind: "Node", apiVersion: "v1", name: "n1", uid: "x" } },
      {},
      409,
      'Operation cannot be fulfilled on Node "n1": the UID in the bound object reference (x) does not match the UID in record.',
    ],
    [
      { boundObjectRef: { kind: "Foo", apiVersion: "v1", name: "x" } },
      {},
      400,
      "cannot bind token to object of type /v1, Kind=Foo",
    ],
    [
      {},
      { uid: "x" },
      409,
      'Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "sa": the UID in the token request (x)',
    ],
    [
      {},
      { name: "other" },
      422,
      'metadata.name: Invalid value: "other": must match the service account name if specified',
    ],
  ])("%j %j is refused: %i %s", async (spec, metadata, code, message) => {
    const reply = await askToken(spec, "sa", metadata);
    expect([reply.status, reply.json["message"]]).toEqual([code, expect.stringContaining(message)]);
  });

  it("a token is for whom it was asked, and nobody else", async () => {
    const token = tokenIn(await askToken({ audiences: ["vault"] }));
    expect(await whoAmI(server.nobody, bearer(token))).toBe(401);
    expect(await review(server, token, ["vault", "other"])).toMatchObject({
      authenticated: true,
      audiences: ["vault"],
    });
    expect((await review(server, token))["error"]).toBe(
      '[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["https://new.example" "https://old.example"]]',
    );
  });

  it("a secret's token holds while the secret does; its use is noted; one marked invalid does not hold", async () => {
    const { metadata } = (await call(server.admin, "GET", "/api/v1/namespaces/default/serviceaccounts/other")).json as {
      readonly metadata: { readonly uid: string };
    };
    const { parseSigningKey, signToken } = await import("./json-web-token.ts");
    const prefix = "kubernetes.io/serviceaccount";
    const token = signToken(parseSigningKey(server.pki.serviceAccountKey), {
      iss: "kubernetes/serviceaccount",
      sub: "system:serviceaccount:default:other",
      [`${prefix}/namespace`]: "default",
      [`${prefix}/secret.name`]: "legacy",
      [`${prefix}/service-account.name`]: "other",
      [`${prefix}/service-account.uid`]: metadata.uid,
    });
    const secrets = "/api/v1/namespaces/default/secrets";
    expect((await review(server, token))["error"]).toBe("[invalid bearer token, Token has been invalidated]");
    const annotations = { "kubernetes.io/service-account.name": "other" };
    const type = "kubernetes.io/service-account-token";
    await call(server.admin, "POST", secrets, {
      metadata: { name: "legacy", annotations },
      type,
      stringData: { token },
    });
    expect(await review(server, token)).toMatchObject({ authenticated: true });
    const { json } = await call(server.admin, "GET", `${secrets}/legacy`);
    const today = new Date().toISOString().slice(0, 10);
    expect((json["metadata"] as { readonly labels: object }).labels).toEqual({
      "kubernetes.io/legacy-token-last-used": today,
    });
    await call(server.admin, "PATCH", `${secrets}/legacy`, {
      metadata: { labels: { "kubernetes.io/legacy-token-invalid-since": today } },
    });
    expect((await review(server, token))["error"]).toContain("has been marked invalid");
    await call(server.admin, "PATCH", `${secrets}/legacy`, { stringData: { token: "another" } });
    expect((await review(server, token))["error"]).toBe("[invalid bearer token, Token does not match server's copy]");
  });

  it("others find the keys where the flag says", async () => {
    const reader = server.as("r", "system:serviceaccounts");
    const found = await call(reader, "GET", "/.well-known/openid-configuration");
    expect(found.json).toEqual({
      issuer: "https://new.example",
      jwks_uri: "https://keys.example/jwks",
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256"],
    });
    expect(found.headers["cache-control"]).toBe("public, max-age=3600");
    const keys = await call(reader, "GET", "/openid/v1/jwks", undefined, { accept: "*/*" });
    expect(keys.headers["content-type"]).toBe("application/jwk-set+json");
    expect(keys.json["keys"]).toMatchObject([{ use: "sig", kty: "EC", alg: "ES256", crv: "P-256" }]);
  });
});

describe("a token webhook", () => {
  let peer: Peer;
  let server: AccessServer;
  let status: Record<string, unknown> = {};
  beforeAll(async () => {
    peer = await startPeer(() => ({
      body: JSON.stringify({ kind: "TokenReview", apiVersion: "authentication.k8s.io/v1", status }),
    }));
    server = await startAccessServer((dir) => {
      const kubeconfigFile = join(dir, "webhook.kubeconfig");
      writeFileSync(
        kubeconfigFile,
        JSON.stringify({
          apiVersion: "v1",
          kind: "Config",
          "current-context": "c",
          clusters: [
            {
              name: "c",
              cluster: {
                server: `${peer.url}/check`,
                "certificate-authority-data": Buffer.from(testAuthority.cert).toString("base64"),
              },
            },
          ],
          users: [{ name: "u", user: {} }],
          contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
        }),
      );
      return { authentication: { webhook: { kubeconfigFile, version: "v1", cacheTtlMs: 120_000 } } };
    });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await peer[Symbol.asyncDispose]();
  });

  it("says whose a token is, and is asked once", async () => {
    status = { authenticated: true, user: { username: "wanda", uid: "w", groups: ["g"], extra: { k: ["v"] } } };
    expect(await whoAmI(server.nobody, bearer("one"))).toEqual({
      username: "wanda",
      uid: "w",
      groups: ["g", AUTHENTICATED],
    });
    await whoAmI(server.nobody, bearer("one"));
    expect(peer.seen.map(({ path, body }) => [path, JSON.parse(body)])).toEqual([
      [
        "/check",
        expect.objectContaining({
          kind: "TokenReview",
          apiVersion: "authentication.k8s.io/v1",
          spec: { token: "one", audiences: ["https://kubernetes.default.svc"] },
        }),
      ],
    ]);
  });

  it.each([
    ["no", { authenticated: false }, "invalid bearer token"],
    ["no, with a reason", { authenticated: false, error: "revoked" }, "[invalid bearer token, revoked]"],
    [
      "yes, for others",
      { authenticated: true, user: { username: "x" }, audiences: ["elsewhere"] },
      "invalid bearer token",
    ],
  ])("may say %s", async (name, answer, error) => {
    status = answer;
    expect(await review(server, `token of ${name}`)).toEqual({ user: {}, error });
  });

  it("that cannot be understood is an error, and no user", async () => {
    peer.behave = () => ({ status: 404, body: "{}" });
    expect(await whoAmI(server.nobody, bearer("later"))).toBe(401);
  });
});

it("a new authority for client certificates counts without a restart, the old one no longer", async () => {
  let path = "";
  await using server = await startAccessServer((dir, pki) => {
    path = join(dir, "ca.pem");
    writeFileSync(path, pki.ca.cert);
    return { authentication: { clientCaFile: path } };
  });
  const valid = { notBefore: Date.now() - 60_000, notAfter: Date.now() + 3_600_000 };
  const next = createAuthority({ subject: { commonName: "next" }, ...valid });
  const issued = next.issue({ subject: { commonName: "nina", organizations: ["g"] }, usages: ["client"], ...valid });
  const old = server.pki.issueClient({ commonName: "otto", organizations: [] });
  /** Over TLS, where the client is also told which authorities the server takes. */
  const overTls = (client: { readonly cert: string; readonly key: string }): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = {
        port: server.server.port,
        host: "127.0.0.1",
        path: "/api",
        agent: false,
        ca: server.pki.ca.cert,
      };
      request({ ...options, cert: client.cert, key: client.key }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on("error", reject)
        .end();
    });
  expect([await overTls(old), await overTls(issued)]).toEqual([200, 401]);
  renameSync(server.file("next.pem", next.cert), path);
  await eventually(
    () => overTls(issued),
    (code) => code === 200,
  );
  expect(await overTls(old)).toBe(401);
  // Written in place, broken for a moment: what was in force stays in force.
  writeFileSync(path, "nonsense");
  expect(await overTls(issued)).toBe(200);
  writeFileSync(path, `${next.cert}\n${server.pki.ca.cert}`);
  await eventually(
    () => overTls(old),
    (code) => code === 200,
  );
  const shown = await eventually(
    () => call(server.admin, "GET", "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"),
    ({ json }) =>
      String((json["data"] as Record<string, string>)["client-ca-file"]).startsWith(next.cert.slice(0, 100)),
  );
  expect(shown.status).toBe(200);
});

it("metrics count who came in, under upstream's names", async () => {
  await using server = await startAccessServer();
  await whoAmI(server.admin);
  await whoAmI(server.nobody, bearer("x"));
  const { text } = await call(server.admin, "GET", "/metrics");
  for (const line of [
    'authentication_attempts{result="success"}',
    'authentication_attempts{result="failure"} 1',
    'authenticated_user_requests{username="other"}',
    'authentication_duration_seconds_bucket{result="success",le="0.001"}',
    'authorization_attempts_total{result="allowed"}',
    "apiserver_client_certificate_expiration_seconds_count",
  ]) {
    expect(text).toContain(line);
  }
});

describe("headers that are sent several times", () => {
  it("are several values; a comma within one divides nothing", async () => {
    await using server = await startAccessServer();
    const { cert, key } = server.pki.client("admin");
    const options = { host: "127.0.0.1", port: server.server.port, agent: false, ca: server.pki.ca.cert, cert, key };
    const headers = {
      "impersonate-user": "jane",
      "impersonate-group": ["a, b", "c"],
      "impersonate-extra-scopes": ["x", "y, z"],
    };
    const body = JSON.stringify({ kind: "SelfSubjectReview", apiVersion: "authentication.k8s.io/v1" });
    const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    const expected = { username: "jane", groups: ["a, b", "c", AUTHENTICATED], extra: { scopes: ["x", "y, z"] } };
    const overHttp1 = await new Promise<string>((resolve, reject) => {
      const sent = { ...headers, "content-type": "application/json" };
      request({ ...options, path, method: "POST", headers: sent }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("end", () => resolve(text));
      })
        .on("error", reject)
        .end(body);
    });
    expect(JSON.parse(overHttp1)).toMatchObject({ status: { userInfo: expected } });
    const session = connect(`https://127.0.0.1:${options.port}`, { ca: options.ca, cert, key });
    try {
      const stream = session.request({
        ":path": path,
        ":method": "POST",
        "content-type": "application/json",
        ...headers,
      });
      stream.setEncoding("utf8").end(body);
      let text = "";
      for await (const part of stream) text += String(part);
      expect(JSON.parse(text)).toMatchObject({ status: { userInfo: expected } });
    } finally {
      session.close();
    }
  });
});

describe("certificates and clocks", () => {
  it.each([
    ["over", -7_200_000, -3_600_000],
    ["yet to come", 3_600_000, 7_200_000],
  ])("a certificate whose time is %s is 401, not a broken connection", async (_, from, to) => {
    await using server = await startAccessServer();
    const now = Date.now();
    const late = server.pki.ca.issue({
      subject: { commonName: "late", organizations: ["system:masters"] },
      usages: ["client"],
      notBefore: now + from,
      notAfter: now + to,
    });
    const reply = await call(server.server.transport({ clientCertificate: late.cert }), "GET", "/api");
    expect([reply.status, reply.json["message"]]).toEqual([401, "Unauthorized"]);
  });

  it("a certificate for servers is none for clients", async () => {
    await using server = await startAccessServer();
    const now = Date.now();
    const valid = { notBefore: now - 1000, notAfter: now + 60_000 };
    const wrong = server.pki.ca.issue({ subject: { commonName: "w" }, usages: ["server"], names: ["w"], ...valid });
    expect(await whoAmI(server.server.transport({ clientCertificate: wrong.cert }))).toBe(401);
  });

  it("a service account's token is taken a minute before and after its time, for clocks differ", async () => {
    await using server = await startAccessServer();
    await call(server.admin, "POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "sa" } });
    const { json } = await call(server.admin, "GET", "/api/v1/namespaces/default/serviceaccounts/sa");
    const { uid } = json["metadata"] as { readonly uid: string };
    const { parseSigningKey, signToken } = await import("./json-web-token.ts");
    const now = Math.floor(Date.now() / 1000);
    const make = (times: object): string =>
      signToken(parseSigningKey(server.pki.serviceAccountKey), {
        iss: "https://kubernetes.default.svc",
        aud: ["https://kubernetes.default.svc"],
        sub: "system:serviceaccount:default:sa",
        "kubernetes.io": { namespace: "default", serviceaccount: { name: "sa", uid } },
        ...times,
      });
    expect(await review(server, make({ exp: now - 30 }))).toMatchObject({ authenticated: true });
    expect(await review(server, make({ exp: now + 60, nbf: now + 30 }))).toMatchObject({ authenticated: true });
    const errors = [
      [{ exp: now - 90 }, "service account token has expired"],
      [{ exp: now + 600, nbf: now + 120 }, "service account token is not valid yet"],
      [{ exp: now + 600, iat: now + 120 }, "service account token is issued in the future"],
      [{ exp: "soon" }, "go-jose/go-jose/jwt: expected number value to unmarshal NumericDate"],
    ] as const;
    for (const [times, why] of errors) {
      expect((await review(server, make(times)))["error"]).toBe(`[invalid bearer token, ${why}]`);
    }
  });
});

describe("whatever stands in a token or a file", () => {
  let state = 4711;
  const next = (limit: number): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) % limit;
  const mutate = (text: string): string => {
    const characters = Array.from(text);
    for (let i = 0; i <= next(4); i++) {
      const at = next(characters.length + 1);
      if (next(3) === 0) characters.splice(at, next(5));
      else characters.splice(at, next(2), String.fromCodePoint(next(0x120) + 1));
    }
    return characters.join("");
  };

  it("a mutated token is refused, and never a reason to fail", async () => {
    const { parseSigningKey, parseVerificationKeys, parseToken, checkSignature, signToken } =
      await import("./json-web-token.ts");
    const authority = createAuthority({ subject: { commonName: "k" }, notBefore: 0, notAfter: Date.now() });
    const keys = parseVerificationKeys(authority.cert);
    const good = signToken(parseSigningKey(authority.key), { iss: "i", exp: 1, "kubernetes.io": { namespace: "n" } });
    expect(() => checkSignature(good, parseToken(good)!.header, keys)).not.toThrow();
    for (let i = 0; i < 3000; i++) {
      const bad = mutate(good);
      const parsed = parseToken(bad);
      if (parsed === undefined || bad === good) continue;
      expect(() => checkSignature(bad, parsed.header, keys)).toThrow(/invalid signature|cryptographic primitive/);
    }
  });

  it("a mutated file of tokens or passwords is read, or refused with a word", async () => {
    const { parseTokenFile } = await import("./static-token.ts");
    const { parseBasicAuthFile, readBasicHeader } = await import("./basic-password.ts");
    const tokens = 't1,ann,1,"a,b"\n"t""2",bob,2\r\n';
    const passwords = `${hashed("x")},ann,1,"a,b"\n`;
    for (let i = 0; i < 3000; i++) {
      for (const read of [() => parseTokenFile(mutate(tokens)), () => parseBasicAuthFile(mutate(passwords))]) {
        try {
          expect(read()).toBeInstanceOf(Map);
        } catch (error) {
          expect((error as Error).message).toMatch(/column|quoted-field|record/);
        }
      }
      try {
        readBasicHeader(mutate("Basic YTpi"));
      } catch (error) {
        expect((error as Error).message).toBe("invalid authorization header");
      }
    }
  });
});
