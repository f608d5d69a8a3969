import type { MutatingAdmissionPolicySpec, Mutation } from "@coracle/api/admissionregistration/v1beta1";
import { applyJsonPatch, DEDUCED, isStatusError, mergeConfig, type Draft, type MergeType } from "@coracle/apimachinery";
import { JSON_PATCH, listType, RUNTIME_BUDGET, type CelType } from "@coracle/cel";
import { configurationOf, JSON_PATCH_OPERATION, OBJECT, patchOf, resolveMutationType } from "./mutation-types.ts";
import { checkConditions, type Expression } from "./policy-conditions.ts";
import { compileExpression, createPolicyEnvironment, RESULTS } from "./policy-environment.ts";
import { startRound } from "./policy-evaluation.ts";

/** The object to change, and how its parts are merged. */
export interface MutationSubject {
  readonly object: Draft;
  /** Undefined: as far as its values tell. */
  readonly mergeType: MergeType | undefined;
}

/** The expressions of a policy that mutates, compiled. */
export interface CompiledMutations {
  /** Whether the policy wants the request; a text says why that cannot be known. */
  matches(bindings: Readonly<Record<string, unknown>>): Promise<boolean | string>;
  readonly count: number;
  /** What the mutation makes of the object. Throws an Error that says why it makes nothing. */
  mutate(index: number, subject: MutationSubject, bindings: Readonly<Record<string, unknown>>): Promise<Draft>;
}

/** Compiles a policy. Expressions that do not compile fail when they are asked. */
export function compileMutations(spec: MutatingAdmissionPolicySpec): CompiledMutations {
  const environment = createPolicyEnvironment(spec.paramKind !== undefined, spec.variables ?? []);
  const patching = environment.full.extend({ resolveObject: resolveMutationType, functions: JSON_PATCH });
  const conditions = (spec.matchConditions ?? []).map(({ expression }): Expression => ({
    source: expression,
    compiled: compileExpression(environment.full, expression, RESULTS.condition),
  }));
  const mutations = (spec.mutations ?? []).map((mutation) => {
    const { source, result } = expressionOf(mutation);
    return { mutation, source, compiled: compileExpression(patching, source, [result]) };
  });
  return {
    count: mutations.length,
    matches: (bindings) => checkConditions(conditions, environment.variables, bindings),
    async mutate(index, subject, bindings) {
      const { mutation, source, compiled } = mutations[index]!;
      if (compiled.problem !== undefined) throw new Error(compiled.problem);
      const round = startRound(environment.variables, bindings, RUNTIME_BUDGET);
      const outcome = await round.evaluate(source, compiled);
      if (outcome.error !== undefined) throw new Error(outcome.error);
      if (mutation.patchType === "JSONPatch") return applyOperations(subject.object, patchOf(outcome.value));
      return applyConfiguration(subject, configurationOf(outcome.value));
    },
  };
}

function expressionOf(mutation: Mutation): { readonly source: string; readonly result: CelType } {
  if (mutation.patchType === "JSONPatch") {
    return { source: mutation.jsonPatch?.expression ?? "", result: listType(JSON_PATCH_OPERATION) };
  }
  return { source: mutation.applyConfiguration?.expression ?? "", result: OBJECT };
}

/** A patch whose test fails changes nothing. */
function applyOperations(object: Draft, operations: readonly unknown[]): Draft {
  try {
    return applyJsonPatch(object, operations) as Draft;
  } catch (error) {
    if (!isStatusError(error)) throw error;
    const why = error.cause instanceof Error ? error.cause.message : error.message;
    if (/test failed|testing value/.test(why)) return object;
    throw new Error(`JSON Patch: ${why}`, { cause: error });
  }
}

function applyConfiguration({ object, mergeType = DEDUCED }: MutationSubject, configuration: Draft): Draft {
  const atomics: string[] = [];
  findAtomics(mergeType, configuration, "", atomics);
  if (atomics.length > 0) {
    const paths = atomics.join(", ");
    throw new Error(
      `error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${paths}`,
    );
  }
  const { apiVersion, kind } = object;
  return mergeConfig(mergeType, object, { ...configuration, apiVersion, kind }) as Draft;
}

/** Where a configuration would replace a whole: what is merged only as one cannot be mutated in part. */
function findAtomics(type: MergeType, value: unknown, path: string, found: string[]): void {
  if (typeof value !== "object" || value === null) return;
  if (type.kind === "scalar" || type.kind === "deduced") return;
  if (type.isAtomic) found.push(path);
  if (type.kind === "list") {
    if (Array.isArray(value)) value.forEach((item, index) => findAtomics(type.items, item, `${path}[${index}]`, found));
  } else if (type.kind === "struct") {
    for (const [name, member] of Object.entries(value)) {
      const field = type.fields.get(name);
      if (field !== undefined) findAtomics(field.type, member, `${path}.${name}`, found);
    }
  }
}
