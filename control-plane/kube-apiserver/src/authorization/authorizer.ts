import {
  forbidden,
  parseFieldSelector,
  parseLabelSelector,
  type StatusError,
  type FieldRequirement,
  type Requirement,
} from "@coracle/apimachinery";
import type { PolicyRule } from "@coracle/api/rbac/v1";
import { joinErrors } from "../authentication/authenticator.ts";
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
  /** As the request has it; only where several objects are read or deleted. */
  readonly fieldSelector?: string | undefined;
  readonly labelSelector?: string | undefined;
  /** Terms given one by one, in a review; they stand in place of the texts. */
  readonly fieldRequirements?: readonly FieldRequirement[] | undefined;
  readonly labelRequirements?: readonly Requirement[] | undefined;
}

/** Rules that apply to a user, as far as they can be told. */
export interface ResolvedRules {
  readonly rules: readonly PolicyRule[];
  /** There may be more. */
  readonly isIncomplete: boolean;
  readonly errors: readonly string[];
}

/** `noOpinion`: another authoriser may allow. `error`: something failed on the way to the verdict. */
export type Decision =
  | { readonly verdict: "allow"; readonly reason?: string; readonly error?: string }
  | { readonly verdict: "deny"; readonly reason: string; readonly error?: string }
  | { readonly verdict: "noOpinion"; readonly reason?: string; readonly error?: string };

export interface Authorizer {
  authorize(attributes: AuthorizationAttributes): Decision | Promise<Decision>;
  /** What `user` may do in `namespace`; absent: this authoriser adds nothing to such a list. */
  rulesFor?(user: UserInfo, namespace: string): ResolvedRules;
}

const NO_REQUIREMENTS = { requirements: [], isBroken: false } as const;

/** The terms of the field selector that a question is limited by; `isBroken`: the text could not be read. */
export function fieldTermsOf(attributes: AuthorizationAttributes): {
  readonly requirements: readonly FieldRequirement[];
  readonly isBroken: boolean;
} {
  if (attributes.fieldRequirements !== undefined)
    return { requirements: attributes.fieldRequirements, isBroken: false };
  if (attributes.fieldSelector === undefined || attributes.fieldSelector === "") return NO_REQUIREMENTS;
  try {
    return { requirements: parseFieldSelector(attributes.fieldSelector).requirements, isBroken: false };
  } catch {
    return { requirements: [], isBroken: true };
  }
}

/** The same of the label selector. */
export function labelTermsOf(attributes: AuthorizationAttributes): {
  readonly requirements: readonly Requirement[];
  readonly isBroken: boolean;
} {
  if (attributes.labelRequirements !== undefined)
    return { requirements: attributes.labelRequirements, isBroken: false };
  if (attributes.labelSelector === undefined || attributes.labelSelector === "") return NO_REQUIREMENTS;
  try {
    return { requirements: parseLabelSelector(attributes.labelSelector).requirements, isBroken: false };
  } catch {
    return { requirements: [], isBroken: true };
  }
}

export const ALLOW: Decision = { verdict: "allow" };
export const NO_OPINION: Decision = { verdict: "noOpinion" };

/** What those without opinion said so far. */
class Opinions {
  readonly #reasons: string[] = [];
  readonly #errors: string[] = [];

  add(decision: Decision): void {
    if (decision.reason !== undefined && decision.reason !== "") this.#reasons.push(decision.reason);
    if (decision.error !== undefined) this.#errors.push(decision.error);
  }

  verdict(): Decision {
    const reason = this.#reasons.join("\n");
    if (this.#errors.length === 0) return { verdict: "noOpinion", reason };
    return { verdict: "noOpinion", reason, error: joinErrors(this.#errors).message };
  }
}

/** The first that allows or denies decides; the reasons and failures of those without opinion are joined. */
export function authorizerUnion(authorizers: readonly Authorizer[]): Authorizer {
  async function slow(
    attributes: AuthorizationAttributes,
    from: number,
    pending: Promise<Decision>,
    opinions: Opinions,
  ): Promise<Decision> {
    let decision = await pending;
    for (let i = from; ;) {
      if (decision.verdict !== "noOpinion") return decision;
      opinions.add(decision);
      i += 1;
      if (i >= authorizers.length) return opinions.verdict();
      decision = await authorizers[i]!.authorize(attributes);
    }
  }
  return {
    authorize(attributes) {
      const opinions = new Opinions();
      for (let i = 0; i < authorizers.length; i++) {
        const decision = authorizers[i]!.authorize(attributes);
        if (decision instanceof Promise) return slow(attributes, i, decision, opinions);
        if (decision.verdict !== "noOpinion") return decision;
        opinions.add(decision);
      }
      return opinions.verdict();
    },
    rulesFor(user, namespace) {
      const found = authorizers.flatMap((authorizer) => authorizer.rulesFor?.(user, namespace) ?? []);
      return {
        rules: found.flatMap(({ rules }) => rules),
        isIncomplete: found.some(({ isIncomplete }) => isIncomplete),
        errors: found.flatMap(({ errors }) => errors),
      };
    },
  };
}

const SELECTING = new Set(["list", "watch", "deletecollection"]);

/** What a request asks permission for. */
export function attributesOf(
  user: UserInfo,
  info: RequestInfo,
  query: URLSearchParams | undefined,
): AuthorizationAttributes {
  const isSelecting = query !== undefined && info.isResource && SELECTING.has(info.verb);
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
    fieldSelector: isSelecting ? (query.get("fieldSelector") ?? undefined) : undefined,
    labelSelector: isSelecting ? (query.get("labelSelector") ?? undefined) : undefined,
  };
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/** The sentence in a 403. What the client chose is harmless to whoever shows it as HTML. */
export function forbiddenMessage(attributes: AuthorizationAttributes, reason: string): string {
  const sentence = whatIsForbidden(attributes).replace(/[&<>]/g, (character) => ENTITIES[character]!);
  return reason === "" ? sentence : `${sentence}: ${reason}`;
}

function whatIsForbidden(attributes: AuthorizationAttributes): string {
  const user = JSON.stringify(attributes.user.name);
  if (!attributes.isResource) return `User ${user} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}`;
  const resource =
    attributes.subresource === "" ? attributes.resource : `${attributes.resource}/${attributes.subresource}`;
  const where =
    attributes.namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(attributes.namespace)}`;
  return `User ${user} cannot ${attributes.verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(attributes.group)} ${where}`;
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
