import { forbidden, internalError, invalid, type FieldError } from "@coracle/apimachinery";
import type { Pod, PodTemplateSpec } from "@coracle/api/core/v1";
import type { Clock } from "@coracle/base";
import type { RegistryReader } from "../../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../../registry/registry.ts";
import type { ApiObject } from "../../registry/resource-definition.ts";
import type { AdmissionPlugin } from "../plugin.ts";
import { evaluatePod, printDetails } from "./evaluate.ts";
import { warnOfExistingPods } from "./existing-pods.ts";
import { PodSecurityMetrics } from "./pod-security-metrics.ts";
import { podView, type Violation } from "./pod-view.ts";
import {
  compareLevels,
  isEquivalent,
  isFullyPrivileged,
  POD_SECURITY_PREFIX,
  printLevel,
  readPolicy,
  sameLevel,
  type LevelVersion,
  type Policy,
} from "./policy.ts";

const NAMESPACES = { group: "", version: "v1", plural: "namespaces" };
const PODS = { group: "", version: "v1", plural: "pods" };
/** How long a change of a namespace's labels may wait for its pods to be looked at. */
const NAMESPACE_CHECK_MS = 1000;

/** What the plugin can be told. */
export interface PodSecurityConfiguration {
  readonly defaults: Policy;
  readonly exemptions: {
    readonly usernames: readonly string[];
    readonly namespaces: readonly string[];
    readonly runtimeClasses: readonly string[];
  };
}

const FREE: LevelVersion = { level: "privileged", minor: undefined };

/** Nothing is enforced, nobody is exempt: upstream's defaults. */
export const defaultPodSecurity: PodSecurityConfiguration = {
  defaults: { enforce: FREE, audit: FREE, warn: FREE },
  exemptions: { usernames: [], namespaces: [], runtimeClasses: [] },
};

const CONTROLLERS = [
  "/replicationcontrollers",
  "/podtemplates",
  "apps/replicasets",
  "apps/deployments",
  "apps/statefulsets",
  "apps/daemonsets",
  "batch/jobs",
  "batch/cronjobs",
];

/** The template of pods that an object makes. */
function templateOf(kind: string, object: ApiObject): PodTemplateSpec | undefined {
  const of = object as unknown as {
    readonly template?: PodTemplateSpec;
    readonly spec?: {
      readonly template?: PodTemplateSpec;
      readonly jobTemplate?: { readonly spec?: { readonly template?: PodTemplateSpec } };
    };
  };
  if (kind === "podtemplates") return of.template;
  return kind === "cronjobs" ? of.spec?.jobTemplate?.spec?.template : of.spec?.template;
}

/** Whether an update brings in another program. Others were decided when the pod was made. */
function changesPrograms(pod: Pod, old: Pod): boolean {
  const { spec } = pod;
  const before = old.spec;
  for (const list of ["containers", "initContainers"] as const) {
    const [now, then] = [spec?.[list] ?? [], before?.[list] ?? []];
    if (now.length !== then.length || now.some(({ image }, i) => image !== then[i]?.image)) return true;
  }
  return (spec?.ephemeralContainers ?? []).some(
    ({ name, image }) => (before?.ephemeralContainers ?? []).find((one) => one.name === name)?.image !== image,
  );
}

const labelsOf = (object: ApiObject): Readonly<Record<string, string>> | undefined =>
  object.metadata["labels"] as Readonly<Record<string, string>> | undefined;

/** `[a: Invalid value …, b: …]`: several errors as one text. */
function printErrors(errors: readonly FieldError[]): string {
  const texts = errors.map(({ field, message }) => `${field}: ${message}`);
  return texts.length === 1 ? texts[0]! : `[${texts.join(", ")}]`;
}

/** Pods keep to the Pod Security Standard that their namespace's labels name; who would break it is told or refused. */
export function podSecurity(
  objects: RegistryReader,
  clock: Clock,
  addMetrics: (lines: () => string) => void,
  configuration: PodSecurityConfiguration = defaultPodSecurity,
): AdmissionPlugin {
  const { defaults, exemptions } = configuration;
  const metrics = new PodSecurityMetrics();
  addMetrics(() => metrics.render());

  const annotate = ({ context }: AdmissionAttributes, key: string, value: string): void =>
    context.annotate?.(`${POD_SECURITY_PREFIX}${key}`, value);
  const warn = ({ context }: AdmissionAttributes, text: string): void => {
    if (!context.warnings.includes(text)) context.warnings.push(text);
  };

  const policies = new WeakMap<ApiObject, ReturnType<typeof readPolicy>>();

  function isExempt(attributes: AdmissionAttributes): boolean {
    const isNamespaceExempt = exemptions.namespaces.includes(attributes.namespace);
    if (!isNamespaceExempt && !exemptions.usernames.includes(attributes.context.user.name)) return false;
    metrics.countExemption(attributes);
    annotate(attributes, "exempt", isNamespaceExempt ? "namespace" : "user");
    return true;
  }

  function exemptionWarning(name: string, policy: Policy, object: ApiObject): string | undefined {
    if (isFullyPrivileged(policy) || isEquivalent(policy, defaults)) return undefined;
    const labels = labelsOf(object) ?? {};
    const modes = (["enforce", "audit", "warn"] as const).filter((mode) => {
      const label = `${POD_SECURITY_PREFIX}${mode}`;
      const isSet = labels[label] !== undefined || labels[`${label}-version`] !== undefined;
      return isSet && policy[mode].level !== "privileged";
    });
    const text = modes.map((mode) => `${mode}=${printLevel(policy[mode])}`).join(", ");
    return `namespace "${name}" is exempt from Pod Security, and the policy (${text}) will be ignored`;
  }

  async function validateNamespace(attributes: AdmissionAttributes): Promise<void> {
    const object = attributes.object as ApiObject;
    const { oldObject, operation } = attributes;
    const name = attributes.name === "" ? (object.metadata["name"] as string) : attributes.name;
    const { policy, errors } = readPolicy(labelsOf(object), defaults);
    const refuse = (): Error => invalid({ group: "", kind: "Namespace" }, name, errors);
    const isNameExempt = exemptions.namespaces.includes(name);
    const warning = isNameExempt ? exemptionWarning(name, policy, object) : undefined;
    if (operation === "CREATE" || oldObject === undefined) {
      if (errors.length > 0) throw refuse();
      if (warning !== undefined) warn(attributes, warning);
      return;
    }
    const before = readPolicy(labelsOf(oldObject), defaults);
    // Labels that were wrong before do not keep others from being changed.
    if (errors.length > 0 && JSON.stringify(errors) !== JSON.stringify(before.errors)) throw refuse();
    const { enforce } = policy;
    const was = before.policy.enforce;
    if (sameLevel(enforce, was) || enforce.level === "privileged") return;
    if (enforce.minor === was.minor && compareLevels(enforce.level, was.level) < 0) return;
    if (isNameExempt) {
      if (warning !== undefined) warn(attributes, warning);
      return;
    }
    const pods = (await objects.list(PODS, name)) as unknown as readonly Pod[];
    const deadline = clock.monotonicMs() + NAMESPACE_CHECK_MS;
    const isLate = (): boolean => clock.monotonicMs() > deadline;
    for (const text of warnOfExistingPods(name, pods, enforce, exemptions.runtimeClasses, isLate))
      warn(attributes, text);
  }

  function evaluate(
    attributes: AdmissionAttributes,
    { policy, errors }: ReturnType<typeof readPolicy>,
    metadata: Pod["metadata"] | undefined,
    spec: NonNullable<Pod["spec"]>,
    isPod: boolean,
  ): void {
    if (spec.runtimeClassName !== undefined && exemptions.runtimeClasses.includes(spec.runtimeClassName)) {
      metrics.countExemption(attributes);
      annotate(attributes, "exempt", "runtimeClass");
      return;
    }
    if (errors.length > 0) {
      annotate(attributes, "error", `Failed to parse policy: ${printErrors(errors)}`);
      metrics.countError(false, attributes);
    }
    const view = podView(metadata, spec);
    const known = new Map<string, readonly Violation[]>();
    const violationsOf = (level: LevelVersion): readonly Violation[] => {
      const key = printLevel(level);
      let found = known.get(key);
      if (found === undefined) known.set(key, (found = evaluatePod(view, level)));
      return found;
    };
    let refusal: Error | undefined;
    if (isPod) {
      const { enforce } = policy;
      annotate(attributes, "enforce-policy", printLevel(enforce));
      const violations = violationsOf(enforce);
      metrics.countEvaluation(violations.length > 0 ? "deny" : "allow", enforce, "enforce", attributes);
      if (violations.length > 0) {
        refusal = forbidden(
          { group: attributes.group, resource: attributes.resource },
          attributes.name,
          `violates PodSecurity "${printLevel(enforce)}": ${printDetails(violations)}`,
        );
      }
    }
    const { audit, warn: told } = policy;
    const audited = violationsOf(audit);
    if (audited.length > 0) {
      annotate(
        attributes,
        "audit-violations",
        `would violate PodSecurity "${printLevel(audit)}": ${printDetails(audited)}`,
      );
      metrics.countEvaluation("deny", audit, "audit", attributes);
    }
    if (refusal !== undefined) throw refusal;
    const warned = violationsOf(told);
    if (warned.length === 0) return;
    warn(attributes, `would violate PodSecurity "${printLevel(told)}": ${printDetails(warned)}`);
    metrics.countEvaluation("deny", told, "warn", attributes);
  }

  /** A namespace as it is is never changed: what its labels say is read once. */
  function policyOf(namespace: ApiObject | undefined): ReturnType<typeof readPolicy> | undefined {
    if (namespace === undefined) return undefined;
    let found = policies.get(namespace);
    if (found === undefined) policies.set(namespace, (found = readPolicy(labelsOf(namespace), defaults)));
    return found;
  }

  /** Looks at the object by the rules of its namespace. */
  function validateBy(
    check: (attributes: AdmissionAttributes, read: ReturnType<typeof readPolicy> | undefined) => void,
    attributes: AdmissionAttributes,
  ): void | Promise<void> {
    if (isExempt(attributes)) return undefined;
    const namespace = objects.find(NAMESPACES, "", attributes.namespace);
    if (namespace instanceof Promise) return namespace.then((found) => check(attributes, policyOf(found)));
    check(attributes, policyOf(namespace));
    return undefined;
  }

  function validatePod(attributes: AdmissionAttributes, read: ReturnType<typeof readPolicy> | undefined): void {
    if (read === undefined) {
      metrics.countError(true, attributes);
      const why = `failed to lookup namespace "${attributes.namespace}"`;
      annotate(attributes, "error", why);
      throw internalError(why);
    }
    if (read.errors.length === 0 && isFullyPrivileged(read.policy)) {
      metrics.countEvaluation("allow", read.policy.enforce, "enforce", attributes);
      annotate(attributes, "enforce-policy", "privileged:latest");
      return;
    }
    const pod = attributes.object as unknown as Pod;
    const old = attributes.oldObject as unknown as Pod | undefined;
    if (attributes.operation === "UPDATE" && old !== undefined && !changesPrograms(pod, old)) return;
    if (pod.spec !== undefined) evaluate(attributes, read, pod.metadata, pod.spec, true);
  }

  function validateController(attributes: AdmissionAttributes, read: ReturnType<typeof readPolicy> | undefined): void {
    if (read === undefined) {
      metrics.countError(true, attributes);
      annotate(attributes, "error", `failed to lookup namespace "${attributes.namespace}"`);
      return;
    }
    const { policy, errors } = read;
    if (errors.length === 0 && policy.warn.level === "privileged" && policy.audit.level === "privileged") return;
    const template = templateOf(attributes.resource, attributes.object as ApiObject);
    if (template?.spec !== undefined) evaluate(attributes, read, template.metadata, template.spec, false);
  }

  return {
    name: "PodSecurity",
    scope: {
      operations: ["CREATE", "UPDATE"],
      resources: ["/namespaces", "/pods", "/pods/ephemeralcontainers", "/pods/resize", ...CONTROLLERS],
    },
    validate(attributes) {
      if (attributes.object === undefined) return undefined;
      if (attributes.group === "" && attributes.resource === "namespaces") return validateNamespace(attributes);
      if (attributes.group === "" && attributes.resource === "pods") return validateBy(validatePod, attributes);
      return validateBy(validateController, attributes);
    },
  };
}
