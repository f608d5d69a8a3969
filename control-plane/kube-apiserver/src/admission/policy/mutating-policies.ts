import type {
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
} from "@coracle/api/admissionregistration/v1beta1";
import { cloneJson, equalJson, statusError, type Draft } from "@coracle/apimachinery";
import type { AdmissionAttributes, ServedVersion } from "../../registry/registry.ts";
import type { ApiObject } from "../../registry/resource-definition.ts";
import type { AdmissionDeps } from "../order.ts";
import type { AdmissionPlugin } from "../plugin.ts";
import { refusalOf } from "../refusal.ts";
import { kindOf, withoutIdentity } from "../webhook/admission-request.ts";
import { createKindVersions, type KindVersions } from "../webhook/kind-versions.ts";
import { readPatched, replaceDraft } from "../webhook/patched-object.ts";
import { viewAs } from "../webhook/selection.ts";
import type { CompiledMutations } from "./mutating-policy.ts";
import { compileCriteria, matchCriteria, type Criteria } from "./policy-matching.ts";
import { errorTypeOf, PolicyMetrics } from "./policy-metrics.ts";
import { collectParams } from "./policy-params.ts";
import { followPolicies, type Hook, type PolicySource } from "./policy-source.ts";
import { isOutsidePolicies } from "./validating-policies.ts";

const NAME = "MutatingAdmissionPolicy";
const POLICIES = { group: "admissionregistration.k8s.io", version: "v1beta1", plural: "mutatingadmissionpolicies" };

type PolicySpec = NonNullable<MutatingAdmissionPolicy["spec"]>;
type BindingSpec = NonNullable<MutatingAdmissionPolicyBinding["spec"]>;

interface Policy {
  readonly spec: PolicySpec;
  readonly criteria: Criteria;
  /** Compiled when the first request matches. */
  compiled?: Promise<CompiledMutations>;
}

interface Binding {
  readonly name: string;
  readonly spec: BindingSpec;
  readonly criteria: Criteria | undefined;
}

/** A policy that is to run on a request, once for each of its parameters. */
interface Invocation {
  readonly key: string;
  readonly name: string;
  readonly policy: Policy;
  readonly binding: string;
  readonly as: ServedVersion;
  readonly params: ApiObject | null;
}

interface Failure {
  readonly message: string;
  readonly reason: "Invalid" | "Forbidden";
}

/** What is remembered between the two rounds of one request. */
interface Memory {
  readonly ran: Set<string>;
  readonly again: Set<string>;
  lastOutput: unknown;
}

function readPolicy(object: ApiObject): Policy {
  const spec = object["spec"] as unknown as PolicySpec;
  return { spec, criteria: compileCriteria((spec.matchConstraints ?? {}) as Parameters<typeof compileCriteria>[0]) };
}

function readBinding(object: ApiObject): Binding {
  const spec = object["spec"] as unknown as BindingSpec;
  const match = spec.matchResources as Parameters<typeof compileCriteria>[0] | undefined;
  const criteria = match === undefined ? undefined : compileCriteria(match);
  return { name: object.metadata["name"] as string, spec, criteria };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function runAgain({ ran, again }: Memory): void {
  for (const key of ran) again.add(key);
  ran.clear();
}

/** One request on its way through all policies that mutate. */
class Mutating {
  readonly failures: Failure[] = [];
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

  #fail(policy: Policy, name: string, binding: string | undefined, message: string, reason: Failure["reason"]): void {
    if (policy.spec.failurePolicy === "Ignore") return;
    const who = binding === undefined ? JSON.stringify(name) : `'${name}' with binding '${binding}'`;
    this.failures.push({ message: `policy ${who} denied request: ${message}`, reason });
  }

  async select({ name, policy, bindings }: Hook<Policy, Binding>): Promise<readonly Invocation[]> {
    const deps = { objects: this.#deps.objects, versions: this.#versions };
    const attributes = this.#attributes;
    let as: ServedVersion | undefined;
    try {
      as = await matchCriteria(policy.criteria, attributes, deps);
    } catch (error) {
      this.#fail(policy, name, undefined, `failed to configure policy: ${messageOf(error)}`, "Forbidden");
    }
    if (as === undefined) return [];
    const invocations: Invocation[] = [];
    for (const { name: binding, spec, criteria } of bindings) {
      try {
        if (criteria !== undefined && (await matchCriteria(criteria, attributes, deps)) === undefined) continue;
        const { namespace } = attributes;
        for (const params of await collectParams(policy.spec.paramKind, spec.paramRef, namespace, deps.objects)) {
          const { namespace: from = "", name: param = "" } = (params?.metadata ?? {}) as Record<string, string>;
          const key = `${name}/${binding}/${from}/${param}`;
          invocations.push({ key, name, policy, binding, as, params });
        }
      } catch (error) {
        this.#fail(policy, name, binding, `failed to configure binding: ${messageOf(error)}`, "Forbidden");
      }
    }
    return invocations;
  }

  /** True: the object is another one now, or the policy wanted it looked at. */
  async run(invocation: Invocation, shouldRun: () => boolean): Promise<{ ran: boolean; changed: boolean }> {
    const { name, policy, binding, as, params } = invocation;
    const attributes = this.#attributes;
    const draft = attributes.object;
    const { bindRequest, namespaceOfRequest } = await import("./policy-bindings.ts");
    policy.compiled ??= import("./mutating-policy.ts").then(({ compileMutations }) => compileMutations(policy.spec));
    const compiled = await policy.compiled;
    const namespace = await namespaceOfRequest(attributes, this.#deps.objects);
    const oldObject = await viewAs(this.#versions, attributes, attributes.oldObject as Draft | undefined, as);
    const bind = (object: Draft | undefined): Readonly<Record<string, unknown>> =>
      bindRequest(attributes, as, { object, oldObject, namespace, params }, this.#deps.authorizer).full;
    let seen = await this.#view(as);
    const matched = await compiled.matches(bind(seen));
    if (typeof matched === "string") this.#fail(policy, name, binding, matched, "Invalid");
    if (matched !== true || !shouldRun()) return { ran: false, changed: false };
    if (draft === undefined || seen === undefined) return { ran: true, changed: false };
    const before = cloneJson(seen);
    for (let index = 0; index < compiled.count; index++) {
      const startedAt = this.#deps.clock.monotonicMs();
      const seconds = (): number => (this.#deps.clock.monotonicMs() - startedAt) / 1000;
      try {
        const mergeType = attributes.reading?.schema.mergeType?.(as.kind);
        seen = await compiled.mutate(index, { object: seen, mergeType }, bind(seen));
        this.#metrics.observe(name, binding, "allow", "no_error", seconds());
      } catch (error) {
        const message = messageOf(error);
        this.#metrics.observe(name, binding, "deny", errorTypeOf(message, false), seconds());
        this.#fail(policy, name, binding, message, "Invalid");
      }
    }
    if (equalJson(before, seen)) return { ran: true, changed: false };
    await this.#replace(as, seen);
    return { ran: true, changed: true };
  }

  async #view(as: ServedVersion): Promise<Draft | undefined> {
    const attributes = this.#attributes;
    const seen = await viewAs(this.#versions, attributes, attributes.object, as);
    if (seen === undefined) return undefined;
    return attributes.operation === "CREATE" ? withoutIdentity(seen, attributes) : cloneJson(seen);
  }

  async #replace(as: ServedVersion, seen: Draft): Promise<void> {
    const attributes = this.#attributes;
    const draft = attributes.object!;
    const own = kindOf(attributes);
    const isOther = as.kind.group !== own.group || as.kind.version !== own.version;
    const converted = isOther ? await this.#versions.convert(attributes, seen, own) : seen;
    const fresh = readPatched(attributes, own, converted);
    if (attributes.isUnnamed === true) fresh.metadata.name ??= draft.metadata.name;
    replaceDraft(draft, fresh, attributes.context.warnings);
  }
}

function refuse(attributes: AdmissionAttributes, failures: readonly Failure[]): Error {
  const [first] = failures;
  const refusal = refusalOf(attributes, "") as ReturnType<typeof statusError>;
  const causes = failures.map(({ message }) => ({ message }));
  const details = { ...(refusal.status.details as Record<string, unknown> | undefined), causes };
  // Upstream sets the reason and leaves the code.
  return statusError(first!.reason, first!.message, details, { code: 403 });
}

/** The plugin MutatingAdmissionPolicy: at work where `--runtime-config` has its kinds served. */
export function mutatingAdmissionPolicies(deps: AdmissionDeps): AdmissionPlugin {
  const versions = createKindVersions();
  const metrics = new PolicyMetrics("mutating");
  deps.addMetrics(() => metrics.render());
  let source: PolicySource<Policy, Binding> | undefined;
  deps.whenOpen((registry) => {
    const { group, version, plural } = POLICIES;
    if (registry.resource(group, version, plural) === undefined) return { [Symbol.dispose]: () => {} };
    const bindings = "mutatingadmissionpolicybindings";
    source = followPolicies<Policy, Binding>(registry, {
      version,
      policies: plural,
      bindings,
      readPolicy,
      readBinding,
    });
    return source;
  });

  async function dispatch(attributes: AdmissionAttributes, hooks: readonly Hook<Policy, Binding>[]): Promise<void> {
    const { reinvocation } = attributes;
    const isSecond = reinvocation?.isSecond === true;
    const known = reinvocation?.memory?.get(NAME) as Memory | undefined;
    const memory: Memory = known ?? { ran: new Set(), again: new Set(), lastOutput: undefined };
    if (reinvocation !== undefined) (reinvocation.memory ??= new Map()).set(NAME, memory);
    if (isSecond && !equalJson(memory.lastOutput as never, attributes.object as never)) runAgain(memory);
    const mutating = new Mutating(attributes, deps, versions, metrics);
    const invocations: Invocation[] = [];
    for (const hook of hooks) invocations.push(...(await mutating.select(hook)));
    for (const invocation of invocations) {
      const shouldRun = (): boolean => !isSecond || memory.again.has(invocation.key);
      const { ran, changed } = await mutating.run(invocation, shouldRun);
      if (!ran) continue;
      if (changed) {
        runAgain(memory);
        if (reinvocation !== undefined) reinvocation.isWanted = true;
      }
      if (invocation.policy.spec.reinvocationPolicy === "IfNeeded") memory.ran.add(invocation.key);
    }
    memory.lastOutput = attributes.object === undefined ? undefined : cloneJson(attributes.object);
    if (mutating.failures.length > 0) throw refuse(attributes, mutating.failures);
  }

  return {
    name: NAME,
    scope: { operations: ["CREATE", "UPDATE", "CONNECT"] },
    admit(attributes) {
      const hooks = source?.hooks ?? [];
      if (hooks.length === 0 || isOutsidePolicies(attributes)) return undefined;
      return dispatch(attributes, hooks);
    },
  };
}
