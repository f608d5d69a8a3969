import type { Program } from "@coracle/cel";
import type { Authorizer } from "../../authorization/authorizer.ts";
import type { AdmissionAttributes, ServedVersion } from "../../registry/registry.ts";
import { admissionReview, withoutIdentity } from "./admission-request.ts";
import type { CompiledWebhook } from "./compiled-webhook.ts";
import type { KindVersions } from "./kind-versions.ts";
import { viewAs, type MatchConditions } from "./selection.ts";
import type { WebhookMetrics, WebhookType } from "./webhook-metrics.ts";

/** What conditions may ask for, and where their outcome is counted. */
export interface ConditionDeps {
  readonly authorizer: Authorizer;
  readonly versions: KindVersions;
  readonly metrics: WebhookMetrics;
  /** The kind of configuration. */
  readonly plural: string;
}

/** What the conditions of one webhook may cost together, as in upstream. */
const BUDGET = 2_500_000;
const OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run";

/** An expression, or why it is none. */
type Compiled = { readonly program: Program; readonly problem?: never } | { readonly problem: string };

/** Evaluates the conditions of webhooks. A failed one counts as the webhook's failure policy says. */
export function evaluateConditions({ authorizer, versions, metrics, plural }: ConditionDeps): MatchConditions {
  const type: WebhookType = plural.startsWith("mutating") ? "admit" : "validating";
  const compiled = new WeakMap<CompiledWebhook, readonly Compiled[]>();

  /** The evaluator is loaded when the first condition is met. */
  async function programsOf(hook: CompiledWebhook): Promise<readonly Compiled[]> {
    const known = compiled.get(hook);
    if (known !== undefined) return known;
    const { admissionEnvironment } = await import("../expressions/admission-environment.ts");
    const programs = hook.matchConditions.map(({ expression }): Compiled => {
      try {
        const program = admissionEnvironment().compile(expression);
        const { kind } = program.resultType;
        if (kind === "bool") return { program };
        return { problem: `must evaluate to bool but got ${kind}` };
      } catch (error) {
        return { problem: `compilation failed: ${(error as Error).message}` };
      }
    });
    compiled.set(hook, programs);
    return programs;
  }

  async function bindingsOf(attributes: AdmissionAttributes, as: ServedVersion): Promise<Record<string, unknown>> {
    const { bindAuthorizer } = await import("@coracle/cel");
    const { celAuthorizer } = await import("../expressions/cel-authorizer.ts");
    const seen = await viewAs(versions, attributes, attributes.object, as);
    const isNew = type === "admit" && attributes.operation === "CREATE";
    const object = seen !== undefined && isNew ? withoutIdentity(seen, attributes) : seen;
    const oldObject = await viewAs(versions, attributes, attributes.oldObject as typeof object, as);
    const { group, resource, subresource, namespace, name, context } = attributes;
    const own = { ...as, group, version: attributes.version, resource };
    const { request } = admissionReview("v1", "", { attributes, as: own, object: undefined, oldObject: undefined });
    const asked = bindAuthorizer(celAuthorizer(authorizer, context.user), {
      group,
      resource,
      subresource,
      namespace,
      name,
    });
    return {
      object: object ?? null,
      oldObject: oldObject ?? null,
      request,
      namespaceObject: null,
      authorizer: asked.authorizer,
      "authorizer.requestResource": asked.requestResource,
    };
  }

  return async (hook, attributes, as) => {
    const { operation } = attributes;
    const fail = (message: string): { holds: false; error?: Error } =>
      hook.ignoresFailures ? { holds: false } : { holds: false, error: new Error(message) };
    const programs = await programsOf(hook);
    const bindings = await bindingsOf(attributes, as);
    const results: (string | boolean)[] = [];
    let left = BUDGET;
    for (const [i, { program, problem }] of programs
      .map((one) => ({ program: undefined, problem: "", ...one }))
      .entries()) {
      if (program === undefined) {
        results.push(`compilation error: ${problem}`);
        continue;
      }
      const evaluation = await program.evaluateAsync(bindings);
      if (evaluation.cost > left) return fail(OUT_OF_BUDGET);
      left -= evaluation.cost;
      const { expression } = hook.matchConditions[i]!;
      results.push(
        evaluation.ok ? evaluation.value === true : `expression '${expression}' resulted in error: ${evaluation.error}`,
      );
    }
    const errors: string[] = [];
    for (const result of results) {
      if (typeof result === "string") {
        errors.push(result);
        metrics.observeConditionError(hook.name, type, operation);
      } else if (!result) {
        // One that does not hold decides, whatever the others do.
        metrics.observeExclusion(hook.name, type, operation);
        return { holds: false };
      }
    }
    if (errors.length === 0) return { holds: true };
    const unique = [...new Set(errors)];
    return fail(unique.length === 1 ? unique[0]! : `[${unique.join(", ")}]`);
  };
}
