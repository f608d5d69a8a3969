import type {
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from "@coracle/api/admissionregistration/v1";
import { statusError, type Draft, type StatusReason } from "@coracle/apimachinery";
import type { AdmissionAttributes, ServedVersion } from "../../registry/registry.ts";
import type { ApiObject } from "../../registry/resource-definition.ts";
import type { AdmissionDeps } from "../order.ts";
import type { AdmissionPlugin } from "../plugin.ts";
import { refusalOf } from "../refusal.ts";
import { createKindVersions, type KindVersions } from "../webhook/kind-versions.ts";
import { isExempt, viewAs } from "../webhook/selection.ts";
import { compileCriteria, matchCriteria, type Criteria } from "./policy-matching.ts";
import { errorTypeOf, PolicyMetrics } from "./policy-metrics.ts";
import { collectParams } from "./policy-params.ts";
import { followPolicies, type Hook, type PolicySource } from "./policy-source.ts";
import type { CompiledPolicy, Decision, Note } from "./validating-policy.ts";

const MAX_ANNOTATION = 10 * 1024;
const CODES: Readonly<Record<string, number>> = { Unauthorized: 401, Forbidden: 403, RequestEntityTooLarge: 413 };

/** Requests that are about nothing stored: policies must not stand in the way of deciding who may do what. */
const EXCLUDED: ReadonlySet<string> = new Set([
  "authentication.k8s.io/selfsubjectreviews",
  "authentication.k8s.io/tokenreviews",
  "authorization.k8s.io/localsubjectaccessreviews",
  "authorization.k8s.io/selfsubjectaccessreviews",
  "authorization.k8s.io/selfsubjectrulesreviews",
  "authorization.k8s.io/subjectaccessreviews",
]);

/** True for requests that no policy is asked about. */
export const isOutsidePolicies = (attributes: AdmissionAttributes): boolean =>
  isExempt(attributes) || EXCLUDED.has(`${attributes.group}/${attributes.resource}`);

type PolicySpec = NonNullable<ValidatingAdmissionPolicy["spec"]>;
type BindingSpec = NonNullable<ValidatingAdmissionPolicyBinding["spec"]>;

interface Policy {
  readonly spec: PolicySpec;
  readonly criteria: Criteria;
  /** Compiled when the first request matches. */
  compiled?: Promise<CompiledPolicy>;
}

interface Binding {
  readonly name: string;
  readonly spec: BindingSpec;
  readonly criteria: Criteria | undefined;
}

interface Denial {
  readonly policy: string;
  readonly binding: string | undefined;
  readonly message: string;
  readonly reason: string;
}

function readPolicy(object: ApiObject): Policy {
  const spec = object["spec"] as unknown as PolicySpec;
  return { spec, criteria: compileCriteria(spec.matchConstraints ?? {}) };
}

function readBinding(object: ApiObject): Binding {
  const spec = object["spec"] as unknown as BindingSpec;
  const criteria = spec.matchResources === undefined ? undefined : compileCriteria(spec.matchResources);
  return { name: object.metadata["name"] as string, spec, criteria };
}

function compiled(policy: Policy): Promise<CompiledPolicy> {
  // The evaluator is loaded when the first request matches a policy.
  policy.compiled ??= import("./validating-policy.ts").then(({ compilePolicy }) => compilePolicy(policy.spec));
  return policy.compiled;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** One request on its way through all policies. */
class Inspection {
  readonly denials: Denial[] = [];
  readonly #attributes: AdmissionAttributes;
  readonly #deps: AdmissionDeps;
  readonly #versions: KindVersions;
  readonly #metrics: PolicyMetrics;

  constructor(attributes: AdmissionAttributes, deps: AdmissionDeps, versions: KindVersions, metrics: PolicyMetrics) {
    this.#attributes = attributes;
    this.#deps = deps;
    this.#versions = versions;
    this.#metrics = metrics;
  }

  async inspect({ name, policy, bindings }: Hook<Policy, Binding>): Promise<void> {
    const deps = { objects: this.#deps.objects, versions: this.#versions };
    const misconfigured = (error: unknown, binding?: string): void => {
      if (policy.spec.failurePolicy === "Ignore") return;
      const what = binding === undefined ? "policy" : "binding";
      const message = `failed to configure ${what}: ${messageOf(error)}`;
      this.denials.push({ policy: name, binding, message, reason: "" });
    };
    let as: ServedVersion | undefined;
    try {
      as = await matchCriteria(policy.criteria, this.#attributes, deps);
    } catch (error) {
      misconfigured(error);
    }
    if (as === undefined) return;
    const annotations = new Map<string, string[]>();
    for (const binding of bindings) {
      let params: readonly (ApiObject | null)[];
      try {
        const isBound =
          binding.criteria === undefined ||
          (await matchCriteria(binding.criteria, this.#attributes, deps)) !== undefined;
        if (!isBound) continue;
        const { paramKind } = policy.spec;
        const { namespace } = this.#attributes;
        params = await collectParams(paramKind, binding.spec.paramRef, namespace, this.#deps.objects);
      } catch (error) {
        misconfigured(error, binding.name);
        continue;
      }
      for (const param of params) await this.#apply(name, policy, binding, as, param, annotations);
    }
    for (const [key, values] of annotations) this.#attributes.context.annotate?.(`${name}/${key}`, values.join(", "));
  }

  async #apply(
    name: string,
    policy: Policy,
    binding: Binding,
    as: ServedVersion,
    params: ApiObject | null,
    annotations: Map<string, string[]>,
  ): Promise<void> {
    const startedAt = this.#deps.clock.monotonicMs();
    const { bindRequest, namespaceOfRequest } = await import("./policy-bindings.ts");
    const attributes = this.#attributes;
    const seen = {
      object: await viewAs(this.#versions, attributes, attributes.object, as),
      oldObject: await viewAs(this.#versions, attributes, attributes.oldObject as Draft | undefined, as),
      namespace: await namespaceOfRequest(attributes, this.#deps.objects),
      params,
    };
    const program = await compiled(policy);
    const verdict = await program.evaluate(bindRequest(attributes, as, seen, this.#deps.authorizer));
    const seconds = (this.#deps.clock.monotonicMs() - startedAt) / 1000 / Math.max(1, verdict.decisions.length);
    verdict.decisions.forEach((decision, index) => this.#enforce(name, binding, decision, index, seconds));
    for (const note of verdict.notes) this.#note(name, binding, note, annotations, seconds);
  }

  #enforce(policy: string, binding: Binding, decision: Decision, index: number, seconds: number): void {
    const errorType = errorTypeOf(decision.message, decision.isEvaluated);
    // What is denied is an error of the request, not of the policy, but upstream's metrics call both so.
    const counted = decision.isDenied && decision.isEvaluated ? "invalid_error" : errorType;
    if (!decision.isDenied) {
      if (!decision.isEvaluated) this.#metrics.observe(policy, binding.name, "allow", errorType, seconds);
      return;
    }
    const { message, reason } = decision;
    for (const action of binding.spec.validationActions ?? []) {
      switch (action) {
        case "Deny":
          this.denials.push({ policy, binding: binding.name, message, reason });
          this.#metrics.observe(policy, binding.name, "deny", counted, seconds);
          break;
        case "Audit":
          this.#annotateFailure(policy, binding, index, message);
          this.#metrics.observe(policy, binding.name, "audit", counted, seconds);
          break;
        case "Warn":
          this.#attributes.context.warnings.push(
            `Validation failed for ValidatingAdmissionPolicy '${policy}' with binding '${binding.name}': ${message}`,
          );
          this.#metrics.observe(policy, binding.name, "warn", counted, seconds);
          break;
        default:
      }
    }
  }

  #annotateFailure(policy: string, binding: Binding, expressionIndex: number, message: string): void {
    const validationActions = binding.spec.validationActions ?? [];
    const failure = { message, policy, binding: binding.name, expressionIndex, validationActions };
    const key = "validation.policy.admission.k8s.io/validation_failure";
    this.#attributes.context.annotate?.(key, JSON.stringify([failure]));
  }

  #note(policy: string, binding: Binding, note: Note, annotations: Map<string, string[]>, seconds: number): void {
    if (note.error !== undefined) {
      this.denials.push({ policy, binding: binding.name, message: note.error, reason: "" });
      this.#metrics.observe(policy, binding.name, "deny", errorTypeOf(note.error, false), seconds);
      return;
    }
    const value = Buffer.from(note.value).subarray(0, MAX_ANNOTATION).toString();
    const values = annotations.get(note.key);
    if (values === undefined) annotations.set(note.key, [value]);
    else if (!values.includes(value)) values.push(value);
  }
}

/** The refusal that the client gets for the first denial. */
function refuse(attributes: AdmissionAttributes, { policy, binding, message, reason }: Denial): Error {
  const by = binding === undefined ? "" : ` with binding '${binding}'`;
  const why = `ValidatingAdmissionPolicy '${policy}'${by} denied request: ${message}`;
  const refusal = refusalOf(attributes, why) as ReturnType<typeof statusError>;
  const { status } = refusal;
  const wanted = reason === "" ? "Invalid" : reason;
  const details = { ...(status.details as Record<string, unknown> | undefined), causes: [{ message: why }] };
  return statusError(wanted as StatusReason, status.message ?? why, details, { code: CODES[wanted] ?? 422 });
}

/** The plugin ValidatingAdmissionPolicy. */
export function validatingAdmissionPolicies(deps: AdmissionDeps): AdmissionPlugin {
  const versions = createKindVersions();
  const metrics = new PolicyMetrics("validating");
  deps.addMetrics(() => metrics.render());
  let source: PolicySource<Policy, Binding> | undefined;
  deps.whenOpen(
    (registry) =>
      (source = followPolicies<Policy, Binding>(registry, {
        version: "v1",
        policies: "validatingadmissionpolicies",
        bindings: "validatingadmissionpolicybindings",
        readPolicy,
        readBinding,
      })),
  );
  return {
    name: "ValidatingAdmissionPolicy",
    scope: { operations: ["CREATE", "UPDATE", "DELETE", "CONNECT"] },
    validate(attributes) {
      const hooks = source?.hooks ?? [];
      if (hooks.length === 0 || isOutsidePolicies(attributes)) return undefined;
      return (async () => {
        const inspection = new Inspection(attributes, deps, versions, metrics);
        for (const hook of hooks) await inspection.inspect(hook);
        const [first] = inspection.denials;
        if (first !== undefined) throw refuse(attributes, first);
      })();
    },
  };
}
