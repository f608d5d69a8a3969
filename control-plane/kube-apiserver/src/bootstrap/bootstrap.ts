import { equalJson, isAlreadyExists, isConflict, type Draft, type JsonObject } from "@coracle/apimachinery";
import type { PolicyRule, Subject } from "@coracle/api/rbac/v1";
import { uncovered } from "../authorization/policy-rule.ts";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import { localServiceStatus, readApiServices } from "./api-services.ts";
import { readFlowControl } from "./flow-control.ts";
import type { Features } from "../features.ts";
import { readRbacPolicy, type PolicyObject } from "./rbac-policy.ts";

const core = (plural: string): ResourceRef => ({ group: "", version: "v1", plural });
const NAMESPACES = ["default", "kube-system", "kube-public", "kube-node-lease"];

/** What the first objects of a cluster depend on. */
export interface BootstrapOptions {
  readonly objects: RegistryReader;
  /** Written when authorisation by RBAC is on. */
  readonly hasRbac: boolean;
  readonly features: Features;
  /** PEM of the authority for client certificates. */
  readonly clientCa?: string | undefined;
  readonly requestHeader?:
    | {
        readonly ca: string;
        readonly allowedNames: readonly string[];
        readonly usernameHeaders: readonly string[];
        readonly groupHeaders: readonly string[];
        readonly uidHeaders: readonly string[];
        readonly extraHeaderPrefixes: readonly string[];
      }
    | undefined;
  readonly now: number;
  /** Whether this server answers the group and version itself. */
  readonly isServed: (group: string, version: string) => boolean;
}

/** Makes it unless it is there; another server may be doing the same. */
async function ensure(objects: RegistryReader, ref: ResourceRef, namespace: string, object: JsonObject): Promise<void> {
  const name = (object["metadata"] as JsonObject)["name"] as string;
  if ((await objects.get(ref, namespace, name)) !== undefined) return;
  try {
    await objects.create(ref, namespace, structuredClone(object) as Draft);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

const AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate";

interface AggregationRule {
  readonly clusterRoleSelectors?: readonly JsonObject[];
}

/** What is there and what ought to be, where what is there wins. */
function mergedTexts(existing: unknown, wanted: unknown): JsonObject {
  return { ...(wanted as JsonObject | undefined), ...(existing as JsonObject | undefined) };
}

/** A role with what it lacks of what it ought to grant. */
function mendRole(draft: Draft, existing: ApiObject, wanted: JsonObject): void {
  const wantedRule = wanted["aggregationRule"] as AggregationRule | undefined;
  const existingRule = existing["aggregationRule"] as unknown as AggregationRule | undefined;
  if (wantedRule !== undefined) {
    const have = existingRule?.clusterRoleSelectors ?? [];
    const missing = (wantedRule.clusterRoleSelectors ?? []).filter(
      (selector) => !have.some((known) => equalJson(known, selector)),
    );
    if (missing.length > 0) draft["aggregationRule"] = { clusterRoleSelectors: [...have, ...missing] };
    // What such a role gathers is the controller's business.
    return;
  }
  const have = (existing["rules"] as unknown as PolicyRule[] | null | undefined) ?? [];
  const missing = uncovered(have, wanted["rules"] as unknown as PolicyRule[]);
  if (missing.length > 0) draft["rules"] = [...have, ...missing];
}

/** A binding with the subjects it lacks. */
function mendBinding(draft: Draft, existing: ApiObject, wanted: JsonObject): void {
  const key = (subject: Subject): string => `${subject.kind} ${subject.namespace ?? ""} ${subject.name}`;
  const have = (existing["subjects"] as unknown as Subject[] | null | undefined) ?? [];
  const known = new Set(have.map(key));
  const missing = ((wanted["subjects"] as unknown as Subject[] | undefined) ?? []).filter((s) => !known.has(key(s)));
  if (missing.length > 0) draft["subjects"] = [...have, ...missing];
}

/** A policy object with what it lacks of what it ought to be; undefined when nothing, or when it is not to be touched. */
function mended(existing: ApiObject, { plural, object: wanted }: PolicyObject): Draft | undefined {
  const { metadata } = existing;
  const given = wanted["metadata"] as JsonObject;
  if ((metadata["annotations"] as JsonObject | undefined)?.[AUTO_UPDATE] === "false") return undefined;
  const draft = structuredClone(existing) as unknown as Draft;
  draft["metadata"] = {
    ...(draft["metadata"] as JsonObject),
    labels: mergedTexts(metadata["labels"], given["labels"]),
    annotations: mergedTexts(metadata["annotations"], given["annotations"]),
  };
  if (plural === "clusterroles" || plural === "roles") mendRole(draft, existing, wanted);
  else mendBinding(draft, existing, wanted);
  return equalJson(draft, existing) ? undefined : draft;
}

async function reconcile(objects: RegistryReader, wanted: PolicyObject): Promise<void> {
  const ref: ResourceRef = { group: "rbac.authorization.k8s.io", version: "v1", plural: wanted.plural };
  const existing = await objects.get(ref, wanted.namespace, wanted.name);
  try {
    if (existing === undefined) {
      await objects.create(ref, wanted.namespace, structuredClone(wanted.object) as Draft);
      return;
    }
    const draft = mended(existing, wanted);
    if (draft !== undefined) await objects.update(ref, wanted.namespace, wanted.name, draft);
  } catch (error) {
    // Another server did it first.
    if (!isAlreadyExists(error) && !isConflict(error)) throw error;
  }
}

/** The same for an object that comes with a status. */
async function ensureWithStatus(
  objects: RegistryReader,
  ref: ResourceRef,
  object: JsonObject,
  status: JsonObject,
): Promise<void> {
  const name = (object["metadata"] as JsonObject)["name"] as string;
  if ((await objects.get(ref, "", name)) !== undefined) return;
  try {
    const made = await objects.create(ref, "", structuredClone(object) as Draft);
    await objects.updateStatus(ref, "", name, { ...(structuredClone(made) as unknown as Draft), status } as Draft);
  } catch (error) {
    if (!isAlreadyExists(error) && !isConflict(error)) throw error;
  }
}

const PRIORITY_CLASSES: readonly JsonObject[] = [
  {
    metadata: { name: "system-node-critical" },
    value: 2_000_001_000,
    description: "Used for system critical pods that must not be moved from their current node.",
  },
  {
    metadata: { name: "system-cluster-critical" },
    value: 2_000_000_000,
    description:
      "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
  },
];

/** What the config map for extension servers is written from. */
export type AuthenticationConfigOptions = Pick<BootstrapOptions, "objects" | "clientCa" | "requestHeader">;

function authenticationConfig(options: AuthenticationConfigOptions): JsonObject {
  const { clientCa, requestHeader } = options;
  return {
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: { name: "extension-apiserver-authentication", namespace: "kube-system" },
    data: {
      ...(clientCa === undefined ? {} : { "client-ca-file": clientCa }),
      ...(requestHeader === undefined
        ? {}
        : {
            "requestheader-allowed-names": JSON.stringify(requestHeader.allowedNames),
            "requestheader-client-ca-file": requestHeader.ca,
            "requestheader-extra-headers-prefix": JSON.stringify(requestHeader.extraHeaderPrefixes),
            "requestheader-group-headers": JSON.stringify(requestHeader.groupHeaders),
            "requestheader-uid-headers": JSON.stringify(requestHeader.uidHeaders),
            "requestheader-username-headers": JSON.stringify(requestHeader.usernameHeaders),
          }),
    },
  };
}

/** Keeps the config map that extension servers read in step with this server's settings. */
export async function writeAuthenticationConfig(options: AuthenticationConfigOptions): Promise<void> {
  const wanted = authenticationConfig(options);
  const ref = core("configmaps");
  const { objects } = options;
  const name = "extension-apiserver-authentication";
  const existing = await objects.get(ref, "kube-system", name);
  if (existing === undefined) return ensure(objects, ref, "kube-system", wanted);
  const data = { ...(existing["data"] as JsonObject | undefined), ...(wanted["data"] as JsonObject) };
  if (JSON.stringify(data) === JSON.stringify(existing["data"])) return undefined;
  await objects.update(ref, "kube-system", name, { ...(structuredClone(existing) as unknown as Draft), data });
  return undefined;
}

/** The first objects of a cluster: namespaces first, then everything else at once. A warm start writes nothing. */
export async function bootstrap(options: BootstrapOptions): Promise<void> {
  const { objects } = options;
  await Promise.all(
    NAMESPACES.map((name) =>
      ensure(objects, core("namespaces"), "", { kind: "Namespace", apiVersion: "v1", metadata: { name } }),
    ),
  );
  const since: JsonObject = {
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: { name: "kube-apiserver-legacy-service-account-token-tracking", namespace: "kube-system" },
    data: { since: new Date(options.now).toISOString().slice(0, 10) },
  };
  await Promise.all([
    ...(options.hasRbac ? readRbacPolicy(options.features).map((wanted) => reconcile(objects, wanted)) : []),
    ...PRIORITY_CLASSES.map((priority) =>
      ensure(objects, { group: "scheduling.k8s.io", version: "v1", plural: "priorityclasses" }, "", {
        kind: "PriorityClass",
        apiVersion: "scheduling.k8s.io/v1",
        preemptionPolicy: "PreemptLowerPriority",
        ...priority,
      }),
    ),
    writeAuthenticationConfig(options),
    ...readFlowControl(options.now).map(({ plural, object, status }) => {
      const ref = { group: "flowcontrol.apiserver.k8s.io", version: "v1", plural };
      return status === undefined ? ensure(objects, ref, "", object) : ensureWithStatus(objects, ref, object, status);
    }),
    ...readApiServices(options.isServed).map((service) =>
      ensureWithStatus(
        objects,
        { group: "apiregistration.k8s.io", version: "v1", plural: "apiservices" },
        service,
        localServiceStatus(options.now),
      ),
    ),
    ensure(objects, core("configmaps"), "kube-system", since),
  ]);
}
