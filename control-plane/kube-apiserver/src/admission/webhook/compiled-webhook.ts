import { compileLabelSelector, type Selector } from "@coracle/apimachinery";
import type { MutatingWebhook, RuleWithOperations, ValidatingWebhook } from "@coracle/api/admissionregistration/v1";
import { followResource, type Mirror } from "../../registry/registry-mirror.ts";
import type { Registry } from "../../registry/registry.ts";
import type { ApiObject } from "../../registry/resource-definition.ts";

/** A webhook of a configuration, with what is worked out once. */
export interface CompiledWebhook {
  readonly name: string;
  /** `CONFIGURATION/NAME/N`: one of a kind. */
  readonly uid: string;
  readonly configuration: string;
  readonly rules: readonly RuleWithOperations[];
  /** Undefined: everything. */
  readonly namespaceSelector: Selector | undefined;
  readonly objectSelector: Selector | undefined;
  readonly matchesEquivalent: boolean;
  readonly ignoresFailures: boolean;
  readonly hasNoSideEffects: boolean;
  readonly timeoutMs: number;
  readonly reviewVersion: "v1" | "v1beta1" | undefined;
  readonly reinvokes: boolean;
  readonly clientConfig: ValidatingWebhook["clientConfig"];
  readonly matchConditions: NonNullable<ValidatingWebhook["matchConditions"]>;
}

type Webhook = ValidatingWebhook & Partial<MutatingWebhook>;

const NO_EFFECTS: ReadonlySet<string> = new Set(["None", "NoneOnDryRun"]);
const DEFAULT_TIMEOUT_SECONDS = 10;

function selectorOf(selector: ValidatingWebhook["objectSelector"]): Selector | undefined {
  const compiled = compileLabelSelector(selector ?? {});
  return compiled.requirements.length === 0 && !compiled.matchesNothing ? undefined : compiled;
}

const REVIEW_VERSIONS = ["v1", "v1beta1"] as const;

/** The webhooks of a configuration object, in its order. */
export function compileWebhooks(object: ApiObject): readonly CompiledWebhook[] {
  const configuration = object.metadata["name"] as string;
  const webhooks = (object["webhooks"] ?? []) as unknown as readonly Webhook[];
  const counts = new Map<string, number>();
  return webhooks.map((webhook) => {
    const { name } = webhook;
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    const wanted = webhook.admissionReviewVersions.find((version) =>
      (REVIEW_VERSIONS as readonly string[]).includes(version),
    );
    return {
      name,
      uid: `${configuration}/${name}/${count}`,
      configuration,
      rules: webhook.rules ?? [],
      namespaceSelector: selectorOf(webhook.namespaceSelector),
      objectSelector: selectorOf(webhook.objectSelector),
      matchesEquivalent: webhook.matchPolicy !== "Exact",
      ignoresFailures: webhook.failurePolicy === "Ignore",
      hasNoSideEffects: NO_EFFECTS.has(webhook.sideEffects),
      timeoutMs: (webhook.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000,
      reviewVersion: wanted as CompiledWebhook["reviewVersion"],
      reinvokes: webhook.reinvocationPolicy === "IfNeeded",
      clientConfig: webhook.clientConfig,
      matchConditions: webhook.matchConditions ?? [],
    };
  });
}

/** All webhooks of one kind of configuration, in the order of the configurations' names. */
export interface WebhookSource extends Disposable {
  /** The same array until a configuration changes. */
  readonly webhooks: readonly CompiledWebhook[];
}

/** Follows the configurations; each is compiled once for each change of it. */
export function followWebhooks(registry: Registry, plural: string): WebhookSource {
  const byName = new Map<string, readonly CompiledWebhook[]>();
  let all: readonly CompiledWebhook[] | undefined;
  const nameOf = (object: ApiObject): string => object.metadata["name"] as string;
  const mirror: Mirror = followResource(
    registry,
    { group: "admissionregistration.k8s.io", version: "v1", plural },
    {
      upsert(object) {
        byName.set(nameOf(object), compileWebhooks(object));
        all = undefined;
      },
      removed(object) {
        byName.delete(nameOf(object));
        all = undefined;
      },
      reset() {
        byName.clear();
        all = undefined;
      },
    },
  );
  return {
    get webhooks() {
      all ??= [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, hooks]) => hooks);
      return all;
    },
    [Symbol.dispose]: () => mirror[Symbol.dispose](),
  };
}
