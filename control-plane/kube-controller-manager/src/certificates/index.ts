import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { CertificateSigningRequest } from "@coracle/api/certificates/v1";
import { SubjectAccessReview } from "@coracle/api/authorization/v1";
import { isNotFound } from "@coracle/apimachinery";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { loadAuthority, parseSigningRequest, type SigningRequest } from "@coracle/pki";
import type { ControllerManagerFlags } from "../flags.ts";
import { instantOf, timestamp } from "../time/timestamp.ts";
import { certificateUsages, isSigner, signerObjection, SIGNERS, type SignerName } from "./signers.ts";

type Condition = NonNullable<NonNullable<CertificateSigningRequest["status"]>["conditions"]>[number];

/** A little into the past, for those whose clock is behind. */
const BACKDATE_MS = 5 * 60_000;
const KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet";

const hasCondition = (csr: CertificateSigningRequest, type: string): boolean =>
  csr.status?.conditions?.some((each) => each.type === type && each.status !== "False") === true;
const isIssued = (csr: CertificateSigningRequest): boolean => (csr.status?.certificate ?? "") !== "";
const parse = (csr: CertificateSigningRequest): SigningRequest =>
  parseSigningRequest(Buffer.from(csr.spec.request, "base64").toString("latin1"));

function withCondition(
  csr: CertificateSigningRequest,
  type: string,
  reason: string,
  message: string,
  now: number,
): CertificateSigningRequest {
  const at = timestamp(now);
  const condition: Condition = { type, status: "True", reason, message, lastUpdateTime: at, lastTransitionTime: at };
  return { ...csr, status: { ...csr.status, conditions: [...(csr.status?.conditions ?? []), condition] } };
}

/** Approves requests of kubelets for their client certificate, where they have the right to ask for one. */
export function createCertificateApprover(deps: ControllerDeps): Controller {
  const { client, informers, clock } = deps;
  const requests = informers.informer(CertificateSigningRequest).lister;

  async function mayAsk(csr: CertificateSigningRequest, subresource: string, signal: AbortSignal): Promise<boolean> {
    const { username, uid, groups, extra } = csr.spec;
    const resourceAttributes = {
      group: "certificates.k8s.io",
      resource: "certificatesigningrequests",
      verb: "create",
      subresource,
      version: "*",
    };
    const review = await client.create(
      SubjectAccessReview,
      { metadata: {}, spec: { user: username, uid, groups, extra, resourceAttributes } },
      { signal },
    );
    return review.status?.allowed === true;
  }

  return defineController<CertificateSigningRequest>(deps, {
    name: "certificate-approving",
    for: CertificateSigningRequest,
    workers: 1,
    async reconcile(key, { signal }) {
      const csr = requests.byKey(key);
      if (csr === undefined || isIssued(csr) || csr.spec.signerName !== KUBELET_CLIENT) return done;
      if (hasCondition(csr, "Approved") || hasCondition(csr, "Denied")) return done;
      let request: SigningRequest;
      try {
        request = parse(csr);
      } catch {
        return done; // not for us to say; the signer will
      }
      if (signerObjection(KUBELET_CLIENT, request, csr.spec.usages ?? []) !== undefined) return done;
      const isOwn = csr.spec.username === request.commonName;
      const message =
        isOwn && (await mayAsk(csr, "selfnodeclient", signal))
          ? "Auto approving self kubelet client certificate after SubjectAccessReview."
          : (await mayAsk(csr, "nodeclient", signal))
            ? "Auto approving kubelet client certificate after SubjectAccessReview."
            : undefined;
      if (message !== undefined)
        await client.update(
          CertificateSigningRequest,
          withCondition(csr, "Approved", "AutoApproved", message, clock.now()),
          { subresource: "approval", signal },
        );
      return done;
    },
  });
}

/** The files of the authority that stands for each signer; those without one are left out. */
export function authorityFiles(
  flags: ControllerManagerFlags,
): ReadonlyMap<SignerName, readonly [cert: string, key: string]> {
  const own: Readonly<Record<SignerName, readonly [string | undefined, string | undefined]>> = {
    "kubernetes.io/kubelet-serving": [flags.kubeletServingCertFile, flags.kubeletServingKeyFile],
    "kubernetes.io/kube-apiserver-client-kubelet": [flags.kubeletClientCertFile, flags.kubeletClientKeyFile],
    "kubernetes.io/kube-apiserver-client": [flags.kubeApiserverClientCertFile, flags.kubeApiserverClientKeyFile],
    "kubernetes.io/legacy-unknown": [flags.legacyUnknownCertFile, flags.legacyUnknownKeyFile],
  };
  const files = new Map<SignerName, readonly [string, string]>();
  for (const signer of SIGNERS) {
    const [cert = flags.clusterSigningCertFile, key = flags.clusterSigningKeyFile] = own[signer];
    if (cert !== undefined && key !== undefined) files.set(signer, [cert, key]);
  }
  return files;
}

/** Certifies approved requests by the authority of their signer; undefined without any. */
export function createCertificateSigner(deps: ControllerDeps, flags: ControllerManagerFlags): Controller | undefined {
  const { clusterSigningDurationMs } = flags;
  const authorities = authorityFiles(flags);
  if (authorities.size === 0) return undefined;
  const { client, informers, clock } = deps;
  const requests = informers.informer(CertificateSigningRequest).lister;

  function certify(
    csr: CertificateSigningRequest,
    request: SigningRequest,
    [certFile, keyFile]: readonly [cert: string, key: string],
  ): string {
    // Read anew each time: the authority may have been renewed, and requests are rare.
    const key = readFileSync(keyFile, "utf8");
    const authority = loadAuthority({ cert: readFileSync(certFile, "utf8"), key }, createPrivateKey(key));
    const now = clock.now();
    const { expirationSeconds } = csr.spec;
    const asked = expirationSeconds === undefined ? Infinity : expirationSeconds * 1000;
    const { commonName, organizations, dnsNames, ipAddresses, publicKey } = request;
    return authority.sign(
      {
        subject: { commonName, organizations },
        usages: certificateUsages(csr.spec.usages ?? []),
        names: [...dnsNames, ...ipAddresses],
        notBefore: now - BACKDATE_MS,
        notAfter: now + Math.min(asked, clusterSigningDurationMs),
      },
      publicKey,
    );
  }

  return defineController<CertificateSigningRequest>(deps, {
    name: "certificate-signing",
    for: CertificateSigningRequest,
    workers: 1,
    async reconcile(key, { signal }) {
      const csr = requests.byKey(key);
      if (csr === undefined || isIssued(csr) || !isSigner(csr.spec.signerName)) return done;
      const files = authorities.get(csr.spec.signerName);
      if (files === undefined) return done;
      if (!hasCondition(csr, "Approved") || hasCondition(csr, "Denied") || hasCondition(csr, "Failed")) return done;
      let objection: string | undefined;
      let request: SigningRequest | undefined;
      try {
        request = parse(csr);
        objection = signerObjection(csr.spec.signerName, request, csr.spec.usages ?? []);
      } catch (error) {
        objection = `unable to parse csr ${JSON.stringify(csr.metadata.name)}: ${(error as Error).message}`;
      }
      const signed =
        request === undefined || objection !== undefined
          ? withCondition(csr, "Failed", "SignerValidationFailure", objection ?? "", clock.now())
          : {
              ...csr,
              status: { ...csr.status, certificate: Buffer.from(certify(csr, request, files)).toString("base64") },
            };
      await client.update(CertificateSigningRequest, signed, { subresource: "status", signal });
      return done;
    },
  });
}

const HOUR_MS = 3_600_000;

/** When a request is of no more use: an hour after it was decided on, a day if nobody did, or with its certificate. */
function uselessAt(csr: CertificateSigningRequest): number {
  const created = instantOf(csr.metadata.creationTimestamp) ?? 0;
  const decided = (csr.status?.conditions ?? []).flatMap(({ type, lastUpdateTime }) =>
    ["Approved", "Denied", "Failed"].includes(type) ? [(instantOf(lastUpdateTime) ?? created) + HOUR_MS] : [],
  );
  return decided.length > 0 ? Math.min(...decided) : created + 24 * HOUR_MS;
}

/** Deletes requests that are of no more use. */
export function createCertificateCleaner(deps: ControllerDeps): Controller {
  const { client, informers, clock } = deps;
  const requests = informers.informer(CertificateSigningRequest).lister;
  return defineController<CertificateSigningRequest>(deps, {
    name: "certificate-cleaner",
    for: CertificateSigningRequest,
    workers: 1,
    async reconcile(key, { signal }) {
      const csr = requests.byKey(key);
      if (csr === undefined) return done;
      const leftMs = uselessAt(csr) - clock.now();
      if (leftMs > 0) return requeueAfter(leftMs);
      try {
        const { name = "", uid } = csr.metadata;
        await client.delete(CertificateSigningRequest, { name }, { preconditions: { uid }, signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
      return done;
    },
  });
}
