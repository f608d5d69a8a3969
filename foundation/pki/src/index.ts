/**
 * Certificates, keys and kubeconfigs of a cluster. X.509 is written by hand (der.ts): a certificate library costs
 * 85 ms at start-up, which the whole API server does not need.
 */
export {
  createAuthority,
  loadAuthority,
  type CertificateAuthority,
  type CertificateRequest,
  type CertificateUsage,
  type CertifiedKey,
  type Subject,
} from "./certificate.ts";
export { parseSigningRequest, type SigningRequest } from "./certificate-request.ts";
export { openClusterPki, type ClusterClient, type ClusterPki, type ClusterPkiOptions } from "./cluster-pki.ts";
export { renderKubeconfig, type KubeconfigRequest } from "./kubeconfig.ts";
