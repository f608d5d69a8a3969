import { equalJson, type Json } from "@coracle/apimachinery";
import type { CertificateSigningRequest } from "@coracle/api/certificates/v1";
import type { Authorizer } from "../authorization/authorizer.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { refusalOf } from "./refusal.ts";

const GROUP = "certificates.k8s.io";
const CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client";
const MASTERS = "system:masters";

/** Whether the user may `verb` for a signer: for this one, or for all of its domain. */
async function mayForSigner(
  authorizer: Authorizer,
  { context }: AdmissionAttributes,
  verb: string,
  signerName: string,
): Promise<boolean> {
  const domain = signerName.split("/")[0] ?? "";
  for (const name of [signerName, `${domain}/*`]) {
    const { verdict } = await authorizer.authorize({
      user: context.user,
      verb,
      isResource: true,
      group: GROUP,
      version: "*",
      resource: "signers",
      subresource: "",
      namespace: "",
      name,
      path: "",
    });
    if (verdict === "allow") return true;
  }
  return false;
}

const signerOf = (object: unknown): string =>
  (object as { readonly spec?: { readonly signerName?: string } } | undefined)?.spec?.signerName ?? "";

/** Requests for certificates are approved by those who may approve for their signer. */
export function certificateApproval(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: "CertificateApproval",
    scope: { operations: ["UPDATE"], resources: [`${GROUP}/certificatesigningrequests/approval`] },
    async validate(attributes) {
      const signer = signerOf(attributes.oldObject);
      if (await mayForSigner(authorizer, attributes, "approve", signer)) return;
      throw refusalOf(attributes, `user not permitted to approve requests with signerName ${JSON.stringify(signer)}`);
    },
  };
}

/** Certificates are issued, and requests failed, by those who may sign as their signer. */
export function certificateSigning(authorizer: Authorizer): AdmissionPlugin {
  const decided = (object: unknown): Json => {
    const { certificate = null, conditions = [] } = (object as CertificateSigningRequest | undefined)?.status ?? {};
    return { certificate, conditions } as unknown as Json;
  };
  return {
    name: "CertificateSigning",
    scope: { operations: ["UPDATE"], resources: [`${GROUP}/certificatesigningrequests/status`] },
    async validate(attributes) {
      const { object, oldObject } = attributes;
      if (equalJson(decided(oldObject), decided(object))) return;
      const signer = signerOf(oldObject);
      if (await mayForSigner(authorizer, attributes, "sign", signer)) return;
      throw refusalOf(attributes, `user not permitted to sign requests with signerName ${JSON.stringify(signer)}`);
    },
  };
}

/** Nobody becomes a cluster's master by a certificate that he asked for. */
export const certificateSubjectRestriction: AdmissionPlugin = {
  name: "CertificateSubjectRestriction",
  scope: { operations: ["CREATE"], resources: [`${GROUP}/certificatesigningrequests`] },
  async validate(attributes) {
    const { spec } = attributes.object as unknown as CertificateSigningRequest;
    if (spec?.signerName !== CLIENT_SIGNER) return;
    const organizations = await organizationsOf(attributes, spec.request as unknown as string);
    if (!organizations.includes(MASTERS)) return;
    throw refusalOf(attributes, `use of ${CLIENT_SIGNER} signer with ${MASTERS} group is not allowed`);
  },
};

async function organizationsOf(attributes: AdmissionAttributes, request: string): Promise<readonly string[]> {
  const { parseSigningRequest } = await import("@coracle/pki");
  try {
    return parseSigningRequest(Buffer.from(request, "base64").toString("utf8")).organizations;
  } catch (error) {
    throw refusalOf(attributes, `failed to parse CSR: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Trust bundles of a signer are written by those who may attest for it. */
export function clusterTrustBundleAttest(authorizer: Authorizer): AdmissionPlugin {
  const lasting = (object: unknown): Json => {
    const { metadata, ...rest } = (object ?? {}) as { readonly metadata?: Record<string, unknown> };
    const { ownerReferences: _o, finalizers: _f, managedFields: _m, resourceVersion: _r, ...kept } = metadata ?? {};
    return { ...rest, metadata: kept } as unknown as Json;
  };
  return {
    name: "ClusterTrustBundleAttest",
    scope: { operations: ["CREATE", "UPDATE"], resources: [`${GROUP}/clustertrustbundles`] },
    async validate(attributes) {
      const { object, oldObject, operation } = attributes;
      const signer = signerOf(object);
      if (signer === "") return;
      // The garbage collector may do its work.
      if (operation === "UPDATE" && equalJson(lasting(oldObject), lasting(object))) return;
      if (await mayForSigner(authorizer, attributes, "attest", signer)) return;
      throw refusalOf(attributes, `user not permitted to attest for signerName ${JSON.stringify(signer)}`);
    },
  };
}
