import { forbidden, type StatusError } from "@coracle/apimachinery";
import type { UserInfo } from "../authentication/user.ts";
import type { RequestInfo } from "../server/request-info.ts";

/** What someone wants to do. */
export interface AuthorizationAttributes {
  readonly user: UserInfo;
  readonly verb: string;
  readonly isResource: boolean;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** For what is not a resource. */
  readonly path: string;
  /** Terms of the request's field selector that are plain equalities, for rules about single nodes. */
  readonly fieldSelector?: string | undefined;
}

/** `noOpinion`: another authoriser may allow. */
export type Decision =
  | { readonly verdict: "allow"; readonly reason?: string }
  | { readonly verdict: "deny"; readonly reason: string }
  | { readonly verdict: "noOpinion"; readonly reason?: string };

export interface Authorizer {
  authorize(attributes: AuthorizationAttributes): Decision | Promise<Decision>;
}

export const ALLOW: Decision = { verdict: "allow" };
export const NO_OPINION: Decision = { verdict: "noOpinion" };

/** The first that allows or denies decides; the reasons of those without opinion are joined. */
export function authorizerUnion(authorizers: readonly Authorizer[]): Authorizer {
  async function slow(
    attributes: AuthorizationAttributes,
    from: number,
    pending: Promise<Decision>,
    reasons: string[],
  ): Promise<Decision> {
    let decision = await pending;
    for (let i = from; ;) {
      if (decision.verdict !== "noOpinion") return decision;
      if (decision.reason) reasons.push(decision.reason);
      i += 1;
      if (i >= authorizers.length) return { verdict: "noOpinion", reason: reasons.join("\n") };
      decision = await authorizers[i]!.authorize(attributes);
    }
  }
  return {
    authorize(attributes) {
      const reasons: string[] = [];
      for (let i = 0; i < authorizers.length; i++) {
        const decision = authorizers[i]!.authorize(attributes);
        if (decision instanceof Promise) return slow(attributes, i, decision, reasons);
        if (decision.verdict !== "noOpinion") return decision;
        if (decision.reason) reasons.push(decision.reason);
      }
      return { verdict: "noOpinion", reason: reasons.join("\n") };
    },
  };
}

/** What a request asks permission for. */
export function attributesOf(
  user: UserInfo,
  info: RequestInfo,
  fieldSelector: string | undefined,
): AuthorizationAttributes {
  return {
    user,
    verb: info.verb,
    isResource: info.isResource,
    group: info.group,
    version: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    path: info.path,
    fieldSelector,
  };
}

/** The sentence in a 403. */
export function forbiddenMessage(attributes: AuthorizationAttributes, reason: string): string {
  const user = JSON.stringify(attributes.user.name);
  const suffix = reason === "" ? "" : `: ${reason}`;
  if (!attributes.isResource)
    return `User ${user} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}${suffix}`;
  const resource =
    attributes.subresource === "" ? attributes.resource : `${attributes.resource}/${attributes.subresource}`;
  const where =
    attributes.namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(attributes.namespace)}`;
  return `User ${user} cannot ${attributes.verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(attributes.group)} ${where}${suffix}`;
}

/** Throws 403 unless the user may. */
export async function mustBeAllowed(authorizer: Authorizer, attributes: AuthorizationAttributes): Promise<void> {
  const decision = await authorizer.authorize(attributes);
  if (decision.verdict !== "allow") throw refusal(attributes, decision.reason ?? "");
}

/** The 403 for what was not allowed. */
export function refusal(attributes: AuthorizationAttributes, reason: string): StatusError {
  const message = forbiddenMessage(attributes, reason);
  return forbidden({ group: attributes.group, resource: attributes.resource }, attributes.name, message);
}
