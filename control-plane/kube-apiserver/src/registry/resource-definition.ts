import type { Clock, Random } from "@coracle/base";
import type { Draft, FieldError, JsonObject } from "@coracle/apimachinery";

/** An API object as read from storage or decoded: parsed JSON, not to be changed. */
export type ApiObject = JsonObject & { readonly metadata: JsonObject };
/** An object on its way in, that strategies change in place. */
export type ApiDraft = Draft & { metadata: Draft };

/** What a strategy may know beside the objects themselves. */
export interface StrategyContext {
  readonly clock: Clock;
  readonly random: Random;
  /** The requesting user, for kinds that record it (CertificateSigningRequest). */
  readonly user: {
    readonly name: string;
    readonly uid?: string;
    readonly groups: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
  readonly isDryRun: boolean;
  /** `NAMESPACE` of the request, `""` for cluster-scoped kinds. */
  readonly namespace: string;
  /** Takes what the client is to be warned of. Absent: nobody hears it. */
  readonly warnings?: string[];
}

/** How one way of updating (the main resource, `status`, `scale`'s target, `resize` …) treats the object. */
export interface UpdateStrategy {
  /** Brings back from `old` what this way may not change; resets what it must. Runs before validation. */
  prepare?(draft: ApiDraft, old: ApiObject, context: StrategyContext): void;
  validate?(object: ApiObject, old: ApiObject, context: StrategyContext): FieldError[];
  warnings?(object: ApiObject, old: ApiObject): string[];
}

/**
 * Everything that is special about one API kind, and nothing else. What all kinds share (metadata validation, uid,
 * generation, resourceVersion, finalizers, deletion, structural decoding, the schema's declared defaults) is the
 * registry's business.
 *
 * Order for a create: decode (structure, unknown fields) → `defaults` → mutating admission → `prepareForCreate` →
 * `validate` (metadata checks first) → validating admission → store. For an update: decode → `defaults` → mutating
 * admission → `update.prepare` → `validate(object)` and `update.validate(object, old)` → validating admission → store.
 */
export interface ResourceDefinition {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  /** Fills absent fields, on every decode of a versioned object. Must be idempotent and cheap. */
  defaults?(draft: ApiDraft): void;
  /** Clears what clients may not set at create (status …), fills what the server decides. */
  prepareForCreate?(draft: ApiDraft, context: StrategyContext): void;
  /** Fetches what the rules stand on, where that is too much to be had from the start. Called before they are. */
  load?(): Promise<void>;
  /** Rules for a new object; also run on updates. Metadata is checked by the registry, names by `validateName`. */
  validate?(object: ApiObject, context: StrategyContext): FieldError[];
  /** Rules for a new object alone, whose updates are checked by `update.validate`. `earlier`: what was found already. */
  validateNew?(object: ApiObject, earlier: readonly FieldError[]): FieldError[];
  /** Message for a bad name, undefined for a good one. Absent: DNS-1123 subdomain. `isPrefix`: it is a generateName. */
  validateName?(name: string, isPrefix: boolean, object?: ApiObject): string[];
  /**
   * When a new object's metadata is looked at. Absent: first. `afterRules`: between `validate` and `validateNew`. `alone`: where
   * nothing else is wrong.
   */
  readonly metadataOrder?: "first" | "afterRules" | "alone";
  /** The main resource. Absent members: plain replace. */
  readonly update?: UpdateStrategy;
  /** Subresources that are written like the object itself: `status`, `resize`, `ephemeralcontainers`, `approval`, `finalize`. */
  readonly subresources?: Readonly<Record<string, UpdateStrategy>>;
  createWarnings?(object: ApiObject): string[];
  /** `saysWhatWithDependents`: the delete names a propagation policy. */
  deleteWarnings?(saysWhatWithDependents: boolean): string[];
  /** Finalizers need no domain: custom resources and their definitions. */
  readonly hasFreeFinalizers?: boolean;
  /** PUT of an absent object creates it. */
  readonly allowCreateOnUpdate?: boolean;
  /** PUT without resourceVersion is accepted. Absent: true. */
  readonly allowUnconditionalUpdate?: boolean;
  /** Marks an object for its deletion in place of what all kinds share: something must happen before it goes. */
  holdDeletion?(draft: ApiDraft, now: number): void;
  /** Graceful deletion: seconds of grace for this object; absent: deleted at once. */
  gracePeriodSeconds?(object: ApiObject, requested: number | undefined): number;
  /** Field selectors beside metadata.name and metadata.namespace: path → value of an object (`""` when unset). */
  readonly selectableFields?: Readonly<Record<string, (object: ApiObject) => string>>;
  /** `spec` and `status` both exist: generation is raised when anything outside metadata and status changes. Absent: derived from the schema. */
  readonly hasGeneration?: boolean;
  /** Whether the generation stays at 1 whatever changes. */
  readonly keepsGeneration?: boolean;
  /** Whether a change of metadata alone raises the generation. Absent: it does not. */
  countsMetadata?(draft: ApiDraft, old: ApiObject): boolean;
  /** Default propagation when a delete says none. Absent: "Background". */
  readonly defaultPropagation?: "Background" | "Orphan" | "Unsupported";
}
