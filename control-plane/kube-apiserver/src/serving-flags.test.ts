import { HelpError, UsageError } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { parseApiServerFlags } from "./flags.ts";
import type { ServingFlags } from "./serving-flags.ts";

const NEEDED = ["--service-account-issuer=https://i", "--service-account-signing-key-file=k"];
const parse = (...argv: string[]): ServingFlags => parseApiServerFlags([...NEEDED, ...argv]).serving;

describe("the flags of serving", () => {
  it("have upstream's defaults", () => {
    expect(parse()).toEqual({
      priorityAndFairness: true,
      requestTimeoutMs: 60_000,
      shutdownDelayMs: 0,
      shutdownSendsRetryAfter: false,
      goawayChance: 0,
      maxStreamsPerConnection: 0,
      minTlsVersion: "TLSv1.2",
      ciphers: undefined,
      sniCertificates: [],
      corsAllowedOrigins: [],
      transportSecurity: [],
      eventTtlSeconds: 3600,
      allowsPrivileged: false,
      externalHostname: "",
      publishesEndpoints: true,
      serviceNodePort: 0,
      http1Only: false,
      otherGates: [],
      features: new Set(),
    });
  });

  it.each<[string, Partial<ServingFlags>]>([
    ["--enable-priority-and-fairness=false", { priorityAndFairness: false }],
    ["--event-ttl=2h30m", { eventTtlSeconds: 9000 }],
    ["--goaway-chance=0.001", { goawayChance: 0.001 }],
    ["--shutdown-delay-duration=70s", { shutdownDelayMs: 70_000 }],
    ["--shutdown-send-retry-after", { shutdownSendsRetryAfter: true }],
    ["--endpoint-reconciler-type=none", { publishesEndpoints: false }],
    ["--tls-min-version=VersionTLS13", { minTlsVersion: "TLSv1.3" }],
    [
      "--tls-cipher-suites=TLS_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
      { ciphers: ["ECDHE-RSA-AES128-GCM-SHA256"] },
    ],
    [
      "--tls-sni-cert-key=a.crt,a.key:*.example.com,example.com",
      { sniCertificates: [{ certFile: "a.crt", keyFile: "a.key", names: ["*.example.com", "example.com"] }] },
    ],
    ["--feature-gates=kube:WatchList=true,APIResponseCompression=false", { otherGates: ["APIResponseCompression"] }],
    ["--allow-privileged", { allowsPrivileged: true }],
    ["--storage-backend=etcd3", {}],
    ["--etcd-prefix=/registry/", {}],
    ["--watch-cache", {}],
  ])("%s is understood", (flag, expected) => {
    expect(parse(flag)).toMatchObject(expected);
  });

  // The texts are upstream's, where it has the flag's problem too.
  it.each([
    ["--feature-gates=Nope=true", "unrecognized feature gate: Nope"],
    [
      "--feature-gates=WatchList=abc",
      'invalid value of WatchList=abc, err: strconv.ParseBool: parsing "abc": invalid syntax',
    ],
    [
      "--feature-gates=APIServerTracing=false",
      "cannot set feature gate APIServerTracing to false, feature is locked to true",
    ],
    ["--goaway-chance=1", "--goaway-chance can not be less than 0 or greater than 0.02"],
    ["--request-timeout=-1s", "--request-timeout can not be negative value"],
    ["--event-ttl=x", 'invalid argument "x" for "--event-ttl" flag: time: invalid duration "x"'],
    [
      "--storage-backend=etcd2",
      "--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'",
    ],
    [
      "--storage-media-type=foo/bar",
      '--storage-media-type "foo/bar" invalid, allowed values: application/json, application/vnd.kubernetes.protobuf, application/yaml',
    ],
    ["--feature-gates=foo:Nope=true", "component not registered: foo"],
    ["--feature-gates=WatchList", "missing bool value for WatchList"],
    ["--emulated-version=1.20", "emulation version 1.20 is not between [1.32, 1.35.0]"],
    ["--emulated-version=foo", 'could not parse "foo" as version'],
    ["--min-compatibility-version=1.36", "minCompatibilityVersion version 1.36 is not between [1.32, 1.35]"],
    [
      "--show-hidden-metrics-for-version=1.2",
      "--show-hidden-metrics-for-version must be omitted or have the value '1.34'. Only the previous minor version is allowed",
    ],
    ["--vmodule=a", 'invalid argument "a" for "--vmodule" flag: "a" does not have the pattern=N format'],
    ["--watch-cache-sizes=pods", "invalid value of watch cache size: pods"],
    ["--watch-cache-sizes=pods#x", "invalid size of watch cache size: pods#x"],
    [
      "--etcd-servers-overrides=foo",
      "--etcd-servers-overrides invalid, must be of format: group/resource#servers, where servers are URLs, semicolon separated",
    ],
    ["--livez-grace-period=-1s", "--livez-grace-period can not be a negative value"],
    [
      "--shutdown-watch-termination-grace-period=-1s",
      "shutdown-watch-termination-grace-period, if provided, can not be a negative value",
    ],
    ["--peer-ca-file=/nope", "--peer-ca-file requires UnknownVersionInteroperabilityProxy feature to be turned on"],
    ["--log-json-split-stream", "options.json.splitStream: Forbidden: Feature LoggingAlphaOptions is disabled"],
    ["--apiserver-count=0", "--apiserver-count should be a positive number, but value '0' provided"],
    ["--endpoint-reconciler-type=foo", "Reconciler not implemented: foo"],
    [
      "--allow-metric-labels=a",
      'invalid argument "a" for "--allow-metric-labels" flag: a must be formatted as key=value',
    ],
    ["--logging-format=xml", 'format: Invalid value: "xml": Unsupported log format'],
    [
      "--tls-sni-cert-key=a",
      'invalid argument "a" for "--tls-sni-cert-key" flag: expected comma separated certificate and key file paths',
    ],
    ["--tls-cipher-suites=FOO", "Cipher suite FOO not supported or doesn't exist"],
    ["--watch-cache=false", "--watch-cache cannot be turned off"],
    ["--permit-port-sharing", "--permit-port-sharing is not supported"],
  ])("%s is refused", (flag, message) => {
    expect(() => parse(flag)).toThrow(new UsageError(message));
  });

  it("names every flag in its help", () => {
    const help = (): unknown => parseApiServerFlags(["--help"]);
    expect(help).toThrow(HelpError);
    for (const name of ["feature-gates", "request-timeout", "tls-sni-cert-key", "etcd-prefix", "permit-port-sharing"]) {
      expect(help).toThrow(`--${name}\n`);
    }
  });
});
