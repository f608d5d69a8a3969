import { X509Certificate } from "node:crypto";
import type { ClusterTrustBundle } from "@coracle/api/certificates/v1beta1";
import { invalidValue, nameIsDns1123Subdomain, tooLong, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { validateSignerName } from "./certificate-signing-request.ts";

const MAX_BYTES = 1 << 20;
const BLOCK = /-----BEGIN ([^-\r\n]+)-----\r?\n([\s\S]*?)-----END \1-----/g;
const signerOf = (object: ApiObject): string => text(as<ClusterTrustBundle>(object).spec?.signerName);
const bundleOf = (object: ApiObject): string => text(as<ClusterTrustBundle>(object).spec?.trustBundle);

/** A bundle of a signer's is named after it; one of nobody's has a plain name. */
function bundleName(name: string, isPrefix: boolean, object?: ApiObject): string[] {
  const signer = object === undefined ? "" : signerOf(object);
  if (signer === "")
    return name.includes(":")
      ? ['ClusterTrustBundle without signer name must not have ":" in its name']
      : nameIsDns1123Subdomain(name, isPrefix);
  const prefix = `${signer.replaceAll("/", ":")}:`;
  if (!name.startsWith(prefix))
    return [`ClusterTrustBundle for signerName ${signer} must be named with prefix ${prefix}`];
  return nameIsDns1123Subdomain(name.slice(prefix.length), isPrefix);
}

/** Why a block of the bundle is no trust anchor. */
function blockProblem(type: string, body: string): string | undefined {
  if (type !== "CERTIFICATE") return `has bad block type: ${type}`;
  if (body.includes(":")) return "has PEM block headers";
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(Buffer.from(body.replaceAll(/\s/g, ""), "base64"));
  } catch {
    return "does not parse as X.509";
  }
  return certificate.ca ? undefined : "does not have the CA bit set";
}

function validateBundle(bundle: string): FieldError[] {
  const path = "spec.trustBundle";
  if (Buffer.byteLength(bundle) > MAX_BYTES) return [tooLong(path, MAX_BYTES)];
  const refuse = (why: string): FieldError => invalidValue(path, "<value omitted>", why);
  const errors: FieldError[] = [];
  const places = new Map<string, number[]>();
  for (const [i, [, type = "", body = ""]] of [...bundle.matchAll(BLOCK)].entries()) {
    const problem = blockProblem(type, body);
    if (problem !== undefined) errors.push(refuse(`entry ${i} ${problem}`));
    else places.set(body, [...(places.get(body) ?? []), i]);
  }
  if (errors.length > 0) return errors;
  if (places.size === 0) return [refuse("at least one trust anchor must be provided")];
  return [...places.values()]
    .filter(({ length }) => length > 1)
    .map((indexes) => refuse(`duplicate trust anchor (indices [${indexes.join(" ")}])`));
}

function validateSigner(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const signer = signerOf(object);
  if (signer !== "") validateSignerName(errors, "spec.signerName", signer);
  return errors;
}

const definitionIn = (version: string): ResourceDefinition => ({
  group: "certificates.k8s.io",
  version,
  plural: "clustertrustbundles",
  kind: "ClusterTrustBundle",
  allowUnconditionalUpdate: false,
  validateName: bundleName,
  validate: validateSigner,
  validateNew: (object) => validateBundle(bundleOf(object)),
  update: {
    validate(object, old) {
      const errors = bundleOf(object) === bundleOf(old) ? [] : validateBundle(bundleOf(object));
      validateImmutable(errors, "spec.signerName", signerOf(object), signerOf(old));
      return errors;
    },
  },
  selectableFields: { "spec.signerName": signerOf },
});

/** Authorities that everybody may know; served behind their feature. */
export const clusterTrustBundle = definitionIn("v1beta1");
/** The same in its first version. */
export const clusterTrustBundleV1alpha1 = definitionIn("v1alpha1");
