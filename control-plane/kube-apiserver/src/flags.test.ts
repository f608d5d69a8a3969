import { UsageError } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { parseApiServerFlags } from "./flags.ts";

const NEEDED = [
  "--service-account-issuer=https://i",
  "--service-account-signing-key-file=k",
  "--tls-cert-file=c",
  "--tls-private-key-file=p",
];

describe("the command line", () => {
  it("takes upstream's names, with = or a space, once or several times", () => {
    const flags = parseApiServerFlags([
      ...NEEDED,
      "--secure-port",
      "7443",
      "--authorization-mode=Node,RBAC",
      "--service-account-key-file=a",
      "--service-account-key-file=b",
      "--anonymous-auth=false",
      "--service-account-max-token-expiration=1h30m",
    ]);
    expect(flags).toMatchObject({
      securePort: 7443,
      serviceAccountKeyFiles: ["a", "b"],
      access: { anonymousAuth: false, authorizationModes: ["Node", "RBAC"] },
      serviceAccountMaxTokenSeconds: 5400,
      maxRequestsInflight: 400,
    });
  });

  it.each([
    [["--no-such-flag=1"], "unknown flag: --no-such-flag"],
    [["--secure-port=x"], 'invalid argument "x" for "--secure-port" flag: not a number'],
    [["--secure-port"], "flag needs an argument: --secure-port"],
    [["--authorization-mode=Maybe"], 'authorization-mode "Maybe" is not a valid mode'],
    [["--enable-admission-plugins=PodSecurity,Nobody"], 'enable-admission-plugins plugin "Nobody" is unknown'],
    [["--disable-admission-plugins=RBACEscalation"], 'disable-admission-plugins plugin "RBACEscalation" is unknown'],
    [
      ["--enable-admission-plugins=PodSecurity,Priority", "--disable-admission-plugins=PodSecurity"],
      "[PodSecurity] in enable-admission-plugins and disable-admission-plugins overlapped",
    ],
    [["serve"], 'unknown command "serve"'],
  ])("%j is refused in one line", (argv, message) => {
    expect(() => parseApiServerFlags([...NEEDED, ...argv])).toThrow(new UsageError(message));
  });

  it("says what is missing", () => {
    expect(() => parseApiServerFlags([])).toThrow("service-account-issuer is a required flag");
  });

  it("names the flags that have no effect, so that they can be told", () => {
    const { withoutEffect } = parseApiServerFlags([
      ...NEEDED,
      "--profiling=false",
      "--feature-gates=AllAlpha=true",
      "--v=2",
    ]);
    expect(withoutEffect).toEqual(["profiling", "feature-gates=AllAlpha"]);
    expect(parseApiServerFlags(NEEDED).withoutEffect).toEqual([]);
  });
});
