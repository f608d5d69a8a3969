import type { FieldError } from "../errors/field-error.ts";
import type { Draft } from "../json/json.ts";
import type { MergeType } from "../apply/merge-type.ts";
import { compileSchema } from "./compile-schema.ts";
import type { StructuralNode } from "./structural-node.ts";

/** What is known of a version beside its schema. */
export interface CustomSchemaOptions {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** `spec.preserveUnknownFields`: nothing is pruned. */
  readonly preserveUnknownFields?: boolean | undefined;
  /** The scale subresource's paths, whose values are checked on every write. */
  readonly scale?:
    | {
        readonly specReplicasPath: string;
        readonly statusReplicasPath: string;
        readonly labelSelectorPath?: string | undefined;
      }
    | undefined;
  /** Runs `x-kubernetes-validations`. Absent: schemas with rules are refused with an error. */
  readonly rules?: RulePort | undefined;
}

/** Compiles the rules of a schema: the port behind which the expression language lives. */
export interface RulePort {
  /** Compiled on the first call for a node that has rules. */
  compile(root: StructuralNode): CompiledRules;
}

/** The rules of one schema, ready to run. */
export interface CompiledRules {
  /**
   * What the rules say of an object. `old`: the object that it replaces, for transition rules and ratcheting.
   * `path`: where the value is (`""` for the root, `status` for status alone).
   */
  validate(path: string, value: unknown, old: unknown): FieldError[];
}

/** A version of a custom resource, as a set of rules over its objects. Objects are changed in place unless said otherwise. */
export interface CustomSchema {
  readonly root: StructuralNode;
  /**
   * Brings a request's object (parsed JSON) in the form of the schema: metadata (its own and of embedded resources)
   * coerced, unknown members dropped, nulls that may not be dropped. Returns what strict field validation reports:
   * `unknown field "spec.x"`. Throws an Error with upstream's text for metadata that cannot be read.
   */
  decode(object: Draft): readonly string[];
  /** Sets the defaults. After `decode`, on requests; and on what conversion returned. */
  applyDefaults(object: Draft): void;
  /** The same for an object out of storage: bad metadata is dropped, generation repaired, pruned, defaults set. */
  readStored(object: Draft): void;
  /**
   * Everything that a new object must fulfil beside the rules of metadata. `earlier`: what was found already; rules
   * (`x-kubernetes-validations`) are not run when that or the schema's own verdict blocks them.
   */
  validate(object: Draft, earlier?: readonly FieldError[]): FieldError[];
  /** The same for an update; what did not change may stay invalid (ratcheting). */
  validateUpdate(object: Draft, old: Draft, earlier?: readonly FieldError[]): FieldError[];
  /** The same for an update of the status subresource. */
  validateStatusUpdate(object: Draft, old: Draft, earlier?: readonly FieldError[]): FieldError[];
  /** How server-side apply owns and merges objects. Made on first use. */
  readonly mergeType: MergeType;
}

/** Compiles a version's `openAPIV3Schema` (as JSON; undefined: anything goes). Cheap enough to do on each CRD change. */
export function createCustomSchema(schema: unknown, options: CustomSchemaOptions): CustomSchema {
  const root = compileSchema(schema);
  void options;
  void root;
  throw new Error("under construction");
}
