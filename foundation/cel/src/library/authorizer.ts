import { nameIsDns1123Label, nameIsDns1123Subdomain } from "@coracle/apimachinery";
import type { FunctionDeclaration } from "../check/environment.ts";
import { BOOL, STRING, objectType, type CelType } from "../types/cel-type.ts";
import { NO_SUCH_OVERLOAD } from "../values/compare.ts";
import { CelError, CelOpaque, type CelValue } from "../values/value.ts";
import { define, member } from "./define.ts";

/** What an expression asks about: a path, or a resource. */
export interface AuthorizationQuestion {
  readonly verb: string;
  /** For requests about no resource. */
  readonly path?: string;
  readonly group?: string;
  readonly resource?: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** Asks for a service account instead of the user of the request. */
  readonly serviceAccount?: { readonly namespace: string; readonly name: string };
}

/** The answer to a question. */
export interface AuthorizationAnswer {
  readonly allowed: boolean;
  readonly reason: string;
  /** Why there is no proper answer. */
  readonly error?: string;
}

/** Answers the questions of expressions, for the user of the request. */
export type CelAuthorizer = (question: AuthorizationQuestion) => AuthorizationAnswer | Promise<AuthorizationAnswer>;

/** Thrown out of an evaluation when an authorizer answers later. */
export class PendingDecision extends Error {
  override readonly name = "PendingDecision";
  readonly answered: Promise<void>;
  constructor(answered: Promise<void>) {
    super("the authorizer has not answered yet");
    this.answered = answered;
  }
}

export const AUTHORIZER = objectType("kubernetes.authorization.Authorizer");
export const RESOURCE_CHECK = objectType("kubernetes.authorization.ResourceCheck");
const PATH_CHECK = objectType("kubernetes.authorization.PathCheck");
const GROUP_CHECK = objectType("kubernetes.authorization.GroupCheck");
const DECISION = objectType("kubernetes.authorization.Decision");

/** Asks each question once, and remembers the answers of one request. */
class Asker {
  readonly #authorize: CelAuthorizer;
  readonly #answers = new Map<string, AuthorizationAnswer>();
  constructor(authorize: CelAuthorizer) {
    this.#authorize = authorize;
  }
  ask(question: AuthorizationQuestion): AuthorizationAnswer {
    const key = JSON.stringify(question);
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const answer = this.#authorize(question);
    if (answer instanceof Promise) {
      throw new PendingDecision(answer.then((late) => void this.#answers.set(key, late)));
    }
    this.#answers.set(key, answer);
    return answer;
  }
}

abstract class AuthorizationValue extends CelOpaque {
  readonly asker: Asker;
  readonly question: Omit<AuthorizationQuestion, "verb">;
  constructor(asker: Asker, question: Omit<AuthorizationQuestion, "verb">) {
    super();
    this.asker = asker;
    this.question = question;
  }
  equals(other: CelOpaque): boolean {
    return this === other;
  }
}

/** The variable `authorizer`. */
export class AuthorizerValue extends AuthorizationValue {
  readonly type: CelType = AUTHORIZER;
}

class PathCheck extends AuthorizationValue {
  readonly type = PATH_CHECK;
}

class GroupCheck extends AuthorizationValue {
  readonly type = GROUP_CHECK;
}

class ResourceCheck extends AuthorizationValue {
  readonly type = RESOURCE_CHECK;
}

class Decision extends CelOpaque {
  readonly type = DECISION;
  readonly answer: AuthorizationAnswer;
  constructor(answer: AuthorizationAnswer) {
    super();
    this.answer = answer;
  }
  equals(other: CelOpaque): boolean {
    return this === other;
  }
}

/** The values of `authorizer` and `authorizer.requestResource` for one request. */
export function bindAuthorizer(
  authorize: CelAuthorizer,
  request: { group: string; resource: string; subresource?: string; namespace?: string; name?: string },
): { readonly authorizer: CelValue; readonly requestResource: CelValue } {
  const asker = new Asker(authorize);
  return {
    authorizer: new AuthorizerValue(asker, {}),
    requestResource: new ResourceCheck(asker, { ...request }),
  };
}

function isBlank(text: string): boolean {
  return text.trim() === "";
}

function narrowed(field: "subresource" | "namespace" | "name" | "fieldSelector" | "labelSelector") {
  return ([check, value]: readonly CelValue[]): CelValue =>
    check instanceof ResourceCheck
      ? new ResourceCheck(check.asker, { ...check.question, [field]: value as string })
      : NO_SUCH_OVERLOAD;
}

function narrowing(name: string, id: string, field: Parameters<typeof narrowed>[0]): FunctionDeclaration {
  return define(name, member(id, [RESOURCE_CHECK, STRING], RESOURCE_CHECK, narrowed(field)));
}

function check([value, verb]: readonly CelValue[]): CelValue {
  if (!(value instanceof AuthorizationValue)) return NO_SUCH_OVERLOAD;
  return new Decision(value.asker.ask({ ...value.question, verb: verb as string }));
}

function read(
  name: string,
  id: string,
  result: CelType,
  of: (answer: AuthorizationAnswer) => CelValue,
): FunctionDeclaration {
  return define(
    name,
    member(id, [DECISION], result, ([decision]) =>
      decision instanceof Decision ? of(decision.answer) : NO_SUCH_OVERLOAD,
    ),
  );
}

/** The functions of the variable `authorizer`. */
export const AUTHORIZATION: readonly FunctionDeclaration[] = [
  define(
    "path",
    member("authorizer_path", [AUTHORIZER, STRING], PATH_CHECK, ([value, path]) => {
      if (!(value instanceof AuthorizerValue)) return NO_SUCH_OVERLOAD;
      if (isBlank(path as string)) return new CelError("path must not be empty");
      return new PathCheck(value.asker, { ...value.question, path: path as string });
    }),
  ),
  define(
    "group",
    member("authorizer_group", [AUTHORIZER, STRING], GROUP_CHECK, ([value, group]) =>
      value instanceof AuthorizerValue
        ? new GroupCheck(value.asker, { ...value.question, group: group as string })
        : NO_SUCH_OVERLOAD,
    ),
  ),
  define(
    "serviceAccount",
    member("authorizer_serviceaccount", [AUTHORIZER, STRING, STRING], AUTHORIZER, ([value, namespace, name]) => {
      if (!(value instanceof AuthorizerValue)) return NO_SUCH_OVERLOAD;
      if (nameIsDns1123Subdomain(name as string, false).length > 0) return new CelError("Invalid service account name");
      if (nameIsDns1123Label(namespace as string, false).length > 0)
        return new CelError("Invalid service account namespace");
      const serviceAccount = { namespace: namespace as string, name: name as string };
      return new AuthorizerValue(value.asker, { serviceAccount });
    }),
  ),
  define(
    "resource",
    member("groupcheck_resource", [GROUP_CHECK, STRING], RESOURCE_CHECK, ([value, resource]) => {
      if (!(value instanceof GroupCheck)) return NO_SUCH_OVERLOAD;
      if (isBlank(resource as string)) return new CelError("resource must not be empty");
      return new ResourceCheck(value.asker, { ...value.question, resource: resource as string });
    }),
  ),
  narrowing("subresource", "resourcecheck_subresource", "subresource"),
  narrowing("namespace", "resourcecheck_namespace", "namespace"),
  narrowing("name", "resourcecheck_name", "name"),
  narrowing("fieldSelector", "authorizer_fieldselector", "fieldSelector"),
  narrowing("labelSelector", "authorizer_labelselector", "labelSelector"),
  define(
    "check",
    member("pathcheck_check", [PATH_CHECK, STRING], DECISION, check),
    member("resourcecheck_check", [RESOURCE_CHECK, STRING], DECISION, check),
  ),
  read("errored", "decision_errored", BOOL, ({ error }) => error !== undefined),
  read("error", "decision_error", STRING, ({ error }) => error ?? ""),
  read("allowed", "decision_allowed", BOOL, ({ allowed }) => allowed),
  read("reason", "decision_reason", STRING, ({ reason }) => reason),
];
