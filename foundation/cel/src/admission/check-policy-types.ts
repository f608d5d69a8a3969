import type { ObjectDeclaration } from "../check/environment.ts";
import { CompileError, type CelEnvironment } from "../environment.ts";
import { schemaType, type OpenApiSchema, type SchemaResolver } from "../schema/schema-type.ts";
import { DYN, objectType, type CelType } from "../types/cel-type.ts";
import { admissionEnvironment } from "./admission-environment.ts";

/** A kind that a policy may meet. */
export interface TypedKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly schema: OpenApiSchema;
}

/** The expressions of a policy, as far as their types are checked. */
export interface PolicyExpressions {
  readonly variables?: ReadonlyArray<{ readonly name: string; readonly expression: string }> | undefined;
  readonly validations?:
    | ReadonlyArray<{ readonly expression: string; readonly messageExpression?: string | undefined }>
    | undefined;
}

/** What the status of a policy says of one of its expressions. */
export interface TypeWarning {
  readonly fieldRef: string;
  readonly warning: string;
}

/** As many kinds are checked for one policy, and no more. */
const MAX_KINDS = 10;
const VARIABLES = "kubernetes.variables";

/**
 * Checks the expressions of a policy against the kinds it matches: what would fail for an object of the kind. Kinds
 * come in the order of group, version and kind.
 */
export function checkPolicyTypes(
  policy: PolicyExpressions,
  kinds: readonly TypedKind[],
  params: TypedKind | undefined,
  resolve: SchemaResolver,
): readonly TypeWarning[] {
  const environments = kinds.slice(0, MAX_KINDS).map((kind) => ({
    name: `${kind.group}/${kind.version}, Kind=${kind.kind}`,
    environment: environmentOf(policy, kind, params, resolve),
  }));
  const warnings: TypeWarning[] = [];
  const check = (fieldRef: string, expression: string): void => {
    const found = environments.flatMap(({ name, environment }) => {
      const problem = problemOf(environment, expression);
      return problem === undefined ? [] : [`${name}: compilation failed: ${problem}\n`];
    });
    if (found.length > 0) warnings.push({ fieldRef, warning: found.join("\n") });
  };
  policy.validations?.forEach(({ expression, messageExpression = "" }, index) => {
    check(`spec.validations[${index}].expression`, expression);
    if (messageExpression !== "") check(`spec.validations[${index}].messageExpression`, messageExpression);
  });
  return warnings;
}

function environmentOf(
  { variables = [] }: PolicyExpressions,
  kind: TypedKind,
  params: TypedKind | undefined,
  resolve: SchemaResolver,
): CelEnvironment {
  const objects = new Map<string, ObjectDeclaration>();
  const typeOf = (one: TypedKind, prefix: string): CelType =>
    schemaType(one.schema, `${prefix}.${one.kind}`, resolve, objects, true) ?? DYN;
  const object = typeOf(kind, "checked");
  const types = new Map<string, CelType>();
  const environment = admissionEnvironment().extend({
    variables: {
      object,
      oldObject: object,
      variables: objectType(VARIABLES),
      ...(params === undefined ? {} : { params: typeOf(params, "params") }),
    },
    resolveObject: (name) => (name === VARIABLES ? { name, field: (field) => types.get(field) } : objects.get(name)),
  });
  for (const { name, expression } of variables) {
    try {
      types.set(name, environment.compile(expression).resultType);
    } catch (error) {
      if (!(error instanceof CompileError)) throw error;
      types.set(name, DYN);
    }
  }
  return environment;
}

function problemOf(environment: CelEnvironment, expression: string): string | undefined {
  try {
    environment.compile(expression);
    return undefined;
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    return error.message;
  }
}
