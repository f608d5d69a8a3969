import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { dirname, join } from "node:path";
import {
  createAuthority,
  loadAuthority,
  type CertificateAuthority,
  type CertificateRequest,
  type CertifiedKey,
} from "./certificate.ts";

const DAY_MS = 86_400_000;
const CA_DAYS = 3650;
const LEAF_DAYS = 365;
/** Leaves with less than this left are made anew at the next start. */
const RENEW_BEFORE_DAYS = 60;

/** Identities of the control plane's and the nodes' programs: file name → subject, as upstream's RBAC expects them. */
const CLIENTS = {
  admin: { commonName: "kubernetes-admin", organizations: ["system:masters"] },
  "kube-scheduler": { commonName: "system:kube-scheduler" },
  "kube-controller-manager": { commonName: "system:kube-controller-manager" },
  "cloud-controller-manager": { commonName: "system:cloud-controller-manager" },
  "kube-proxy": { commonName: "system:kube-proxy" },
  "apiserver-kubelet-client": { commonName: "kube-apiserver-kubelet-client", organizations: ["system:masters"] },
} as const;

export type ClusterClient = keyof typeof CLIENTS;

export interface ClusterPkiOptions {
  /** Where files are kept; made when absent. */
  readonly dir: string;
  /** Names and addresses the API server answers for, beside the fixed ones. */
  readonly apiServerNames: readonly string[];
  /** Epoch milliseconds. */
  readonly now: number;
}

/** All keys of one cluster, in files named as kubeadm names them. Made once; what nears its end is renewed at load. */
export interface ClusterPki {
  readonly dir: string;
  readonly ca: CertificateAuthority;
  readonly frontProxyCa: CertificateAuthority;
  /** PEM of the key that signs service-account tokens, and of its public half. */
  readonly serviceAccountKey: string;
  readonly serviceAccountPublicKey: string;
  readonly apiServer: CertifiedKey;
  readonly frontProxyClient: CertifiedKey;
  client(name: ClusterClient): CertifiedKey;
  /** The client and serving certificates of one node's kubelet. */
  node(name: string, addresses: readonly string[]): { readonly client: CertifiedKey; readonly serving: CertifiedKey };
  /** A client certificate for any identity, not kept in a file. */
  issueClient(subject: { readonly commonName: string; readonly organizations?: readonly string[] }): CertifiedKey;
  path(file: string): string;
}

/** Creates the cluster's keys, or loads them. Throws when files are there but unreadable as keys. */
export function openClusterPki(options: ClusterPkiOptions): ClusterPki {
  const { dir, now } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = (file: string): string => join(dir, file);
  const validity = (days: number): { notBefore: number; notAfter: number } => ({
    // Clocks of other machines may be a little behind.
    notBefore: now - 300_000,
    notAfter: now + days * DAY_MS,
  });

  const openAuthority = (name: string, commonName: string): CertificateAuthority => {
    if (existsSync(path(`${name}.key`)) && existsSync(path(`${name}.crt`))) {
      const pair = { cert: readFileSync(path(`${name}.crt`), "utf8"), key: readFileSync(path(`${name}.key`), "utf8") };
      return loadAuthority(pair, createPrivateKey(pair.key));
    }
    const made = createAuthority({ subject: { commonName }, ...validity(CA_DAYS) });
    writePair(path(name), made);
    return made;
  };

  const leaf = (
    name: string,
    issuer: CertificateAuthority,
    request: Omit<CertificateRequest, "notBefore" | "notAfter">,
  ): CertifiedKey => {
    const kept = readPair(path(name));
    if (kept !== undefined && isFit(kept, issuer, request.names ?? [], now)) return kept;
    const made = issuer.issue({ ...request, ...validity(LEAF_DAYS) });
    writePair(path(name), made);
    return made;
  };

  const ca = openAuthority("ca", "kubernetes");
  const frontProxyCa = openAuthority("front-proxy-ca", "front-proxy-ca");
  const serviceAccountKey = openServiceAccountKey(path("sa.key"), path("sa.pub"));
  const names = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
    "127.0.0.1",
    "::1",
    ...options.apiServerNames,
  ];
  return {
    dir,
    ca,
    frontProxyCa,
    serviceAccountKey,
    serviceAccountPublicKey: readFileSync(path("sa.pub"), "utf8"),
    apiServer: leaf("apiserver", ca, {
      subject: { commonName: "kube-apiserver" },
      usages: ["server"],
      names: [...new Set(names)],
    }),
    frontProxyClient: leaf("front-proxy-client", frontProxyCa, {
      subject: { commonName: "front-proxy-client" },
      usages: ["client"],
    }),
    client: (name) => leaf(name, ca, { subject: CLIENTS[name], usages: ["client"] }),
    node: (name, addresses) => ({
      client: leaf(`node-${name}-client`, ca, {
        subject: { commonName: `system:node:${name}`, organizations: ["system:nodes"] },
        usages: ["client"],
      }),
      serving: leaf(`node-${name}-serving`, ca, {
        subject: { commonName: `system:node:${name}`, organizations: ["system:nodes"] },
        usages: ["server"],
        names: [...new Set([name, ...addresses])],
      }),
    }),
    issueClient: (subject) => ca.issue({ subject, usages: ["client"], ...validity(LEAF_DAYS) }),
    path,
  };
}

function openServiceAccountKey(keyFile: string, publicFile: string): string {
  if (existsSync(keyFile) && existsSync(publicFile)) return readFileSync(keyFile, "utf8");
  const { privateKey, publicKey } = existsSync(keyFile)
    ? { privateKey: createPrivateKey(readFileSync(keyFile)), publicKey: createPublicKey(readFileSync(keyFile)) }
    : generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  writeWhole(keyFile, key, 0o600);
  writeWhole(publicFile, publicKey.export({ type: "spki", format: "pem" }).toString(), 0o644);
  return key;
}

/** Still valid for a while, signed by this authority, and good for all names. */
function isFit(pair: CertifiedKey, issuer: CertifiedKey, names: readonly string[], now: number): boolean {
  const cert = new X509Certificate(pair.cert);
  if (Date.parse(cert.validTo) - now < RENEW_BEFORE_DAYS * DAY_MS) return false;
  if (!cert.checkIssued(new X509Certificate(issuer.cert))) return false;
  return names.every((name) => (isIP(name) === 0 ? cert.checkHost(name) : cert.checkIP(name)) !== undefined);
}

function readPair(base: string): CertifiedKey | undefined {
  if (!existsSync(`${base}.crt`) || !existsSync(`${base}.key`)) return undefined;
  return { cert: readFileSync(`${base}.crt`, "utf8"), key: readFileSync(`${base}.key`, "utf8") };
}

/** The key goes first: a certificate without its key would never be replaced. */
function writePair(base: string, pair: CertifiedKey): void {
  writeWhole(`${base}.key`, pair.key, 0o600);
  writeWhole(`${base}.crt`, pair.cert, 0o644);
}

/** All of the file or nothing of it. */
function writeWhole(file: string, content: string, mode: number): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, content, { mode });
  renameSync(`${file}.new`, file);
}
