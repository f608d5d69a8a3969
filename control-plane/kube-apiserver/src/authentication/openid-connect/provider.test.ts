import { createFakeClock, silentLogger } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { eventually } from "../../access-fixture.ts";
import { createOutboundClient } from "../../outbound/outbound-client.ts";
import { AccessMetrics } from "../access-metrics.ts";
import { makeKey, startRealProvider } from "./provider-fixture.ts";
import { createOpenIdProvider, parseKeySet } from "./provider.ts";

describe("a provider", () => {
  it("that is down at the start is asked again every ten seconds, until it answers", async () => {
    await using real = await startRealProvider(makeKey("k"), () => ({}));
    const token = await real.logIn("ann");
    await real.stop();
    const clock = createFakeClock(Date.now());
    await using client = createOutboundClient({ clock });
    await using provider = createOpenIdProvider({
      issuer: real.issuer,
      ca: real.ca,
      algorithms: ["RS256"],
      audiences: ["kubernetes"],
      client,
      clock,
      logger: silentLogger,
      metrics: new AccessMetrics(),
    });
    await eventually(
      () => Promise.resolve(provider.problem() ?? ""),
      (problem) => problem.includes("connection refused"),
    );
    await expect(provider.verify(token)).rejects.toThrow("oidc: authenticator not initialized");
    await real.start();
    const before = real.discoveries;
    await clock.advance(9000);
    expect(real.discoveries).toBe(before);
    await clock.advance(1000);
    await eventually(
      () => Promise.resolve(provider.problem()),
      (problem) => problem === undefined,
    );
    expect(await provider.verify(token)).toMatchObject({ sub: "ann", aud: "kubernetes" });
  });

  it("that calls itself by another name is not believed", async () => {
    await using real = await startRealProvider(makeKey("k"), () => ({}));
    const clock = createFakeClock(Date.now());
    await using client = createOutboundClient({ clock });
    await using provider = createOpenIdProvider({
      issuer: "https://other.example",
      discoveryUrl: `${real.issuer}/.well-known/openid-configuration`,
      ca: real.ca,
      algorithms: ["RS256"],
      audiences: ["kubernetes"],
      client,
      clock,
      logger: silentLogger,
      metrics: new AccessMetrics(),
    });
    const problem = await eventually(
      () => Promise.resolve(provider.problem() ?? ""),
      (found) => found.includes("oidc: issuer"),
    );
    expect(problem).toContain(
      `oidc: issuer did not match the issuer returned by provider, expected "https://other.example" got "${real.issuer}"`,
    );
  });
});

describe("a key set", () => {
  it("gives keys that verify, never ones that sign: no symmetric ones, none for encryption, none that are broken", () => {
    const { jwk } = makeKey("good");
    const { kty, n, e } = jwk;
    const keys = parseKeySet(
      JSON.stringify({
        keys: [
          { kty, n, e, kid: "good", use: "sig", alg: "RS256" },
          { kty: "oct", k: "c2VjcmV0", kid: "shared" },
          { kty, n, e, kid: "sealing", use: "enc" },
          { kty: "RSA", n: "!", kid: "broken" },
          { kty: "EC", crv: "P-999", kid: "unknown" },
          "nonsense",
        ],
      }),
    );
    expect(keys.map(({ id, algorithms }) => [id, algorithms])).toEqual([["good", ["RS256"]]]);
    expect(() => parseKeySet("[]")).toThrow("no keys in the key set");
    expect(() => parseKeySet("{")).toThrow();
  });
});
