import type { CertificateSigningRequest } from "@coracle/api/certificates/v1";
import {
  duplicate,
  equalJson,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition, StrategyContext } from "../../registry/resource-definition.ts";
import { formatTime } from "../../registry/object-meta.ts";
import { as, text } from "../validation/decoded.ts";
import { objectIn, objectsIn } from "../validation/pod-defaults.ts";
import { keepAllButStatus, keepStatus } from "../validation/status.ts";
import { dns1123Label, dns1123Subdomain } from "../validation/names.ts";

const USAGES = [
  "any",
  "cert sign",
  "client auth",
  "code signing",
  "content commitment",
  "crl sign",
  "data encipherment",
  "decipher only",
  "digital signature",
  "email protection",
  "encipher only",
  "ipsec end system",
  "ipsec tunnel",
  "ipsec user",
  "key agreement",
  "key encipherment",
  "microsoft sgc",
  "netscape sgc",
  "ocsp signing",
  "s/mime",
  "server auth",
  "signing",
  "timestamping",
];
const MIN_SECONDS = 600;
const MAX_SIGNER = 571;

/** `DOMAIN/NAME`, where the name is dotted labels. */
export function validateSignerName(errors: FieldError[], path: string, name: string): void {
  if (name === "") {
    errors.push(required(path));
    return;
  }
  const slash = name.indexOf("/");
  if (slash < 0 || name.indexOf("/", slash + 1) >= 0) {
    errors.push(
      invalidValue(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'"),
    );
    return;
  }
  const domain = name.slice(0, slash);
  if (dns1123Subdomain(domain).length > 0 || domain.split(".").length < 2)
    errors.push(
      invalidValue(
        path,
        name,
        `validating label "${domain}": should be a domain with at least two segments separated by dots`,
      ),
    );
  for (const label of name.slice(slash + 1).split("."))
    for (const message of dns1123Label(label))
      errors.push(invalidValue(path, name, `validating label ${JSON.stringify(label)}: ${message}`));
  if (name.length > MAX_SIGNER) errors.push(invalidValue(path, name, `must be no more than ${MAX_SIGNER} bytes`));
}

function isPemRequest(base64: string): boolean {
  const pem = Buffer.from(base64, "base64").toString("latin1");
  return /-----BEGIN CERTIFICATE REQUEST-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE REQUEST-----/.test(pem);
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<CertificateSigningRequest>(object).spec ?? {};
  if (!isPemRequest(text(spec.request)))
    errors.push(invalidValue("spec.request", spec.request, "PEM block type must be CERTIFICATE REQUEST"));
  const usages = spec.usages ?? [];
  if (usages.length === 0) errors.push(required("spec.usages"));
  usages.forEach((usage, i) => {
    if (!USAGES.includes(usage)) errors.push(notSupported(`spec.usages[${i}]`, usage, USAGES));
    if (usages.indexOf(usage) !== i) errors.push(duplicate(`spec.usages[${i}]`, usage));
  });
  if (spec.signerName === "kubernetes.io/legacy-unknown")
    errors.push(
      invalidValue("spec.signerName", spec.signerName, "the legacy signerName is not allowed via this API version"),
    );
  else validateSignerName(errors, "spec.signerName", text(spec.signerName));
  if (spec.expirationSeconds !== undefined && spec.expirationSeconds < MIN_SECONDS)
    errors.push(
      invalidValue(
        "spec.expirationSeconds",
        spec.expirationSeconds,
        `may not specify a duration less than ${MIN_SECONDS} seconds (10 minutes)`,
      ),
    );
  return errors;
}

function prepareForCreate(draft: ApiDraft, { user }: StrategyContext): void {
  const spec = (draft["spec"] ??= {}) as Draft;
  spec["username"] = user.name;
  if (user.uid === undefined || user.uid === "") delete spec["uid"];
  else spec["uid"] = user.uid;
  if (user.groups.length > 0) spec["groups"] = [...user.groups];
  else delete spec["groups"];
  if (user.extra !== undefined && Object.keys(user.extra).length > 0) spec["extra"] = structuredClone(user.extra);
  else delete spec["extra"];
  draft["status"] = {};
}

type Conditions = readonly { readonly type?: string | undefined }[];
const conditionsOf = (object: ApiObject): Conditions => as<CertificateSigningRequest>(object).status?.conditions ?? [];
const decisions = (object: ApiObject): Conditions =>
  conditionsOf(object).filter((c) => c.type === "Approved" || c.type === "Denied");

/** Conditions of approval come and go only through `approval`. */
function validateDecisions(object: ApiObject, old: ApiObject, mayDecide: boolean): FieldError[] {
  const errors: FieldError[] = [];
  const now = decisions(object);
  for (const condition of decisions(old))
    if (!now.some((c) => c.type === condition.type))
      errors.push(
        forbiddenField(
          "status.conditions",
          `updates may not remove a condition of type ${JSON.stringify(condition.type)}`,
        ),
      );
  if (!mayDecide && now.some((c) => !decisions(old).some((o) => o.type === c.type)))
    errors.push(forbiddenField("status.conditions", 'updates may not add a condition of type "Approved" or "Denied"'));
  if (now.some((c) => c.type === "Approved") && now.some((c) => c.type === "Denied"))
    errors.push(invalidValue("status.conditions", now, "Approved and Denied conditions are mutually exclusive"));
  const certificate = as<CertificateSigningRequest>(old).status?.certificate;
  if (certificate !== undefined && !equalJson(certificate, as<CertificateSigningRequest>(object).status?.certificate))
    errors.push(forbiddenField("status.certificate", "updates may not modify the certificate field"));
  return errors;
}

/** Conditions without times get them; one that says what it said before changed when it did. */
function dateConditions(draft: ApiDraft, old: ApiObject, { clock }: StrategyContext): void {
  const now = formatTime(clock.now());
  const before = as<CertificateSigningRequest>(old).status?.conditions ?? [];
  for (const condition of objectsIn(objectIn(draft, "status"), "conditions")) {
    condition["lastUpdateTime"] ??= now;
    condition["lastTransitionTime"] ??=
      before.find(({ type, status }) => type === condition["type"] && status === condition["status"])
        ?.lastTransitionTime ?? now;
  }
}

export const certificateSigningRequest: ResourceDefinition = {
  group: "certificates.k8s.io",
  version: "v1",
  plural: "certificatesigningrequests",
  kind: "CertificateSigningRequest",
  validateName: () => [],
  prepareForCreate,
  validate,
  update: {
    prepare(draft, old) {
      keepStatus(draft, old);
      draft["spec"] = old["spec"];
    },
    validate: (object, old) => validateDecisions(object, old, false),
  },
  subresources: {
    status: {
      prepare(draft, old, context) {
        keepAllButStatus(draft, old);
        dateConditions(draft, old, context);
      },
      validate: (object, old) => validateDecisions(object, old, false),
    },
    approval: {
      prepare(draft, old, context) {
        const conditions = (draft["status"] as Draft | undefined)?.["conditions"];
        keepAllButStatus(draft, old);
        draft["status"] = { ...(old["status"] as unknown as Draft | undefined), conditions };
        dateConditions(draft, old, context);
      },
      validate: (object, old) => validateDecisions(object, old, true),
    },
  },
  selectableFields: { "spec.signerName": (o) => text(as<CertificateSigningRequest>(o).spec?.signerName) },
};
