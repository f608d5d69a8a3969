import { HelpError, UsageError } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { FLAG_KINDS, type FlagKind } from "./command-line/flag-kinds.ts";
import { parseApiServerFlags } from "./flags.ts";

const NEEDED = [
  "--service-account-issuer=https://i",
  "--service-account-signing-key-file=k",
  "--tls-cert-file=c",
  "--tls-private-key-file=p",
];

/** A value that a flag of this kind can have. */
const SAMPLES: Readonly<Record<FlagKind, string>> = {
  bool: "true",
  int: "1",
  level: "1",
  float32: "0",
  float64: "0",
  duration: "1s",
  ip: "127.0.0.1",
  text: "",
  version: "false",
};

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
    [
      ["--secure-port=x"],
      'invalid argument "x" for "--secure-port" flag: strconv.ParseInt: parsing "x": invalid syntax',
    ],
    [["--secure-port"], "flag needs an argument: --secure-port"],
    [["--authorization-mode=Maybe"], 'authorization-mode "Maybe" is not a valid mode'],
    [["--enable-admission-plugins=PodSecurity,Nobody"], 'enable-admission-plugins plugin "Nobody" is unknown'],
    [["--disable-admission-plugins=RBACEscalation"], 'disable-admission-plugins plugin "RBACEscalation" is unknown'],
    [
      ["--enable-admission-plugins=PodSecurity,Priority", "--disable-admission-plugins=PodSecurity"],
      "[PodSecurity] in enable-admission-plugins and disable-admission-plugins overlapped",
    ],
    [["serve"], '"kube-apiserver" does not take any arguments, got ["serve"]'],
    [["-x"], "unknown shorthand flag: 'x' in -x"],
    [["--v=x"], 'invalid argument "x" for "-v, --v" flag: strconv.ParseUint: parsing "x": invalid syntax'],
    [
      ["--allow-privileged=maybe"],
      'invalid argument "maybe" for "--allow-privileged" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    [["--event-ttl=5"], 'invalid argument "5" for "--event-ttl" flag: time: missing unit in duration "5"'],
    [["--bind-address=foo"], 'invalid argument "foo" for "--bind-address" flag: failed to parse IP: "foo"'],
    [["--max-requests-inflight=-1"], "--max-requests-inflight can not be negative value"],
    [
      ["--max-requests-inflight=0", "--max-mutating-requests-inflight=0"],
      "invalid configuration: MaxRequestsInFlight=0 and MaxMutatingRequestsInFlight=0; they must add up to something positive",
    ],
    [["--admission-control=Foo"], 'admission-control plugin "Foo" is unknown'],
  ])("%j is refused in one line", (argv, message) => {
    expect(() => parseApiServerFlags([...NEEDED, ...argv])).toThrow(new UsageError(message));
  });

  it.each([...FLAG_KINDS])("somebody takes --%s", (name, kind) => {
    try {
      parseApiServerFlags([...NEEDED, `--${name}=${SAMPLES[kind]}`]);
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError);
    }
  });

  it("takes booleans, numbers and lengths of time as upstream does", () => {
    const flags = parseApiServerFlags([...NEEDED, "-v", "4", "--profiling=F", "--secure_port=0x10", "--event-ttl=.5h"]);
    expect(flags).toMatchObject({ verbosity: 4, profiling: false, securePort: 16 });
    expect(flags.serving.eventTtlSeconds).toBe(1800);
    expect(parseApiServerFlags([...NEEDED, "-v3"]).verbosity).toBe(3);
  });

  it("tells its version instead of starting", () => {
    expect(() => parseApiServerFlags(["--version"])).toThrow(/^Kubernetes v1\.35\./);
    expect(() => parseApiServerFlags(["--version"])).toThrow(HelpError);
  });

  it("takes the older flag that names all plugins that are on", () => {
    const flags = parseApiServerFlags([...NEEDED, "--admission-control=NamespaceLifecycle,AlwaysPullImages"]);
    expect(flags.enableAdmissionPlugins).toEqual(["AlwaysPullImages"]);
    expect(flags.disableAdmissionPlugins).toContain("ResourceQuota");
    expect(flags.disableAdmissionPlugins).not.toContain("NamespaceLifecycle");
  });

  it("says what is missing", () => {
    expect(() => parseApiServerFlags([])).toThrow("service-account-issuer is a required flag");
  });

  it("names the flags that have no effect, so that they can be told", () => {
    const { withoutEffect } = parseApiServerFlags([
      ...NEEDED,
      "--watch-cache-sizes=pods#100",
      "--feature-gates=AllAlpha=true",
      "--v=2",
    ]);
    expect(withoutEffect).toEqual(["watch-cache-sizes", "feature-gates=AllAlpha"]);
    expect(parseApiServerFlags(NEEDED).withoutEffect).toEqual([]);
  });
});
