import { invalidValue, type FieldError } from "../errors/field-error.ts";
import type { Draft } from "../json/json.ts";
import type { MergeType } from "../apply/merge-type.ts";
import { checkValue } from "./check-value.ts";
import { compileSchema } from "./compile-schema.ts";
import { Correlation } from "./correlation.ts";
import { checkEmbedded, coerceEmbedded, decodeGoodMetadata, decodeMetadata, fieldOf } from "./embedded-resources.ts";
import { checkKeyedLists } from "./keyed-lists.ts";
import { mergeTypeOfResource } from "./merge-type-of-node.ts";
import { applyDefaults, pruneObject } from "./prune.ts";
import { checkScaleSpec, checkScaleStatus, type ScalePaths } from "./scale-values.ts";
import type { StructuralNode } from "./structural-node.ts";

/** What is known of a version beside its schema. */
export interface CustomSchemaOptions {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** `spec.preserveUnknownFields`: nothing is pruned. */
  readonly preserveUnknownFields?: boolean | undefined;
  /** The scale subresource's paths, whose values are checked on every write. */
  readonly scale?: ScalePaths | undefined;
  /** Runs `x-kubernetes-validations`. Absent: a schema with rules is refused. */
  readonly rules?: RulePort | undefined;
}

/** Compiles the rules of a schema: the port behind which the expression language lives. */
export interface RulePort {
  /** Called on the first validation, for schemas that have rules. */
  compile(root: StructuralNode): CompiledRules;
}

/** The rules of one schema, ready to run. */
export interface CompiledRules {
  /**
   * What the rules say of an object. `before`: its correlation with the object that it replaces. `warnings`: takes what is
   * wrong, but may stay so.
   */
  validate(object: Draft, old: Draft | undefined, before: Correlation | undefined, warnings?: string[]): FieldError[];
}

/** A version of a custom resource, as rules over its objects. Objects are changed in place. */
export interface CustomSchema {
  readonly root: StructuralNode;
  /**
   * Brings a request's object (parsed JSON) in the form of the schema: metadata (its own and of embedded resources)
   * in canonical form, unknown members dropped, nulls that may not be dropped. Returns what strict field validation
   * reports: `unknown field "spec.x"`. Throws DecodeError for metadata that cannot be read.
   */
  decode(object: Draft): readonly string[];
  /** Sets the defaults: after `decode`, and on what a conversion returned. */
  applyDefaults(object: Draft): void;
  /** Both for an object out of storage: metadata that cannot be read is left out, its generation is at least 1. */
  readStored(object: Draft): void;
  /**
   * What a new object must fulfil beside the rules of its metadata, whose findings are `earlier`: `x-kubernetes-validations`
   * are not run when they, or the schema's own verdict, are of a kind that blocks them.
   */
  validate(object: Draft, earlier?: readonly FieldError[]): FieldError[];
  /** The same for an update; what did not change may stay invalid (ratcheting). `warnings`: takes what rules say of it. */
  validateUpdate(object: Draft, old: Draft, earlier?: readonly FieldError[], warnings?: string[]): FieldError[];
  /** The same for an update of the status subresource. */
  validateStatusUpdate(object: Draft, old: Draft, earlier?: readonly FieldError[], warnings?: string[]): FieldError[];
  /** How server-side apply owns and merges objects. Made on first use. */
  readonly mergeType: MergeType;
}

/** Compiles a version's `openAPIV3Schema` (as JSON; undefined: anything goes). Cheap enough for each change of a CRD. */
export function createCustomSchema(schema: unknown, options: CustomSchemaOptions): CustomSchema {
  return new CompiledSchema(compileSchema(schema), options);
}

class CompiledSchema implements CustomSchema {
  readonly root: StructuralNode;
  readonly #options: CustomSchemaOptions;
  #rules: CompiledRules | undefined;
  #mergeType: MergeType | undefined;

  constructor(root: StructuralNode, options: CustomSchemaOptions) {
    this.root = root;
    this.#options = options;
  }

  decode(object: Draft): readonly string[] {
    const unknown: string[] = [];
    if (object["metadata"] !== undefined) {
      const decoded = decodeMetadata(object["metadata"]);
      object["metadata"] = decoded.object;
      for (const text of decoded.unknownFields) unknown.push(`unknown field "metadata.${fieldOf(text)}"`);
    }
    const { metadata } = object;
    if (this.#options.preserveUnknownFields !== true)
      for (const path of pruneObject(this.root, object, true)) unknown.push(`unknown field "${path}"`);
    for (const path of coerceEmbedded(this.root, object, false)) unknown.push(`unknown field "${path}"`);
    if (metadata !== undefined) object["metadata"] = metadata;
    return unknown;
  }

  applyDefaults(object: Draft): void {
    applyDefaults(this.root, object);
  }

  readStored(object: Draft): void {
    const metadata = decodeGoodMetadata(object["metadata"]);
    if (typeof metadata["generation"] !== "number" || metadata["generation"] === 0) metadata["generation"] = 1;
    if (this.#options.preserveUnknownFields !== true) pruneObject(this.root, object, false);
    coerceEmbedded(this.root, object, true);
    object["metadata"] = metadata;
    applyDefaults(this.root, object);
  }

  validate(object: Draft, earlier: readonly FieldError[] = []): FieldError[] {
    const wrongType = this.#typeErrors(object);
    if (wrongType.length > 0) return wrongType;
    const errors = [
      ...checkValue(this.root, object),
      ...checkScaleSpec(this.#options.scale, object),
      ...checkScaleStatus(this.#options.scale, object),
      ...checkEmbedded(this.root, object),
      ...checkKeyedLists(this.root, object),
    ];
    return this.#withRules(errors, earlier, object, undefined, undefined);
  }

  validateUpdate(object: Draft, old: Draft, earlier: readonly FieldError[] = [], warnings?: string[]): FieldError[] {
    const wrongType = this.#typeErrors(object);
    if (wrongType.length > 0) return wrongType;
    const before = new Correlation(this.root, object, old);
    const errors = [
      ...checkValue(this.root, object, undefined, before),
      ...checkScaleSpec(this.#options.scale, object),
      ...checkScaleStatus(this.#options.scale, object),
      ...checkEmbedded(this.root, object),
      ...this.#newListErrors(object, old),
    ];
    return this.#withRules(errors, earlier, object, old, before, warnings);
  }

  validateStatusUpdate(
    object: Draft,
    old: Draft,
    earlier: readonly FieldError[] = [],
    warnings?: string[],
  ): FieldError[] {
    const wrongType = this.#typeErrors(object);
    if (wrongType.length > 0) return wrongType;
    const before = new Correlation(this.root, object, old);
    const status = this.root.properties.get("status");
    const errors: FieldError[] = [];
    if (object["status"] !== undefined && status !== undefined) {
      const beforeStatus = before.key("status") ?? new Correlation(status, object["status"], old["status"]);
      errors.push(...checkValue(status, object["status"], "status", beforeStatus));
    }
    errors.push(...checkScaleStatus(this.#options.scale, object), ...this.#newListErrors(object, old));
    return this.#withRules(errors, earlier, object, old, before, warnings);
  }

  get mergeType(): MergeType {
    return (this.#mergeType ??= mergeTypeOfResource(this.root));
  }

  #typeErrors(object: Draft): FieldError[] {
    const { group, version, kind } = this.#options;
    const apiVersion = `${group}/${version}`;
    const errors: FieldError[] = [];
    if (object["kind"] !== kind) errors.push(invalidValue("kind", object["kind"] ?? "", `must be ${kind}`));
    if (object["apiVersion"] !== apiVersion)
      errors.push(invalidValue("apiVersion", object["apiVersion"] ?? "", `must be ${apiVersion}`));
    return errors;
  }

  /** Lists that were bad before may stay so, all together. */
  #newListErrors(object: Draft, old: Draft): FieldError[] {
    const errors = checkKeyedLists(this.root, object);
    return errors.length === 0 || checkKeyedLists(this.root, old).length > 0 ? [] : errors;
  }

  #withRules(
    errors: FieldError[],
    earlier: readonly FieldError[],
    object: Draft,
    old: Draft | undefined,
    before: Correlation | undefined,
    warnings?: string[],
  ): FieldError[] {
    if (!this.root.hasRulesBelow) return errors;
    if (errors.some(blocksRules) || earlier.some(blocksRules)) {
      errors.push(invalidValue("<nil>", null, UNCHECKED));
      return errors;
    }
    const { rules } = this.#options;
    if (rules === undefined) throw new Error("the schema has rules, and nothing was given that runs them");
    this.#rules ??= rules.compile(this.root);
    for (const error of this.#rules.validate(object, old, before, warnings)) errors.push(error);
    return errors;
  }
}

const UNCHECKED =
  "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

const BLOCKING: ReadonlySet<string> = new Set([
  "FieldValueNotSupported",
  "FieldValueRequired",
  "FieldValueTooLong",
  "FieldValueTooMany",
  "FieldValueTypeInvalid",
]);

const blocksRules = (error: FieldError): boolean => BLOCKING.has(error.type);
