import { parseRuntimeConfig } from "./registry/runtime-config.ts";
import { FLAG_KINDS } from "./command-line/flag-kinds.ts";
import { readBoolean, readFlagValues, type FlagValues } from "./command-line/flag-values.ts";
import { takeAdmissionPlugins } from "./command-line/admission-flags.ts";
import { takeOtherFlags } from "./command-line/other-flags.ts";
import { versionInfo } from "./discovery/version.ts";
import { takeStoreFlags, type StoreFlags } from "./command-line/store-flags.ts";
import { parseDurationMs } from "./files/config-document.ts";
import { asksForHelp, HelpError, UsageError } from "@coracle/base";
import { networkInterfaces } from "node:os";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { findServingCertificate } from "./serving-certificate.ts";
import { createProxyClientFiles } from "./aggregation/proxy-client-files.ts";
import {
  checkOverlap,
  issuerProblem,
  requestHeaderProblem,
  takeAccessFlags,
  type AccessFlags,
  type FlagTaker,
} from "./access-flags.ts";
import { takeOperationFlags, type OperationFlags } from "./operation-flags.ts";
import { takeServingFlags, type ServingFlags } from "./serving-flags.ts";
import type { ApiServerConfig } from "./server/api-server.ts";

/** The server's command line, under upstream's names. Files are named, not read. */
export interface ApiServerFlags {
  readonly bindAddress: string;
  readonly securePort: number;
  readonly advertiseAddress: string;
  readonly etcd: StoreFlags;
  /** Where the server finds its own certificate, or puts one that it made, when none is named. */
  readonly certDir: string;
  /** Where the embedded store keeps its files; ours, not upstream's. */
  readonly dataDir: string;
  readonly serviceClusterIpRange: string;
  readonly serviceNodePortRange: string;
  readonly serviceAccountIssuers: readonly string[];
  readonly serviceAccountKeyFiles: readonly string[];
  readonly serviceAccountSigningKeyFile: string;
  readonly serviceAccountExtendTokenExpiration: boolean;
  readonly serviceAccountMaxTokenSeconds: number | undefined;
  readonly apiAudiences: readonly string[];
  readonly clientCaFile: string;
  readonly tlsCertFile: string;
  readonly tlsPrivateKeyFile: string;
  /** Who may come in, and what he may do. */
  readonly access: AccessFlags;
  /** Audit, encryption at rest, traces. */
  readonly operation: OperationFlags;
  readonly tokenAuthFile: string;
  readonly requestheaderClientCaFile: string;
  readonly requestheaderAllowedNames: readonly string[];
  readonly requestheaderUsernameHeaders: readonly string[];
  readonly requestheaderGroupHeaders: readonly string[];
  readonly requestheaderUidHeaders: readonly string[];
  readonly requestheaderExtraHeadersPrefix: readonly string[];
  readonly kubeletClientCertificate: string;
  readonly kubeletClientKey: string;
  readonly kubeletCertificateAuthority: string;
  readonly kubeletPreferredAddressTypes: readonly string[];
  readonly proxyClientCertFile: string;
  readonly proxyClientKeyFile: string;
  readonly enableAggregatorRouting: boolean;
  readonly aggregatorRejectForwardingRedirect: boolean;
  readonly enableAdmissionPlugins: readonly string[];
  readonly disableAdmissionPlugins: readonly string[];
  readonly admissionControlConfigFile: string;
  readonly defaultNotReadyTolerationSeconds: number;
  readonly defaultUnreachableTolerationSeconds: number;
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
  readonly minRequestTimeout: number;
  readonly runtimeConfig: readonly string[];
  readonly serving: ServingFlags;
  readonly verbosity: number;
  /** Profiles at /debug/pprof. */
  readonly profiling: boolean;
  readonly disabledMetrics: readonly string[];
  /** Given, known upstream, and without effect here: to be told to whoever gave them. */
  readonly withoutEffect: readonly string[];
}

/** Reads a command line. Throws a UsageError (exit code 2, one line) for what it does not know. */
export function parseApiServerFlags(argv: readonly string[]): ApiServerFlags {
  if (asksForHelp(argv)) throw new HelpError(FLAG_KINDS.keys());
  const values = readFlagValues(argv);
  answerVersion(values.get("version")?.at(-1) ?? "false");
  values.delete("version");
  return interpret(values);
}

/** The command line asks which version this is; the message is the answer. */
class VersionAnswer extends HelpError {
  constructor(answer: string) {
    super([]);
    this.message = `${answer}\n`;
  }
}

function answerVersion(asked: string): void {
  if (readBoolean(asked) === false) return;
  const info = versionInfo();
  const version = info["gitVersion"] as string;
  if (readBoolean(asked) === true) throw new VersionAnswer(`Kubernetes ${version}`);
  if (asked === "raw") throw new VersionAnswer(JSON.stringify(info));
  throw new UsageError(`--version=${asked} is not supported: the version told is ${version}`);
}

const NEVER_NEGATIVE = new Set(["max-requests-inflight", "max-mutating-requests-inflight", "min-request-timeout"]);

function interpret(values: FlagValues): ApiServerFlags {
  const take = (name: string, fallback: string): string => {
    const list = values.get(name);
    values.delete(name);
    return list?.at(-1) ?? fallback;
  };
  const takeList = (name: string, fallback: readonly string[] = []): string[] => {
    const list = values.get(name);
    values.delete(name);
    return list === undefined ? [...fallback] : list.flatMap((text) => text.split(",")).filter((text) => text !== "");
  };
  const takeNumber = (name: string, fallback: number): number => {
    const number = Number(take(name, String(fallback)));
    if (number < 0 && NEVER_NEGATIVE.has(name)) throw new UsageError(`--${name} can not be negative value`);
    return number;
  };
  const takeBoolean = (name: string, fallback: boolean): boolean => take(name, String(fallback)) === "true";
  const taker: FlagTaker = {
    has: (name) => values.has(name),
    take,
    takeList,
    takeBoolean,
    takeAll: (name) => {
      const list = values.get(name) ?? [];
      values.delete(name);
      return list;
    },
  };
  const maxToken = take("service-account-max-token-expiration", "");
  const serving = takeServingFlags(taker);
  const other = takeOtherFlags(taker);
  const admission = takeAdmissionPlugins(taker);
  const bindAddress = take("bind-address", "0.0.0.0");
  const flags: ApiServerFlags = {
    bindAddress,
    securePort: takeNumber("secure-port", 6443),
    advertiseAddress: take("advertise-address", ""),
    etcd: takeStoreFlags(taker),
    certDir: take("cert-dir", "/var/run/kubernetes"),
    dataDir: take("data-dir", ""),
    serviceClusterIpRange: take("service-cluster-ip-range", "10.0.0.0/24"),
    serviceNodePortRange: take("service-node-port-range", "30000-32767"),
    serviceAccountIssuers: takeList("service-account-issuer"),
    serviceAccountKeyFiles: takeList("service-account-key-file"),
    serviceAccountSigningKeyFile: take("service-account-signing-key-file", ""),
    serviceAccountExtendTokenExpiration: takeBoolean("service-account-extend-token-expiration", true),
    serviceAccountMaxTokenSeconds: maxToken === "" ? undefined : parseDurationMs(maxToken)! / 1000,
    apiAudiences: takeList("api-audiences"),
    clientCaFile: take("client-ca-file", ""),
    tlsCertFile: take("tls-cert-file", ""),
    tlsPrivateKeyFile: take("tls-private-key-file", ""),
    access: takeAccessFlags(taker),
    operation: takeOperationFlags(taker),
    serving,
    tokenAuthFile: take("token-auth-file", ""),
    requestheaderClientCaFile: take("requestheader-client-ca-file", ""),
    requestheaderAllowedNames: takeList("requestheader-allowed-names"),
    requestheaderUsernameHeaders: takeList("requestheader-username-headers", ["X-Remote-User"]),
    requestheaderGroupHeaders: takeList("requestheader-group-headers", ["X-Remote-Group"]),
    requestheaderUidHeaders: takeList("requestheader-uid-headers"),
    requestheaderExtraHeadersPrefix: takeList("requestheader-extra-headers-prefix", ["X-Remote-Extra-"]),
    kubeletClientCertificate: take("kubelet-client-certificate", ""),
    kubeletClientKey: take("kubelet-client-key", ""),
    kubeletCertificateAuthority: take("kubelet-certificate-authority", ""),
    kubeletPreferredAddressTypes: takeList("kubelet-preferred-address-types", [
      "Hostname",
      "InternalDNS",
      "InternalIP",
      "ExternalDNS",
      "ExternalIP",
    ]),
    proxyClientCertFile: take("proxy-client-cert-file", ""),
    proxyClientKeyFile: take("proxy-client-key-file", ""),
    enableAggregatorRouting: takeBoolean("enable-aggregator-routing", false),
    aggregatorRejectForwardingRedirect: takeBoolean("aggregator-reject-forwarding-redirect", true),
    enableAdmissionPlugins: admission.enable,
    disableAdmissionPlugins: admission.disable,
    profiling: other.profiling,
    disabledMetrics: other.disabledMetrics,
    admissionControlConfigFile: take("admission-control-config-file", ""),
    defaultNotReadyTolerationSeconds: takeNumber("default-not-ready-toleration-seconds", 300),
    defaultUnreachableTolerationSeconds: takeNumber("default-unreachable-toleration-seconds", 300),
    maxRequestsInflight: takeNumber("max-requests-inflight", 400),
    maxMutatingRequestsInflight: takeNumber("max-mutating-requests-inflight", 200),
    minRequestTimeout: takeNumber("min-request-timeout", 1800),
    runtimeConfig: takeList("runtime-config"),
    verbosity: takeNumber("v", 0),
    withoutEffect: [...other.withoutEffect, ...serving.otherGates.map((gate) => `feature-gates=${gate}`)],
  };
  if (flags.maxRequestsInflight + flags.maxMutatingRequestsInflight <= 0 && serving.priorityAndFairness)
    throw new UsageError(
      `invalid configuration: MaxRequestsInFlight=${flags.maxRequestsInflight} and MaxMutatingRequestsInFlight=${flags.maxMutatingRequestsInflight}; they must add up to something positive`,
    );
  const [left] = values.keys();
  if (left !== undefined) throw new Error(`nobody takes --${left}`);
  try {
    parseRuntimeConfig(flags.runtimeConfig);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if ((flags.proxyClientCertFile === "") !== (flags.proxyClientKeyFile === ""))
    throw new UsageError("proxy-client-cert-file and proxy-client-key-file must be given together");
  const problem =
    issuerProblem(flags.serviceAccountIssuers) ??
    requestHeaderProblem({
      usernameHeaders: flags.requestheaderUsernameHeaders,
      groupHeaders: flags.requestheaderGroupHeaders,
      extraHeaderPrefixes: flags.requestheaderExtraHeadersPrefix,
      allowedNames: flags.requestheaderAllowedNames,
      uidHeaders: flags.requestheaderUidHeaders,
    });
  if (problem !== undefined) throw new UsageError(problem);
  if (flags.serviceAccountSigningKeyFile === "")
    throw new UsageError("service-account-signing-key-file is a required flag");
  if ((flags.tlsCertFile === "") !== (flags.tlsPrivateKeyFile === "")) {
    throw new UsageError("tls-cert-file and tls-private-key-file must be given together");
  }
  return flags;
}

function hostAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) if (family === "IPv4" && !internal) return address;
  }
  return "127.0.0.1";
}

const WILDCARDS = new Set(["0.0.0.0", "::", ""]);

/** The names that a certificate (PEM) is for. */
function namesIn(cert: string): string[] {
  const { subjectAltName = "" } = new X509Certificate(cert);
  return [...subjectAltName.matchAll(/(?:DNS|IP Address):([^,\s]+)/g)].map(([, name = ""]) => name);
}

/** Reads the files that flags name. Throws with the file's name when one cannot be read. */
export function readApiServerConfig(
  flags: ApiServerFlags,
  now: number,
): {
  readonly config: ApiServerConfig;
  readonly listen: { readonly host: string; readonly port: number; readonly cert: string; readonly key: string };
} {
  const read = (path: string): string => readFileSync(path, "utf8");
  const optional = (path: string): string | undefined => (path === "" ? undefined : read(path));
  const advertised =
    flags.advertiseAddress !== ""
      ? flags.advertiseAddress
      : WILDCARDS.has(flags.bindAddress)
        ? hostAddress()
        : flags.bindAddress;
  const requestHeaderCa = optional(flags.requestheaderClientCaFile);
  const clientCa = optional(flags.clientCaFile);
  checkOverlap(clientCa, requestHeaderCa, flags.requestheaderAllowedNames);
  const { access } = flags;
  const config: ApiServerConfig = {
    serviceClusterIpRanges: flags.serviceClusterIpRange.split(","),
    serviceNodePortRange: flags.serviceNodePortRange,
    advertiseAddress: advertised,
    authorizationModes: access.authorizationModes,
    authorization: access.authorization,
    // Where everybody may do everything, nobody may be nobody.
    anonymousAuth: access.anonymousAuth && !access.authorizationModes.includes("AlwaysAllow"),
    authentication: {
      ...access.authentication,
      clientCaFile: flags.clientCaFile === "" ? undefined : flags.clientCaFile,
      requestHeaderCaFile: flags.requestheaderClientCaFile === "" ? undefined : flags.requestheaderClientCaFile,
      openId: access.authentication.openId && {
        ...access.authentication.openId,
        ca: optional(access.authentication.openId.ca ?? ""),
      },
    },
    clientCa,
    requestHeader:
      requestHeaderCa === undefined
        ? undefined
        : {
            ca: requestHeaderCa,
            allowedNames: flags.requestheaderAllowedNames,
            usernameHeaders: flags.requestheaderUsernameHeaders,
            groupHeaders: flags.requestheaderGroupHeaders,
            uidHeaders: flags.requestheaderUidHeaders,
            extraHeaderPrefixes: flags.requestheaderExtraHeadersPrefix,
          },
    tokens: optional(flags.tokenAuthFile),
    serviceAccounts: {
      issuers: flags.serviceAccountIssuers,
      signingKey: read(flags.serviceAccountSigningKeyFile),
      verificationKeys: flags.serviceAccountKeyFiles.length === 0 ? undefined : flags.serviceAccountKeyFiles.map(read),
      apiAudiences: flags.apiAudiences.length === 0 ? undefined : flags.apiAudiences,
      extendTokenExpiration: flags.serviceAccountExtendTokenExpiration,
      maxTokenSeconds: flags.serviceAccountMaxTokenSeconds,
      jwksUri: access.jwksUri,
      lookup: access.looksUpTokens,
    },
    kubeletClient:
      flags.kubeletClientCertificate === ""
        ? undefined
        : {
            cert: read(flags.kubeletClientCertificate),
            key: read(flags.kubeletClientKey),
            ca: optional(flags.kubeletCertificateAuthority),
          },
    kubeletPreferredAddressTypes: flags.kubeletPreferredAddressTypes,
    aggregation: {
      proxyClient:
        flags.proxyClientCertFile === ""
          ? undefined
          : createProxyClientFiles(flags.proxyClientCertFile, flags.proxyClientKeyFile),
      routesToEndpoints: flags.enableAggregatorRouting,
      forwardsRedirects: !flags.aggregatorRejectForwardingRedirect,
    },
    maxRequestsInflight: flags.maxRequestsInflight,
    maxMutatingRequestsInflight: flags.maxMutatingRequestsInflight,
    minRequestTimeoutSeconds: flags.minRequestTimeout,
    ...flags.operation,
    keyPrefix: flags.etcd.prefix === "/registry" ? undefined : flags.etcd.prefix,
    storeTimeouts: { healthMs: flags.etcd.healthTimeoutMs, readyMs: flags.etcd.readyTimeoutMs },
    leaseReuseSeconds: flags.etcd.leaseReuseSeconds,
    profiling: flags.profiling,
    disabledMetrics: flags.disabledMetrics,
    isServed: flags.runtimeConfig.length === 0 ? undefined : parseRuntimeConfig(flags.runtimeConfig),
    admission: {
      enable: flags.enableAdmissionPlugins,
      disable: flags.disableAdmissionPlugins,
      configurationFile: flags.admissionControlConfigFile === "" ? undefined : flags.admissionControlConfigFile,
      configurations: {
        DefaultTolerationSeconds: {
          notReadySeconds: flags.defaultNotReadyTolerationSeconds,
          unreachableSeconds: flags.defaultUnreachableTolerationSeconds,
        },
      },
    },
  };
  const { sniCertificates, externalHostname, otherGates: _gates, features, ...serving } = flags.serving;
  const namedCertificates = sniCertificates.map(({ certFile, keyFile, names }) => {
    const cert = read(certFile);
    return { cert, key: read(keyFile), names: names.length === 0 ? namesIn(cert) : names };
  });
  const main = flags.tlsCertFile === "" ? undefined : { certFile: flags.tlsCertFile, keyFile: flags.tlsPrivateKeyFile };
  return {
    config: {
      ...config,
      certificateFiles: {
        main,
        named: sniCertificates.map((pair, i) => ({ ...pair, names: namedCertificates[i]!.names })),
      },
      features,
      serving: {
        ...serving,
        namedCertificates,
        externalHostname: externalHostname === "" ? undefined : externalHostname,
        serviceNodePort: serving.serviceNodePort === 0 ? undefined : serving.serviceNodePort,
        maxStreamsPerConnection: serving.maxStreamsPerConnection === 0 ? undefined : serving.maxStreamsPerConnection,
      },
    },
    listen: {
      host: flags.bindAddress,
      port: flags.securePort,
      ...findServingCertificate(flags, [advertised], now),
    },
  };
}
