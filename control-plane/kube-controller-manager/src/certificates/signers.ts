import type { CertificateUsage, SigningRequest } from "@coracle/pki";

/** Signers that the cluster's authority stands for. */
export const SIGNERS = [
  "kubernetes.io/kubelet-serving",
  "kubernetes.io/kube-apiserver-client-kubelet",
  "kubernetes.io/kube-apiserver-client",
  "kubernetes.io/legacy-unknown",
] as const;
export type SignerName = (typeof SIGNERS)[number];

export const isSigner = (name: string): name is SignerName => (SIGNERS as readonly string[]).includes(name);

const CLIENT: readonly string[] = ["client auth", "digital signature", "key encipherment"];
const SERVER: readonly string[] = ["server auth", "digital signature", "key encipherment"];

/** Why the signer will not certify the request; undefined: it will. */
export function signerObjection(
  signer: SignerName,
  request: SigningRequest,
  usages: readonly string[],
): string | undefined {
  switch (signer) {
    case "kubernetes.io/kube-apiserver-client":
      return usages.includes("client auth") && !usages.includes("server auth")
        ? undefined
        : "usages did not match the expected usages";
    case "kubernetes.io/kube-apiserver-client-kubelet":
      return nodeObjection(request) ?? clientObjection(request) ?? usageObjection(usages, CLIENT);
    case "kubernetes.io/kubelet-serving":
      return nodeObjection(request) ?? servingObjection(request) ?? usageObjection(usages, SERVER);
    case "kubernetes.io/legacy-unknown":
      return undefined;
  }
}

function nodeObjection({ organizations, commonName }: SigningRequest): string | undefined {
  if (organizations.length !== 1 || organizations[0] !== "system:nodes")
    return "subject organization is not system:nodes";
  return commonName.startsWith("system:node:")
    ? undefined
    : "subject common name does not begin with system:node: prefix";
}

function clientObjection(request: SigningRequest): string | undefined {
  if (request.dnsNames.length > 0) return "DNS subjectAltNames are not allowed";
  if (request.emailAddresses.length > 0) return "Email subjectAltNames are not allowed";
  if (request.ipAddresses.length > 0) return "IP subjectAltNames are not allowed";
  return request.uris.length > 0 ? "URI subjectAltNames are not allowed" : undefined;
}

function servingObjection(request: SigningRequest): string | undefined {
  if (request.dnsNames.length + request.ipAddresses.length === 0) return "DNS or IP subjectAltName is required";
  if (request.emailAddresses.length > 0) return "Email subjectAltNames are not allowed";
  return request.uris.length > 0 ? "URI subjectAltNames are not allowed" : undefined;
}

/** Authentication and signature must be asked for; key encipherment may be. */
function usageObjection(usages: readonly string[], allowed: readonly string[]): string | undefined {
  const isComplete = allowed.slice(0, 2).every((usage) => usages.includes(usage));
  return isComplete && usages.every((usage) => allowed.includes(usage))
    ? undefined
    : "usages did not match the expected usages";
}

/** What the certificate will be good for. */
export function certificateUsages(usages: readonly string[]): readonly CertificateUsage[] {
  return [
    ...(usages.includes("client auth") ? (["client"] as const) : []),
    ...(usages.includes("server auth") ? (["server"] as const) : []),
  ];
}
