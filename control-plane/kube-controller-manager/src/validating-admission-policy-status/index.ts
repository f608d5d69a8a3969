import { ValidatingAdmissionPolicy } from "@coracle/api/admissionregistration/v1";
import type { OpenApiSchema, TypedKind } from "@coracle/cel";
import type { ApiClient } from "@coracle/client";
import { defineController, done, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { resourcesToCheck, type GroupVersionResource } from "./plan.ts";

type Schemas = Readonly<Record<string, OpenApiSchema & { readonly [GVK]?: readonly Named[] }>>;

interface Named {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

const GVK = "x-kubernetes-group-version-kind";
const REFERENCE = "#/components/schemas/";

/** What the server publishes about one group and version; undefined where it does not serve it. */
async function publishedTypes(
  client: ApiClient,
  { group, version }: { readonly group: string; readonly version: string },
  signal: AbortSignal,
): Promise<{ readonly schemas: Schemas; readonly kinds: ReadonlyMap<string, string> } | undefined> {
  const path = group === "" ? `api/${version}` : `apis/${group}/${version}`;
  try {
    const list = (await client.raw("GET", `/${path}`, undefined, { signal })) as {
      readonly resources?: ReadonlyArray<{ readonly name: string; readonly kind: string }>;
    };
    const document = (await client.raw("GET", `/openapi/v3/${path}`, undefined, { signal })) as {
      readonly components?: { readonly schemas?: Schemas };
    };
    const kinds = new Map((list.resources ?? []).map(({ name, kind }) => [name, kind]));
    return { schemas: document.components?.schemas ?? {}, kinds };
  } catch (error) {
    signal.throwIfAborted();
    // A version that is not served has no types: nothing is checked against it.
    if ((error as { readonly code?: number }).code === 404) return undefined;
    throw error;
  }
}

/** Tells in the status of each policy which of its expressions cannot work for which of the kinds it matches. */
export function createValidatingAdmissionPolicyStatusController(deps: ControllerDeps, workers = 5): Controller {
  const { client, informers } = deps;
  const policies = informers.informer(ValidatingAdmissionPolicy).lister;

  return defineController<ValidatingAdmissionPolicy>(deps, {
    name: "validatingadmissionpolicy-status",
    for: ValidatingAdmissionPolicy,
    workers,
    async reconcile(name, { signal }) {
      const policy = policies.byKey(name);
      if (policy === undefined) return done;
      const observedGeneration = policy.metadata.generation ?? 0;
      if (observedGeneration <= (policy.status?.observedGeneration ?? 0)) return done;
      const documents = new Map<string, Promise<Awaited<ReturnType<typeof publishedTypes>>>>();
      const schemas: Record<string, OpenApiSchema> = {};
      const typesOf = async (of: { group: string; version: string }): ReturnType<typeof publishedTypes> => {
        const key = `${of.group}/${of.version}`;
        const pending = documents.get(key) ?? publishedTypes(client, of, signal);
        documents.set(key, pending);
        const found = await pending;
        Object.assign(schemas, found?.schemas);
        return found;
      };
      const typed = async ({ group, version, kind }: Named): Promise<TypedKind | undefined> => {
        const found = await typesOf({ group, version });
        const schema = Object.values(found?.schemas ?? {}).find((each) =>
          each[GVK]?.some((own) => own.group === group && own.version === version && own.kind === kind),
        );
        return schema === undefined ? undefined : { group, version, kind, schema };
      };
      const kinds = new Map<string, TypedKind>();
      for (const resource of resourcesToCheck(policy.spec.matchConstraints?.resourceRules ?? [])) {
        const kind = await kindOf(resource, typesOf, typed);
        if (kind !== undefined) kinds.set(`${kind.group}/${kind.version}/${kind.kind}`, kind);
      }
      const params = await paramsOf(policy, typed);
      const { checkPolicyTypes } = await import("@coracle/cel");
      const sorted = [...kinds].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, kind]) => kind);
      const resolve = (reference: string): OpenApiSchema | undefined => schemas[reference.replace(REFERENCE, "")];
      const expressionWarnings = checkPolicyTypes(policy.spec, sorted, params, resolve);
      const typeChecking = expressionWarnings.length === 0 ? {} : { expressionWarnings };
      const status = { ...policy.status, observedGeneration, typeChecking };
      await client.update(ValidatingAdmissionPolicy, { ...policy, status }, { subresource: "status", signal });
      return done;
    },
  });
}

async function kindOf(
  { group, version, resource }: GroupVersionResource,
  typesOf: (of: { group: string; version: string }) => ReturnType<typeof publishedTypes>,
  typed: (kind: Named) => Promise<TypedKind | undefined>,
): Promise<TypedKind | undefined> {
  const kind = (await typesOf({ group, version }))?.kinds.get(resource);
  return kind === undefined ? undefined : typed({ group, version, kind });
}

async function paramsOf(
  { spec }: ValidatingAdmissionPolicy,
  typed: (kind: Named) => Promise<TypedKind | undefined>,
): Promise<TypedKind | undefined> {
  if (spec.paramKind === undefined) return undefined;
  const { apiVersion = "", kind = "" } = spec.paramKind;
  const slash = apiVersion.indexOf("/");
  return typed({ group: slash === -1 ? "" : apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind });
}
