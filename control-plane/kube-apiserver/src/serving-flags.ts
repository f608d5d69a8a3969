import { readFeatureGates } from "@coracle/apimachinery";
import { UsageError } from "@coracle/base";
import type { FlagTaker } from "./access-flags.ts";
import { isKnownFeature, readFeatures, type Features } from "./features.ts";
import { parseDurationMs } from "./files/config-document.ts";
import type { TlsVersion } from "./server/listener.ts";

/** A certificate for clients that ask for certain names. Files are named, not read. */
export interface SniCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  /** Empty: the names in the certificate. */
  readonly names: readonly string[];
}

/** Flags about how requests are taken, and how the server ends. */
export interface ServingFlags {
  readonly priorityAndFairness: boolean;
  readonly requestTimeoutMs: number;
  readonly shutdownDelayMs: number;
  readonly shutdownSendsRetryAfter: boolean;
  readonly goawayChance: number;
  /** 0: the server's own limit. */
  readonly maxStreamsPerConnection: number;
  readonly minTlsVersion: TlsVersion;
  /** Under OpenSSL's names; undefined: the usual ones. */
  readonly ciphers: readonly string[] | undefined;
  readonly sniCertificates: readonly SniCertificate[];
  readonly corsAllowedOrigins: readonly string[];
  readonly transportSecurity: readonly string[];
  readonly eventTtlSeconds: number;
  readonly allowsPrivileged: boolean;
  readonly externalHostname: string;
  readonly publishesEndpoints: boolean;
  /** 0: none. */
  readonly serviceNodePort: number;
  readonly http1Only: boolean;
  /** Feature gates that are wanted otherwise than they are, and make no difference here. */
  readonly otherGates: readonly string[];
  readonly features: Features;
}

const TLS_VERSIONS: Readonly<Record<string, TlsVersion>> = {
  "": "TLSv1.2",
  VersionTLS10: "TLSv1",
  VersionTLS11: "TLSv1.1",
  VersionTLS12: "TLSv1.2",
  VersionTLS13: "TLSv1.3",
};

/** Suites below TLS 1.3; those of 1.3 are always on. */
const CIPHERS: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: "ECDHE-ECDSA-AES128-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: "ECDHE-RSA-AES128-SHA256",
  TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256",
  TLS_RSA_WITH_AES_256_GCM_SHA384: "AES256-GCM-SHA384",
  TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA",
  TLS_RSA_WITH_AES_256_CBC_SHA: "AES256-SHA",
  TLS_RSA_WITH_AES_128_CBC_SHA256: "AES128-SHA256",
  TLS_AES_128_GCM_SHA256: "",
  TLS_AES_256_GCM_SHA384: "",
  TLS_CHACHA20_POLY1305_SHA256: "",
};

const ORIGINS_HELP =
  "List of allowed origins for CORS, comma separated. An allowed origin can be a regular expression to support subdomain matching. If this list is empty CORS will not be enabled. Please ensure each expression matches the entire hostname by anchoring to the start with '^' or including the '//' prefix, and by anchoring to the end with '$' or including the ':' port separator suffix. Examples of valid expressions are '//example\\.com(:|$)' and '^https://example\\.com(:|$)'";

const invalid = (name: string, text: string, why: string): UsageError =>
  new UsageError(`invalid argument ${JSON.stringify(text)} for "--${name}" flag: ${why}`);

function takeDuration(flags: FlagTaker, name: string, fallback: string): number {
  const text = flags.take(name, fallback);
  const ms = parseDurationMs(text);
  if (ms === undefined) throw invalid(name, text, `time: invalid duration ${JSON.stringify(text)}`);
  if (ms < 0) throw new UsageError(`--${name} can not be negative value`);
  return ms;
}

function takeChance(flags: FlagTaker): number {
  const text = flags.take("goaway-chance", "0");
  const chance = Number(text);
  if (text === "" || Number.isNaN(chance))
    throw invalid("goaway-chance", text, `strconv.ParseFloat: parsing ${JSON.stringify(text)}: invalid syntax`);
  if (chance < 0 || chance > 0.02) throw new UsageError("--goaway-chance can not be less than 0 or greater than 0.02");
  return chance;
}

function takeStreams(flags: FlagTaker): number {
  const text = flags.take("http2-max-streams-per-connection", "0");
  if (!/^-?\d+$/.test(text))
    throw invalid(
      "http2-max-streams-per-connection",
      text,
      `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  if (text.startsWith("-")) throw new UsageError("--http2-max-streams-per-connection can not be negative value");
  return Number(text);
}

function takeTlsVersion(flags: FlagTaker): TlsVersion {
  const text = flags.take("tls-min-version", "");
  const version = TLS_VERSIONS[text];
  if (version === undefined) throw new UsageError(`unknown tls version ${JSON.stringify(text)}`);
  return version;
}

function takeCiphers(flags: FlagTaker): string[] | undefined {
  const names = flags.takeList("tls-cipher-suites");
  if (names.length === 0) return undefined;
  const unknown = names.find((name) => !(name in CIPHERS));
  if (unknown !== undefined) throw new UsageError(`Cipher suite ${unknown} not supported or doesn't exist`);
  return names.map((name) => CIPHERS[name]!).filter((name) => name !== "");
}

function takeSniCertificates(flags: FlagTaker): SniCertificate[] {
  return flags.takeAll("tls-sni-cert-key").map((text) => {
    const [files = "", names = ""] = text.split(":").map((part) => part.trim());
    const [certFile, keyFile, ...rest] = files.split(",").map((part) => part.trim());
    if (certFile === undefined || keyFile === undefined || certFile === "" || keyFile === "" || rest.length > 0)
      throw invalid("tls-sni-cert-key", text, "expected comma separated certificate and key file paths");
    return { certFile, keyFile, names: names === "" ? [] : names.split(",").map((name) => name.trim()) };
  });
}

function takeOrigins(flags: FlagTaker): string[] {
  const origins = flags.takeList("cors-allowed-origins");
  for (const origin of origins) {
    const refuse = (why: string): UsageError =>
      new UsageError(`--cors-allowed-origins has an invalid regular expression: ${why}, help: ${ORIGINS_HELP}`);
    try {
      new RegExp(origin, "u");
    } catch (error) {
      throw refuse((error as Error).message);
    }
    const isPinned = /\^|\/\//.test(origin) && /[$:]/.test(origin);
    if (!isPinned) throw refuse("regular expression does not pin to start/end of host in the origin header");
  }
  return origins;
}

function takeTransportSecurity(flags: FlagTaker): string[] {
  const directives = flags.takeList("strict-transport-security-directives");
  if (directives.every((one) => /^(includeSubDomains|preload|max-age=[^=]*)$/.test(one))) return directives;
  throw new UsageError(
    "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, preload. see https://tools.ietf.org/html/rfc6797#section-6.1 for more information",
  );
}

/** How lines are written: JSON whichever of the two is asked for. */
function checkLogFormat(flags: FlagTaker): void {
  const format = flags.take("logging-format", "json");
  if (format !== "json" && format !== "text")
    throw new UsageError(`format: Invalid value: ${JSON.stringify(format)}: Unsupported log format`);
}

/** The port of every node at which the `kubernetes` service is to be had; 0: none. */
function takeServiceNodePort(flags: FlagTaker): number {
  const port = Number(flags.take("kubernetes-service-node-port", "0"));
  if (port < 0 || port > 65_535)
    throw new UsageError(
      `--kubernetes-service-node-port ${port} must be between 0 and 65535, inclusive. If 0, the Kubernetes master service will be of type ClusterIP`,
    );
  return port;
}

/** Takes the flags of serving. Throws a UsageError with upstream's text for what cannot be. */
export function takeServingFlags(flags: FlagTaker): ServingFlags {
  checkLogFormat(flags);
  // Addresses are always shared so.
  flags.takeBoolean("permit-address-sharing", false);
  if (flags.takeBoolean("permit-port-sharing", false)) throw new UsageError("--permit-port-sharing is not supported");
  const reconciler = flags.take("endpoint-reconciler-type", "lease");
  if (!["lease", "master-count", "none"].includes(reconciler))
    throw new UsageError(`Reconciler not implemented: ${reconciler}`);
  const featureGates = flags.takeList("feature-gates");
  return {
    priorityAndFairness: flags.takeBoolean("enable-priority-and-fairness", true),
    requestTimeoutMs: takeDuration(flags, "request-timeout", "1m"),
    shutdownDelayMs: takeDuration(flags, "shutdown-delay-duration", "0s"),
    shutdownSendsRetryAfter: flags.takeBoolean("shutdown-send-retry-after", false),
    goawayChance: takeChance(flags),
    maxStreamsPerConnection: takeStreams(flags),
    minTlsVersion: takeTlsVersion(flags),
    ciphers: takeCiphers(flags),
    sniCertificates: takeSniCertificates(flags),
    corsAllowedOrigins: takeOrigins(flags),
    transportSecurity: takeTransportSecurity(flags),
    eventTtlSeconds: Math.ceil(takeDuration(flags, "event-ttl", "1h") / 1000),
    allowsPrivileged: flags.takeBoolean("allow-privileged", false),
    externalHostname: flags.take("external-hostname", ""),
    publishesEndpoints: reconciler !== "none",
    serviceNodePort: takeServiceNodePort(flags),
    http1Only: flags.takeBoolean("disable-http2-serving", false),
    otherGates: [...readFeatureGates(featureGates).keys()].filter((gate) => !isKnownFeature(gate)),
    features: readFeatures(featureGates),
  };
}
