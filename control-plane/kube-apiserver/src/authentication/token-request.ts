import { randomUUID } from "node:crypto";
import {
  badRequest,
  conflict,
  invalid,
  invalidValue,
  isObject,
  notFound,
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

const uidOf = (object: ApiObject): string => object.metadata["uid"] as string;

/** `GROUP/VERSION`, with the slash also where the group is empty. */
function printedType(apiVersion: unknown): string {
  const text = typeof apiVersion === "string" ? apiVersion : "";
  return text.includes("/") ? text : `/${text}`;
}

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
  const kind = typeof ref["kind"] === "string" ? ref["kind"] : "";
  const refName = typeof ref["name"] === "string" ? ref["name"] : "";
  const plural = { Pod: "pods", Secret: "secrets", Node: "nodes" }[kind];
  if (plural === undefined || (ref["apiVersion"] !== undefined && ref["apiVersion"] !== "v1")) {
    throw badRequest(`cannot bind token to object of type ${printedType(ref["apiVersion"])}, Kind=${kind}`);
  }
  const target = await options.objects.get(core(plural), kind === "Node" ? "" : namespace, refName);
  if (target === undefined) throw notFound({ group: "", resource: plural }, refName);
  const wantedUid = ref["uid"];
  if (typeof wantedUid === "string" && wantedUid !== "" && wantedUid !== uidOf(target)) {
    throw conflict(
      { group: "", resource: plural },
      refName,
      `the UID in the bound object reference (${wantedUid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  const bound = { name: refName, uid: uidOf(target) };
  if (kind === "Secret") return { ...binding, secret: bound };
  if (kind === "Node") return { ...binding, node: bound };
  const spec = target["spec"] as { serviceAccountName?: string; nodeName?: string };
  if (spec.serviceAccountName !== name) {
    throw badRequest(
      `cannot bind token for serviceaccount "${name}" to pod running with different serviceaccount name.`,
    );
  }
  if (spec.nodeName === undefined || spec.nodeName === "") return { ...binding, pod: bound };
  const node = await options.objects.get(core("nodes"), "", spec.nodeName);
  return { ...binding, pod: bound, node: { name: spec.nodeName, uid: node === undefined ? undefined : uidOf(node) } };
}

/** POST serviceaccounts/NAME/token: a new token for the account. */
export function tokenRequest(options: TokenRequestOptions): VirtualResource {
  return async (request, body, { namespace, name, dryRun }) => {
    const account = await options.objects.get(core("serviceaccounts"), namespace, name);
    if (account === undefined) throw notFound({ group: "", resource: "serviceaccounts" }, name);
    const givenName = isObject(body["metadata"]) ? body["metadata"]["name"] : undefined;
    if (typeof givenName === "string" && givenName !== "" && givenName !== name) {
      const why = "must match the service account name if specified";
      throw invalid(KIND, name, [invalidValue("metadata.name", givenName, why)]);
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
    const seconds = Math.min(asked as number, options.maxSeconds ?? Infinity);
    const isForApi = audiences.every((audience) => options.apiAudiences.includes(audience));
    const isExtended =
      options.extendsExpiration && binding.pod !== undefined && asked === EXTENDABLE_SECONDS && isForApi;
    const issued = dryRun
      ? { token: "", expiresAt: Math.floor(request.startedAt) }
      : options.issuer.issue(
          binding,
          audiences,
          isExtended ? EXTENDED_SECONDS : seconds,
          isExtended ? seconds : undefined,
        );
    // The holder is told the short life, so that it renews in time.
    const shown = isExtended ? issued.expiresAt - (EXTENDED_SECONDS - seconds) * 1000 : issued.expiresAt;
    const answer: JsonObject = {
      kind: "TokenRequest",
      apiVersion: "authentication.k8s.io/v1",
      metadata: {
        name,
        namespace,
        uid: randomUUID(),
        creationTimestamp: new Date(shown - seconds * 1000).toISOString().replace(/\.\d+Z$/, "Z"),
      },
      spec: {
        audiences,
        expirationSeconds: seconds,
        boundObjectRef: (spec["boundObjectRef"] as JsonObject | undefined) ?? null,
      },
      status: { token: issued.token, expirationTimestamp: new Date(shown).toISOString().replace(/\.\d+Z$/, "Z") },
    };
    return answer;
  };
}
