import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "@coracle/base";
import { createAuthority } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseApiServerFlags, readApiServerConfig } from "./flags.ts";

const NEEDED = ["--service-account-issuer=https://i", "--service-account-signing-key-file=k"];
const OIDC = ["--oidc-issuer-url=https://p", "--oidc-client-id=c"];

describe("flags of access contradict each other in upstream's words", () => {
  it.each<[string[], string]>([
    [["--authorization-mode=Maybe"], 'authorization-mode "Maybe" is not a valid mode'],
    [["--authorization-mode=RBAC,RBAC"], 'authorization-mode ["RBAC" "RBAC"] has mode specified more than once'],
    [["--authorization-mode=ABAC"], "authorization-mode ABAC's authorization policy file not passed"],
    [["--authorization-mode=Webhook"], "authorization-mode Webhook's authorization config file not passed"],
    [["--authorization-policy-file=p"], "cannot specify --authorization-policy-file without mode ABAC"],
    [
      ["--authorization-webhook-config-file=w"],
      "cannot specify --authorization-webhook-config-file without mode Webhook",
    ],
    [
      ["--authorization-config=c", "--authorization-mode=RBAC"],
      "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined",
    ],
    [
      ["--authorization-webhook-cache-authorized-ttl=long"],
      'invalid argument "long" for "--authorization-webhook-cache-authorized-ttl" flag: time: invalid duration "long"',
    ],
    [
      ["--oidc-username-claim=email"],
      "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set",
    ],
    [[...OIDC, "--authentication-config=f"], "authentication-config file and oidc-* flags are mutually exclusive"],
    [[...OIDC, "--oidc-signing-algs=HS256"], 'oidc: unsupported signing alg: "HS256"'],
    [
      [...OIDC, "--oidc-required-claim=x"],
      'invalid argument "x" for "--oidc-required-claim" flag: malformed pair, expect string=string',
    ],
    [
      ["--authentication-token-webhook-config-file=w", "--authentication-token-webhook-version=v2"],
      'unsupported authentication webhook version "v2", supported versions are "v1", "v1beta1"',
    ],
    [["--service-account-jwks-uri=http://x/"], "service-account-jwks-uri requires https scheme, parsed as: http://x/"],
    [["--service-account-issuer=https://i"], 'service-account-issuer "https://i" is already specified'],
    [["--requestheader-username-headers= "], 'empty value in "requestheader-username-headers"'],
    [
      ["--requestheader-uid-headers=X-Id"],
      "--requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - API aggregation will not work",
    ],
  ])("%j: %s", (argv, message) => {
    expect(() => parseApiServerFlags([...NEEDED, ...argv])).toThrow(new UsageError(message));
  });
});

describe("flags of access reach the server", () => {
  let dir: string;
  const authority = createAuthority({ subject: { commonName: "ca" }, notBefore: 0, notAfter: Date.now() + 60_000 });
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "flags-"));
    writeFileSync(join(dir, "ca.pem"), authority.cert);
    writeFileSync(join(dir, "sa.key"), authority.key);
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  const read = (...argv: string[]) => {
    const base = [
      "--service-account-issuer=https://i",
      `--service-account-signing-key-file=${dir}/sa.key`,
      `--cert-dir=${dir}/certs`,
    ];
    return readApiServerConfig(parseApiServerFlags([...base, ...argv]), Date.now()).config;
  };

  it("all of OpenID Connect", () => {
    const config = read(
      ...OIDC,
      `--oidc-ca-file=${dir}/ca.pem`,
      "--oidc-username-claim=email",
      "--oidc-username-prefix=-",
      "--oidc-groups-claim=groups",
      "--oidc-groups-prefix=g:",
      "--oidc-signing-algs=RS256,ES256",
      "--oidc-required-claim=a=b",
      "--oidc-required-claim=c=d=e",
    );
    expect(config.authentication?.openId).toEqual({
      issuerUrl: "https://p",
      clientId: "c",
      ca: authority.cert,
      usernameClaim: "email",
      usernamePrefix: "-",
      groupsClaim: "groups",
      groupsPrefix: "g:",
      signingAlgorithms: ["RS256", "ES256"],
      requiredClaims: { a: "b", c: "d=e" },
    });
  });

  it("webhooks, files and switches", () => {
    const config = read(
      "--authorization-mode=Node,RBAC,ABAC,Webhook",
      "--authorization-policy-file=p",
      "--authorization-webhook-config-file=w",
      "--authorization-webhook-version=v1",
      "--authorization-webhook-cache-authorized-ttl=1m30s",
      "--authorization-webhook-cache-unauthorized-ttl=0",
      "--authentication-token-webhook-config-file=t",
      "--authentication-token-webhook-cache-ttl=5s",
      "--basic-auth-file=b",
      "--enable-bootstrap-token-auth",
      "--service-account-lookup=false",
      "--service-account-jwks-uri=https://keys/jwks",
      "--anonymous-auth=false",
      `--client-ca-file=${dir}/ca.pem`,
    );
    expect(config).toMatchObject({
      authorizationModes: ["Node", "RBAC", "ABAC", "Webhook"],
      authorization: {
        policyFile: "p",
        webhook: { kubeconfigFile: "w", version: "v1", authorizedTtlMs: 90_000, unauthorizedTtlMs: 0 },
      },
      authentication: {
        webhook: { kubeconfigFile: "t", version: "v1beta1", cacheTtlMs: 5000 },
        basicAuthFile: "b",
        bootstrapTokens: true,
        anonymousIsSet: true,
        clientCaFile: `${dir}/ca.pem`,
      },
      anonymousAuth: false,
      serviceAccounts: { lookup: false, jwksUri: "https://keys/jwks" },
    });
  });

  it("where everybody may do everything, nobody may be nobody", () => {
    expect(read().anonymousAuth).toBe(false);
    expect(read("--authorization-mode=RBAC").anonymousAuth).toBe(true);
  });

  it("who vouches for users does not also vouch for proxies of any name", () => {
    const both = [`--client-ca-file=${dir}/ca.pem`, `--requestheader-client-ca-file=${dir}/ca.pem`];
    expect(() => read(...both)).toThrow(
      "contain overlapping certificates; --requestheader-allowed-names must be specified",
    );
    expect(() => read(...both, "--requestheader-allowed-names=proxy")).not.toThrow();
  });
});
