import { Namespace } from "@coracle/api/core/v1";
import { equalJson, isNotFound, isStatusError } from "@coracle/apimachinery";
import { isAbort } from "@coracle/base";
import type { ListOptions } from "@coracle/client";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { discoverResources, type DiscoveredResource } from "../discovery/resources.ts";
import { isEmptied, namespaceConditions, type Emptying } from "./plan.ts";

const FINALIZER = "kubernetes";
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 5000;

/** Empties namespaces that are being deleted, of every kind of object the server knows, pods first; then lets them go. */
export function createNamespaceController(deps: ControllerDeps, workers?: number): Controller {
  const { client, informers, clock } = deps;
  const namespaces = informers.informer(Namespace).lister;
  const attempts = new Map<string, number>();

  /** Deletes what there is of one kind and counts what is left: held by finalizers, or ending in its own time. */
  async function empty(
    type: DiscoveredResource,
    namespace: string,
    result: MutableEmptying,
    signal: AbortSignal,
  ): Promise<void> {
    const name = `${type.plural}.${type.group}`;
    try {
      if (type.verbs.has("deletecollection"))
        await client.deleteCollection(type, {
          namespace,
          deleteOptions: { propagationPolicy: "Background" },
          signal,
        });
      else
        for (const { metadata } of await listAll(type, namespace, signal))
          await client.delete(
            type,
            { namespace, name: metadata.name ?? "" },
            { propagationPolicy: "Background", signal },
          );
      const left = await listAll(type, namespace, signal);
      if (left.length === 0) return;
      result.remaining.set(name, left.length);
      for (const { metadata } of left)
        for (const finalizer of metadata.finalizers ?? [])
          result.finalizers.set(finalizer, (result.finalizers.get(finalizer) ?? 0) + 1);
    } catch (error) {
      if (isAbort(error, signal)) throw error;
      if (isStatusError(error, "NotFound", "MethodNotAllowed")) return; // no longer served, or never deletable
      result.deletionFailures.push(`${name}: ${(error as Error).message}`);
    }
  }

  async function listAll(type: DiscoveredResource, namespace: string, signal: AbortSignal) {
    const options: ListOptions = { namespace, metadataOnly: true, signal };
    return (await client.list(type, options)).items;
  }

  async function emptyAll(namespace: string, signal: AbortSignal): Promise<Emptying> {
    const { resources, failures } = await discoverResources(client, signal);
    const result: MutableEmptying = {
      discoveryFailures: [...failures],
      deletionFailures: [],
      remaining: new Map(),
      finalizers: new Map(),
    };
    const deletable = resources.filter(
      (type) =>
        type.namespaced && type.verbs.has("list") && (type.verbs.has("deletecollection") || type.verbs.has("delete")),
    );
    // Pods go first: what protects them (policies, secrets) must not vanish while they run.
    const isPod = (type: DiscoveredResource): boolean => type.group === "" && type.plural === "pods";
    for (const type of deletable.filter(isPod)) await empty(type, namespace, result, signal);
    if (result.remaining.size > 0 || result.deletionFailures.length > 0) return result;
    await Promise.all(
      deletable.filter((type) => !isPod(type)).map(async (type) => empty(type, namespace, result, signal)),
    );
    return result;
  }

  return defineController<Namespace>(deps, {
    name: "namespace",
    for: Namespace,
    changed: (namespace) => namespace.metadata.deletionTimestamp !== undefined,
    workers,
    async reconcile(name, { signal, log }) {
      const cached = namespaces.byKey(name);
      if (cached?.metadata.deletionTimestamp === undefined || (cached.spec?.finalizers ?? []).length === 0) {
        attempts.delete(name);
        return done;
      }
      let namespace: Namespace;
      try {
        namespace = await client.get(Namespace, { name }, { signal });
      } catch (error) {
        if (isNotFound(error)) return done;
        throw error;
      }
      if (namespace.metadata.uid !== cached.metadata.uid || namespace.metadata.deletionTimestamp === undefined)
        return done;
      const result = await emptyAll(name, signal);
      const isDone = isEmptied(result);
      const conditions = namespaceConditions(namespace.status?.conditions ?? [], result, clock.now());
      // The conditions of a namespace that goes at once help nobody.
      const isFirst = namespace.status?.conditions === undefined && isDone;
      const status = { ...namespace.status, phase: "Terminating", conditions };
      if (!isFirst && !equalJson(status, namespace.status))
        namespace = await client.update(Namespace, { ...namespace, status }, { subresource: "status", signal });
      if (!isDone) {
        const tries = attempts.get(name) ?? 0;
        attempts.set(name, tries + 1);
        log.debug("content remains", { namespace: name, kinds: [...result.remaining.keys()] });
        return requeueAfter(Math.min(RETRY_FIRST_MS * 2 ** tries, RETRY_MAX_MS));
      }
      attempts.delete(name);
      const finalizers = (namespace.spec?.finalizers ?? []).filter((each) => each !== FINALIZER);
      await client.update(
        Namespace,
        { ...namespace, spec: { ...namespace.spec, finalizers } },
        { subresource: "finalize", signal },
      );
      return done;
    },
  });
}

interface MutableEmptying extends Emptying {
  readonly discoveryFailures: string[];
  readonly deletionFailures: string[];
  readonly remaining: Map<string, number>;
  readonly finalizers: Map<string, number>;
}
