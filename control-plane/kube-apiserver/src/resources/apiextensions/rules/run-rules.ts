import { RUNTIME_BUDGET, type Bindings, CelOptional, type Evaluation, viewJson } from "@coracle/cel";
import {
  duplicate,
  fieldInternalError,
  forbiddenField,
  invalidValue,
  isObject,
  required,
  type FieldError,
} from "@coracle/apimachinery";
import {
  ownMember,
  type CompiledRules,
  type Correlation,
  type RulePort,
  type StructuralNode,
} from "@coracle/apimachinery/structural";
import { compileRules, type CompiledRule, type NodeRules } from "./compile-rules.ts";
import { shapeOf } from "./declared-type.ts";

/** Runs `x-kubernetes-validations` over objects. */
export function createRuleRunner(): RulePort {
  return {
    compile(root): CompiledRules {
      const programs: Programs = new Map();
      return {
        validate: (object, old, before, warnings) =>
          new RuleRun(root, true, programs, warnings).validate("", object, old, before),
      };
    },
  };
}

/** The rules of each node, compiled when an object has something there. */
type Programs = Map<StructuralNode, NodeRules | undefined>;

/** What is known of the value that was in a place before. */
interface Past {
  readonly here: Correlation | undefined;
  /** The nearest place above whose old value is known. */
  readonly above: Correlation | undefined;
}

const LONGEST_MESSAGE = 5 * 1024;

/** One validation of one value, with its budget. */
export class RuleRun {
  readonly #errors: FieldError[] = [];
  readonly #programs: Programs;
  readonly #root: StructuralNode;
  readonly #rootIsResource: boolean;
  readonly #warnings: string[] | undefined;
  #budget = RUNTIME_BUDGET;

  /** `warnings`: takes what is wrong, but may stay so. */
  constructor(root: StructuralNode, isResource: boolean, programs: Programs = new Map(), warnings?: string[]) {
    this.#warnings = warnings;
    this.#root = root;
    this.#rootIsResource = isResource;
    this.#programs = programs;
  }

  validate(path: string, value: unknown, old: unknown, before: Correlation | undefined): FieldError[] {
    this.#node(this.#root, this.#rootIsResource, path, value, old, { here: before, above: undefined });
    return this.#errors;
  }

  #node(node: StructuralNode, isResource: boolean, path: string, value: unknown, old: unknown, past: Past): void {
    if (!node.hasRulesBelow || value === null || value === undefined || this.#budget < 0) return;
    if (node.rules.length > 0) this.#rules(node, isResource, path, value, old ?? undefined, past);
    if (this.#budget < 0) return;
    if (Array.isArray(value)) this.#items(node, path, value, old, past);
    else if (isObject(value)) this.#members(node, path, value, old, past);
  }

  #items(node: StructuralNode, path: string, items: readonly unknown[], old: unknown, past: Past): void {
    const { items: below } = node;
    if (below?.hasRulesBelow !== true) return;
    const olds = node.listType === "map" && Array.isArray(old) ? oldItems(node, old) : undefined;
    items.forEach((item, i) => {
      const before = olds === undefined || !isObject(item) ? undefined : olds.get(keyOf(node, item));
      this.#node(below, below.isEmbeddedResource, `${path}[${i}]`, item, before, inner(past, past.here?.index(i)));
    });
  }

  #members(
    node: StructuralNode,
    path: string,
    object: Readonly<Record<string, unknown>>,
    old: unknown,
    past: Past,
  ): void {
    const olds = isObject(old) ? old : undefined;
    for (const key in object) {
      const property = node.properties.get(key);
      const below = property ?? node.additional;
      if (below?.hasRulesBelow !== true) continue;
      const at = property === undefined ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`;
      // What the type is called now was never called otherwise: old objects are brought into this version.
      const isFixed = past.above === undefined && (key === "apiVersion" || key === "kind");
      const next = isFixed ? NO_PAST : inner(past, past.here?.key(key));
      this.#node(
        below,
        below.isEmbeddedResource,
        at,
        object[key],
        olds === undefined ? undefined : ownMember(olds, key),
        next,
      );
    }
  }

  #rules(node: StructuralNode, isResource: boolean, path: string, value: unknown, old: unknown, past: Past): void {
    let compiled = this.#programs.get(node);
    if (compiled === undefined && !this.#programs.has(node)) {
      compiled = compileRules(node, isResource);
      this.#programs.set(node, compiled);
    }
    const field = path === "" ? "<nil>" : path;
    if (compiled === undefined) {
      this.#refuse(
        field,
        node,
        "rule compiler initialization error: failed to convert to declType for CEL validation rules",
      );
      return;
    }
    if (this.#budget <= 0) {
      this.#exhausted(field, node);
      return;
    }
    const shape = shapeOf(node, isResource);
    const bindings: Bindings = { self: value, oldSelf: old };
    let optional: Bindings | undefined;
    for (const rule of compiled.rules) {
      const isOptional = rule.rule.optionalOldSelf === true;
      if (rule.usesOldSelf && old === undefined && !isOptional) continue;
      if (isOptional)
        optional ??= {
          self: value,
          oldSelf: new CelOptional(old === undefined ? undefined : viewJson(old, shape)),
        };
      this.#rule(rule, node, path, value, isOptional ? (optional as Bindings) : bindings, bindings, past);
      if (this.#budget < 0) return;
    }
  }

  #rule(
    compiled: CompiledRule,
    node: StructuralNode,
    path: string,
    value: unknown,
    bindings: Bindings,
    messageBindings: Bindings,
    past: Past,
  ): void {
    const { rule, program, problem } = compiled;
    const field = path === "" ? "<nil>" : path;
    if (problem !== undefined) {
      this.#refuse(field, node, `rule compile error: ${problem}`);
      return;
    }
    if (program === undefined) return;
    const result = program.evaluate(bindings);
    if (!this.#spend(result.cost)) {
      this.#exhausted(field, node);
      return;
    }
    if (!result.ok) {
      this.#failed(result, field, node, spoken(rule));
      return;
    }
    if (result.value === true) return;
    const at = compiled.fieldPath === "" ? field : path === "" ? compiled.fieldPath : `${path}.${compiled.fieldPath}`;
    const detail = this.#message(compiled, at, node, messageBindings);
    const error = typeof detail === "string" ? errorFor(rule.reason, at, node, value, detail) : detail;
    // What did not change may stay wrong.
    if (compiled.usesOldSelf || (past.here ?? past.above)?.isUnchanged !== true) this.#errors.push(error);
    else this.#warnings?.push(`${error.field}: ${error.message}`);
  }

  /** What the rule says, or the error that takes its place. */
  #message(compiled: CompiledRule, at: string, node: StructuralNode, bindings: Bindings): string | FieldError {
    const { rule, message } = compiled;
    const fallback = rule.message === "" ? `failed rule: ${spoken(rule)}` : rule.message.trim();
    if (message === undefined) return fallback;
    const result = message.evaluate(bindings);
    if (!this.#spend(result.cost)) {
      return invalidValue(
        at,
        node.type,
        "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run",
      );
    }
    if (!result.ok) {
      if (!result.error.startsWith("operation cancelled: actual cost limit exceeded")) return fallback;
      this.#budget = -1;
      return invalidValue(
        at,
        node.type,
        `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${JSON.stringify(rule.messageExpression)}`,
      );
    }
    const text = typeof result.value === "string" ? result.value.trim() : "";
    return text === "" || text.includes("\n") || Buffer.byteLength(text) > LONGEST_MESSAGE ? fallback : text;
  }

  #failed(result: Evaluation & { readonly ok: false }, field: string, node: StructuralNode, rule: string): void {
    const { error } = result;
    if (error.startsWith("no such overload"))
      this.#refuse(
        field,
        node,
        `'${error}': call arguments did not match a supported operator, function or macro signature for rule: ${rule}`,
      );
    else if (error.startsWith("operation cancelled: actual cost limit exceeded")) {
      this.#budget = -1;
      this.#refuse(
        field,
        node,
        `'${error}': no further validation rules will be run due to call cost exceeds limit for rule: ${rule}`,
      );
    } else if (result.cancelled) {
      this.#budget = -1;
      this.#errors.push(fieldInternalError(field, error));
    } else this.#refuse(field, node, `${error} evaluating rule: ${rule}`);
  }

  /** False when there is not enough left: then nothing more is run. */
  #spend(cost: number): boolean {
    if (cost > this.#budget) {
      this.#budget = -1;
      return false;
    }
    this.#budget -= cost;
    return true;
  }

  #exhausted(field: string, node: StructuralNode): void {
    this.#budget = -1;
    this.#refuse(
      field,
      node,
      "validation failed due to running out of cost budget, no further validation rules will be run",
    );
  }

  #refuse(field: string, node: StructuralNode, detail: string): void {
    this.#errors.push(invalidValue(field, node.type, detail));
  }
}

const NO_PAST: Past = { here: undefined, above: undefined };

const inner = (past: Past, here: Correlation | undefined): Past =>
  past.here === undefined ? past : { here, above: past.here };

const spoken = (rule: CompiledRule["rule"]): string => (rule.message === "" ? rule.rule : rule.message).trim();

function errorFor(reason: string, at: string, node: StructuralNode, value: unknown, detail: string): FieldError {
  // Objects and lists are too large to be shown.
  const isShown = node.type !== "object" && node.type !== "array";
  switch (reason) {
    case "FieldValueForbidden":
      return forbiddenField(at, detail);
    case "FieldValueRequired":
      return required(at, detail);
    case "FieldValueDuplicate":
      return isShown ? duplicate(at, value) : { type: "FieldValueDuplicate", field: at, message: "Duplicate value" };
    default:
      return isShown
        ? invalidValue(at, value, detail)
        : { type: "FieldValueInvalid", field: at, message: `Invalid value: ${detail}` };
  }
}

const keyOf = (node: StructuralNode, item: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(node.listMapKeys.map((key) => ownMember(item, key) ?? null));

function oldItems(node: StructuralNode, items: readonly unknown[]): ReadonlyMap<string, unknown> {
  const out = new Map<string, unknown>();
  for (const item of items) if (isObject(item) && !out.has(keyOf(node, item))) out.set(keyOf(node, item), item);
  return out;
}
