import { isNotFound, type Draft } from "@coracle/apimachinery";
import { apiServerUser } from "../authentication/user.ts";
import type { Answer, Registry, RequestContext } from "./registry.ts";
import type { ApiObject } from "./resource-definition.ts";

const forever = new AbortController().signal;

/** A context for what the server does by itself. */
export function systemContext(): RequestContext {
  return { user: apiServerUser, signal: forever, warnings: [], userAgent: "kube-apiserver" };
}

/** Names a resource where only reading and writing is of interest. */
export interface ResourceRef {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
}

/** What authentication, authorisation and admission ask of the objects: reads from the watch cache. */
export interface RegistryReader {
  /** Undefined: there is no such object. */
  get(resource: ResourceRef, namespace: string, name: string): Promise<ApiObject | undefined>;
  /** The same, at once where nobody else writes to the store. */
  find(resource: ResourceRef, namespace: string, name: string): ApiObject | undefined | Promise<ApiObject | undefined>;
  /** Whether there are none; costs nothing. False where it is not sure. */
  hasNone(resource: ResourceRef): boolean;
  list(
    resource: ResourceRef,
    namespace?: string,
    selectors?: { readonly fieldSelector?: string; readonly labelSelector?: string },
  ): Promise<readonly ApiObject[]>;
  /** Creates as the server itself. */
  create(resource: ResourceRef, namespace: string, object: Draft): Promise<ApiObject>;
  update(resource: ResourceRef, namespace: string, name: string, object: Draft): Promise<ApiObject>;
  updateStatus(resource: ResourceRef, namespace: string, name: string, object: Draft): Promise<ApiObject>;
}

function objectOf(answer: Answer): ApiObject {
  return answer.type === "stored" ? answer.stored.object : (answer.object as ApiObject);
}

const WRITE = { dryRun: false, fieldManager: "kube-apiserver", fieldValidation: "Ignore" } as const;

/** Reads and writes as the server itself, without authorisation. */
export function createRegistryReader(registry: () => Registry): RegistryReader {
  const context = systemContext();
  const handler = (ref: ResourceRef): NonNullable<ReturnType<Registry["resource"]>> => {
    const found = registry().resource(ref.group, ref.version, ref.plural);
    if (found === undefined) throw new Error(`the server has no resource ${ref.plural}.${ref.version}.${ref.group}`);
    return found;
  };
  const get = async (ref: ResourceRef, namespace: string, name: string): Promise<ApiObject | undefined> => {
    try {
      return objectOf(await handler(ref).get(context, namespace, name, {}));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };
  return {
    get,
    find(ref, namespace, name) {
      const resource = handler(ref);
      return resource.peek === undefined ? get(ref, namespace, name) : resource.peek(namespace, name);
    },
    hasNone: (ref) => handler(ref).count === 0,
    async list(ref, namespace, selectors = {}) {
      const resource = handler(ref);
      // Asked with every request by those for whom nothing was configured.
      if (resource.count === 0) return [];
      const { items } = await resource.list(context, namespace, { resourceVersion: "0", ...selectors });
      return items.map((item) => item.object);
    },
    async create(ref, namespace, object) {
      return objectOf(await handler(ref).create(systemContext(), namespace, object, WRITE));
    },
    async update(ref, namespace, name, object) {
      return objectOf(await handler(ref).update(systemContext(), namespace, name, object, WRITE));
    },
    async updateStatus(ref, namespace, name, object) {
      const answer = handler(ref).subresource("status")?.update?.(systemContext(), namespace, name, object, WRITE);
      if (answer === undefined) throw new Error(`${ref.plural} have no status`);
      return objectOf(await answer);
    },
  };
}
