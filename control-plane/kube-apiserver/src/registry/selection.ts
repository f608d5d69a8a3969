import {
  badRequest,
  parseFieldSelector,
  parseLabelSelector,
  type Labels,
  type Requirement,
} from "@coracle/apimachinery";
import type { ObjectPredicate, WantedLabel } from "../storage/object-storage.ts";
import { textOf } from "./json-text.ts";
import type { ResourceCore } from "./resource-core.ts";
import type { ApiObject } from "./resource-definition.ts";

/** What a label and a field selector ask for, split into what is looked up and what is tested. */
export interface Selection {
  readonly name: string | undefined;
  readonly namespace: string | undefined;
  readonly index: { readonly name: string; readonly value: string } | undefined;
  /** A label that all wanted objects have. */
  readonly label: WantedLabel | undefined;
  readonly predicate: ObjectPredicate | undefined;
}

const NOTHING_SELECTED: Selection = {
  name: undefined,
  namespace: undefined,
  index: undefined,
  label: undefined,
  predicate: undefined,
};
const INDEXED: ReadonlySet<string> = new Set(["spec.nodeName"]);

/** Compiles the selectors of a list or watch once; refuses bad ones with a 400. */
export function compileSelection(
  core: ResourceCore,
  query: { readonly labelSelector?: string | undefined; readonly fieldSelector?: string | undefined },
): Selection {
  const { labelSelector = "", fieldSelector = "" } = query;
  if (labelSelector === "" && fieldSelector === "") return NOTHING_SELECTED;
  const tests: ObjectPredicate[] = [];
  let label: WantedLabel | undefined;
  if (labelSelector !== "") {
    const selector = parseLabelSelector(labelSelector);
    label = wantedLabel(selector.requirements);
    tests.push((object) => selector.matches(object.metadata.labels as Labels | undefined));
  }
  let { name, namespace, index } = NOTHING_SELECTED;
  for (const term of fieldSelector === "" ? [] : parseFieldSelector(fieldSelector).requirements) {
    const of = fieldOf(core, term.field);
    if (term.operator === "=") {
      if (term.field === "metadata.name" && name === undefined) name = term.value;
      else if (term.field === "metadata.namespace" && namespace === undefined && core.entry.namespaced)
        namespace = term.value;
      else if (INDEXED.has(term.field) && index === undefined) index = { name: term.field, value: term.value };
      else tests.push((object) => of(object) === term.value);
    } else {
      tests.push((object) => of(object) !== term.value);
    }
  }
  return { name, namespace, index, label, predicate: allOf(tests) };
}

function wantedLabel(requirements: readonly Requirement[]): WantedLabel | undefined {
  for (const { key, operator, values } of requirements) {
    const [value] = values;
    const isOne = operator === "=" || operator === "==" || (operator === "in" && values.length === 1);
    if (isOne && value !== undefined) return { key, value };
  }
  return undefined;
}

function allOf(tests: readonly ObjectPredicate[]): ObjectPredicate | undefined {
  const [only] = tests;
  if (only === undefined || tests.length === 1) return only;
  return (object) => tests.every((test) => test(object));
}

function fieldOf(core: ResourceCore, field: string): (object: ApiObject) => string {
  if (field === "metadata.name") return (object) => textOf(object.metadata.name);
  if (field === "metadata.namespace" && (core.entry.namespaced || core.definition.selectableFields === undefined))
    return (object) => (object.metadata.namespace as string | undefined) ?? "";
  const of = core.definition.selectableFields?.[field];
  if (of === undefined) throw badRequest(unknownField(core, field));
  return of;
}

/** Kinds with fields of their own to select by have their own words for the others. */
function unknownField({ definition, entry }: ResourceCore, field: string): string {
  if (definition.selectableFields === undefined)
    return `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`;
  if (entry.kind === "Job") return `field label ${JSON.stringify(field)} not supported for Job`;
  if (entry.kind === "ResourceSlice")
    return `field label not supported for ${entry.group}/${entry.version}, Kind=ResourceSlice: ${field}`;
  return `field label not supported: ${field}`;
}
