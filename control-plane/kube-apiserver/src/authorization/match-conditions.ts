import {
  BOOL,
  CompileError,
  createCelEnvironment,
  formatType,
  listType,
  mapType,
  objectType,
  STRING,
  type CelType,
  type ObjectDeclaration,
  type Program,
} from "@coracle/cel";
import { isObject, type Draft, type JsonObject } from "@coracle/apimachinery";
import { joinErrors } from "../authentication/authenticator.ts";
import type { ReviewMatcher } from "./webhook.ts";

const object = (name: string, fields: Readonly<Record<string, CelType>>): ObjectDeclaration => ({
  name,
  field: (field) => (Object.hasOwn(fields, field) ? fields[field] : undefined),
});

const strings = (...names: string[]): Record<string, CelType> =>
  Object.fromEntries(names.map((name) => [name, STRING]));

const REQUIREMENT = "kubernetes.SelectorRequirement";
const selector = (name: string): ObjectDeclaration =>
  object(name, { rawSelector: STRING, requirements: listType(objectType(REQUIREMENT)) });
const RESOURCE_FIELDS = ["namespace", "verb", "group", "version", "resource", "subresource", "name"];

const environment = createCelEnvironment({
  variables: { request: objectType("kubernetes.SubjectAccessReviewSpec") },
  objects: [
    object("kubernetes.SubjectAccessReviewSpec", {
      resourceAttributes: objectType("kubernetes.ResourceAttributes"),
      nonResourceAttributes: objectType("kubernetes.NonResourceAttributes"),
      ...strings("user", "uid"),
      groups: listType(STRING),
      extra: mapType(STRING, listType(STRING)),
    }),
    object("kubernetes.ResourceAttributes", {
      ...strings(...RESOURCE_FIELDS),
      fieldSelector: objectType("kubernetes.FieldSelectorAttributes"),
      labelSelector: objectType("kubernetes.LabelSelectorAttributes"),
    }),
    object("kubernetes.NonResourceAttributes", strings("path", "verb")),
    selector("kubernetes.FieldSelectorAttributes"),
    selector("kubernetes.LabelSelectorAttributes"),
    object(REQUIREMENT, { ...strings("key", "operator"), values: listType(STRING) }),
  ],
});

/** Compiles a condition. Throws a CompileError with upstream's words when it is none. */
function compile(expression: string): Program {
  let program: Program;
  try {
    program = environment.compile(expression);
  } catch (error) {
    if (error instanceof CompileError) throw new CompileError(`compilation failed: ${error.message}`, error.issues);
    throw error;
  }
  if (program.resultType.kind !== BOOL.kind) {
    throw new CompileError(`must evaluate to bool but got ${formatType(program.resultType)}`);
  }
  return program;
}

/** Why an expression is no condition; undefined when it is one. */
export function conditionProblem(expression: string): string | undefined {
  try {
    compile(expression);
    return undefined;
  } catch (error) {
    if (error instanceof CompileError) return error.message;
    throw error;
  }
}

/** The review as conditions see it: every text is there, if empty. */
function visibleSpec(spec: JsonObject): Draft {
  const filled = (fields: readonly string[], given: unknown): Draft => ({
    ...Object.fromEntries(fields.map((field) => [field, ""])),
    ...(isObject(given) ? given : {}),
  });
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  return {
    user: spec["user"] ?? "",
    groups: spec["groups"] ?? [],
    uid: spec["uid"] ?? "",
    extra: spec["extra"] ?? {},
    ...(resource === undefined ? {} : { resourceAttributes: filled(RESOURCE_FIELDS, resource) }),
    ...(path === undefined ? {} : { nonResourceAttributes: filled(["path", "verb"], path) }),
  };
}

/** All conditions must hold. One that is false decides, whatever becomes of the others. */
export function createReviewMatcher(expressions: readonly string[]): ReviewMatcher {
  const programs = expressions.map(compile);
  return (spec) => {
    const request = visibleSpec(spec);
    const errors: string[] = [];
    for (const program of programs) {
      const found = program.evaluate({ request });
      if (!found.ok) {
        errors.push(`cel evaluation error: expression '${program.source}' resulted in error: ${found.error}`);
      } else if (found.value !== true) return false;
    }
    if (errors.length > 0) throw joinErrors(errors);
    return true;
  };
}
