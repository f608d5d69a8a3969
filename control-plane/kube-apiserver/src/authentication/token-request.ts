import {
  badRequest,
  conflict,
  formatTime,
  invalid,
  invalidValue,
  isObject,
  notFound,
  type Draft,
  type FieldError,
  type JsonObject,
} from "@coracle/apimachinery";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { VirtualResource } from "../server/resource-routes.ts";
import type { TokenBinding, TokenIssuer } from "./service-account-token.ts";

const core = (plural: string): ResourceRef => ({ group: "", version: "v1", plural });
const KIND = { group: "authentication.k8s.io", kind: "TokenRequest" };
const DEFAULT_SECONDS = 3600;
const MIN_SECONDS = 600;
const MAX_SECONDS = 2 ** 32;
/** What kubelets ask for; such tokens live long, so that clients which never reread them keep working. */
const EXTENDABLE_SECONDS = 3607;
const EXTENDED_SECONDS = 365 * 24 * 3600;

export interface TokenRequestOptions {
  readonly objects: RegistryReader;
  readonly issuer: TokenIssuer;
  readonly apiAudiences: readonly string[];
  readonly extendsExpiration: boolean;
  readonly maxSeconds: number | undefined;
}

const textOf = (object: Draft, field: string): string => (typeof object[field] === "string" ? object[field] : "");

const uidOf = (object: ApiObject): string => object.metadata["uid"] as string;

/** `GROUP/VERSION`, with the slash also where the group is empty. */
function printedType(apiVersion: unknown): string {
  const text = typeof apiVersion === "string" ? apiVersion : "";
  return text.includes("/") ? text : `/${text}`;
}

const PLURALS: Readonly<Record<string, string>> = { Pod: "pods", Secret: "secrets", Node: "nodes" };

/** What the token is to be bound to, looked up and checked. */
async function bindingOf(
  options: TokenRequestOptions,
  namespace: string,
  account: ApiObject,
  ref: unknown,
): Promise<TokenBinding> {
  const name = account.metadata["name"] as string;
  const binding = { namespace, serviceAccount: { name, uid: uidOf(account) } };
  if (!isObject(ref)) return binding;
  const kind = textOf(ref, "kind");
  const refName = textOf(ref, "name");
  const plural = Object.hasOwn(PLURALS, kind) ? PLURALS[kind] : undefined;
  if (plural === undefined || textOf(ref, "apiVersion").includes("/")) {
    throw badRequest(`cannot bind token to object of type ${printedType(ref["apiVersion"])}, Kind=${kind}`);
  }
  const target = await options.objects.get(core(plural), kind === "Node" ? "" : namespace, refName);
  if (target === undefined) throw notFound({ group: "", resource: plural }, refName);
  const { serviceAccountName, nodeName } = (target["spec"] ?? {}) as { serviceAccountName?: string; nodeName?: string };
  if (kind === "Pod" && serviceAccountName !== name) {
    throw badRequest(
      `cannot bind token for serviceaccount "${name}" to pod running with different serviceaccount name.`,
    );
  }
  const wantedUid = textOf(ref, "uid");
  if (wantedUid !== "" && wantedUid !== uidOf(target)) {
    throw conflict(
      { group: "", resource: kind },
      refName,
      `the UID in the bound object reference (${wantedUid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  const bound = { name: refName, uid: uidOf(target) };
  if (kind === "Secret") return { ...binding, secret: bound };
  if (kind === "Node") return { ...binding, node: bound };
  if (nodeName === undefined || nodeName === "") return { ...binding, pod: bound };
  const node = await options.objects.get(core("nodes"), "", nodeName);
  return { ...binding, pod: bound, node: { name: nodeName, uid: node === undefined ? undefined : uidOf(node) } };
}

/** What the request's own metadata says must agree with the account. */
function checkMetadata(metadata: Draft, namespace: string, name: string): void {
  for (const [field, expected, what] of [
    ["name", name, "name"],
    ["namespace", namespace, "namespace"],
  ] as const) {
    const given = textOf(metadata, field);
    if (given === "" || given === expected) continue;
    const why = `must match the service account ${what} if specified`;
    throw invalid(KIND, name, [invalidValue(`metadata.${field}`, given, why)]);
  }
}

/** POST serviceaccounts/NAME/token: a new token for the account. */
export function tokenRequest(options: TokenRequestOptions): VirtualResource {
  return async (request, body, { namespace, name }) => {
    const metadata = isObject(body["metadata"]) ? body["metadata"] : {};
    checkMetadata(metadata, namespace, name);
    const account = await options.objects.get(core("serviceaccounts"), namespace, name);
    if (account === undefined) throw notFound({ group: "", resource: "serviceaccounts" }, name);
    const uid = textOf(metadata, "uid");
    if (uid !== "" && uid !== uidOf(account)) {
      const why = `the UID in the token request (${uid}) does not match the UID of the service account (${uidOf(account)})`;
      throw conflict({ group: KIND.group, resource: KIND.kind }, name, why);
    }
    const spec = isObject(body["spec"]) ? body["spec"] : {};
    const asked = spec["expirationSeconds"] ?? DEFAULT_SECONDS;
    const errors: FieldError[] = [];
    if (typeof asked !== "number" || asked < MIN_SECONDS) {
      errors.push(invalidValue("spec.expirationSeconds", asked, "may not specify a duration less than 10 minutes"));
    } else if (asked > MAX_SECONDS) {
      errors.push(invalidValue("spec.expirationSeconds", asked, "may not specify a duration larger than 2^32 seconds"));
    }
    if (errors.length > 0) throw invalid(KIND, "", errors);
    const audiences =
      Array.isArray(spec["audiences"]) && spec["audiences"].length > 0
        ? spec["audiences"].map(String)
        : options.apiAudiences;
    const binding = await bindingOf(options, namespace, account, spec["boundObjectRef"]);
    let seconds = asked as number;
    if (options.maxSeconds !== undefined && options.maxSeconds > 0 && seconds > options.maxSeconds) {
      request.warnings.push(`requested expiration of ${seconds} seconds shortened to ${options.maxSeconds} seconds`);
      seconds = options.maxSeconds;
    }
    const isForApi = audiences.every((audience) => options.apiAudiences.includes(audience));
    const isExtended =
      options.extendsExpiration && binding.pod !== undefined && seconds === EXTENDABLE_SECONDS && isForApi;
    const lifeSeconds = isExtended ? EXTENDED_SECONDS : seconds;
    const issued = options.issuer.issue(binding, audiences, lifeSeconds, isExtended ? seconds : undefined);
    // The holder is told the short life, so that it renews in time.
    const bornAt = issued.expiresAt - lifeSeconds * 1000;
    const answer: JsonObject = {
      kind: "TokenRequest",
      apiVersion: "authentication.k8s.io/v1",
      metadata: {
        ...(metadata as JsonObject),
        name,
        namespace,
        uid: uidOf(account),
        creationTimestamp: formatTime(bornAt / 1000),
      },
      spec: {
        audiences,
        expirationSeconds: seconds,
        boundObjectRef: (spec["boundObjectRef"] as JsonObject | undefined) ?? null,
      },
      status: { token: issued.token, expirationTimestamp: formatTime(bornAt / 1000 + seconds) },
    };
    return answer;
  };
}
