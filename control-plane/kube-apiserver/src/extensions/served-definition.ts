import type { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { equalJson } from "@coracle/apimachinery";
import type { CustomSchema, RulePort } from "@coracle/apimachinery/structural";
import type { CatalogResource } from "../discovery/catalog.ts";
import type { RegistryExtension } from "../registry/create-registry.ts";
import type { ResourceHandler } from "../registry/registry.ts";
import type { ObjectStorage, StorageWatcher } from "../storage/object-storage.ts";
import { ResourceStorage } from "../storage/resource-storage.ts";
import { admissionVersionsOf } from "./admission-versions.ts";
import { createConverter, type ConversionCaller, type Converter } from "./conversion-review.ts";
import { ConvertedView } from "./converted-view.ts";
import { compileVersion } from "./custom-schemas.ts";
import { acceptedNames, isTrue, storageVersionOf } from "./definition.ts";
import { catalogResourceOf, createVersionHandler } from "./version-handler.ts";
import { VersionView } from "./version-view.ts";

/** What serving definitions needs of the server. */
export interface ServingDeps {
  readonly extension: RegistryExtension;
  readonly callWebhook: ConversionCaller;
  readonly newUid: () => string;
}

interface ServedVersion {
  readonly schema: CustomSchema;
  readonly storage: VersionView | ConvertedView;
  readonly handler: ResourceHandler;
  readonly watchers: Set<StorageWatcher>;
}

/**
 * The objects of one definition, in all its versions. A change of the definition changes them in place: watches go on
 * where their version goes on.
 */
export class ServedDefinition {
  readonly uid: string;
  readonly #deps: ServingDeps;
  readonly #prefix: string;
  readonly #base: ObjectStorage;
  #crd: CustomResourceDefinition;
  #versions = new Map<string, ServedVersion>();

  private constructor(crd: CustomResourceDefinition, deps: ServingDeps, prefix: string, base: ObjectStorage) {
    this.uid = crd.metadata.uid ?? "";
    this.#crd = crd;
    this.#deps = deps;
    this.#prefix = prefix;
    this.#base = base;
  }

  /** Reads what is stored and serves it. */
  static async open(
    crd: CustomResourceDefinition,
    deps: ServingDeps,
    rules: RulePort | undefined,
  ): Promise<ServedDefinition> {
    const { hub, leases, storeMetrics } = deps.extension;
    const { group } = crd.spec;
    const { plural } = crd.spec.names;
    const prefix = `/registry/${group}/${plural}`;
    const cache = await hub.add({ prefix });
    const resource = { group, resource: plural };
    const base = new ResourceStorage({ hub, cache, leases, resource, metrics: storeMetrics.of(resource) });
    const served = new ServedDefinition(crd, deps, prefix, base);
    served.#build(crd, rules, true);
    return served;
  }

  get crd(): CustomResourceDefinition {
    return this.#crd;
  }

  /** Objects that are stored. */
  get count(): number {
    return this.#base.count;
  }

  /** Serves what the definition now says. Throws when a schema cannot be compiled; what was served is served on. */
  update(crd: CustomResourceDefinition, rules: RulePort | undefined): void {
    const hasNewSpec =
      !equalJson(crd.spec, this.#crd.spec) ||
      !equalJson(crd.status?.acceptedNames, this.#crd.status?.acceptedNames) ||
      !equalJson(crd.status?.storedVersions, this.#crd.status?.storedVersions);
    if (!hasNewSpec && isTrue(crd, "Terminating") === isTrue(this.#crd, "Terminating")) {
      this.#crd = crd;
      return;
    }
    this.#build(crd, rules, hasNewSpec);
    this.#crd = crd;
  }

  #build(crd: CustomResourceDefinition, rules: RulePort | undefined, hasNewSpec: boolean): void {
    const { extension } = this.#deps;
    const { group } = crd.spec;
    const names = acceptedNames(crd);
    const before = this.#versions;
    const after = new Map<string, ServedVersion>();
    for (const version of crd.spec.versions) {
      const known = before.get(version.name);
      const schema = known !== undefined && !hasNewSpec ? known.schema : compileVersion(crd, version, rules);
      const storage =
        known !== undefined && !hasNewSpec ? known.storage : this.#storageOf(crd, version.name, schema, known);
      const inner = createVersionHandler({
        crd,
        version,
        schema,
        storage,
        etcdPrefix: this.#prefix,
        parts: extension.parts,
        versions: admissionVersionsOf(crd, this.#converterOf(crd)),
      });
      const watchers = known?.watchers ?? new Set<StorageWatcher>();
      after.set(version.name, { schema, storage, watchers, handler: withWatchers(inner, watchers) });
    }
    this.#versions = after;
    for (const { name, served } of crd.spec.versions) {
      const type = { group, version: name, plural: names.plural };
      const version = after.get(name);
      if (served && version !== undefined) extension.set(type, version.handler);
      else extension.delete(type);
    }
    for (const [name, version] of before) {
      const now = crd.spec.versions.find((one) => one.name === name);
      if (now === undefined) extension.delete({ group, version: name, plural: names.plural });
      if (now?.served !== true) endWatches(version);
      if (after.get(name)?.storage !== version.storage && version.storage instanceof ConvertedView) {
        version.storage.close("shutdown");
      }
    }
  }

  #storageOf(
    crd: CustomResourceDefinition,
    version: string,
    schema: CustomSchema,
    known: ServedVersion | undefined,
  ): VersionView | ConvertedView {
    const { group } = crd.spec;
    const stored = storageVersionOf(crd);
    const form = { apiVersion: `${group}/${version}`, storedApiVersion: `${group}/${stored}`, schema };
    const convert = this.#converterOf(crd);
    const storedVersions = crd.status?.storedVersions ?? [];
    const isAsStored = version === stored && storedVersions.every((one) => one === stored);
    if (convert === undefined || isAsStored) {
      if (known?.storage instanceof VersionView) {
        known.storage.reform(form);
        return known.storage;
      }
      return new VersionView(this.#base, form);
    }
    const { clock } = this.#deps.extension.parts;
    return new ConvertedView({ base: this.#base, prefix: this.#prefix, form, convert, clock });
  }

  /** Undefined: versions differ in their names alone. */
  #converterOf(crd: CustomResourceDefinition): Converter | undefined {
    const { conversion } = crd.spec;
    if (conversion?.strategy !== "Webhook" || conversion.webhook === undefined) return undefined;
    const { callWebhook, newUid } = this.#deps;
    return createConverter({
      definition: crd.metadata.name ?? "",
      webhook: conversion.webhook,
      call: callWebhook,
      newUid,
    });
  }

  /** As discovery shows its served versions; empty until it is established. */
  catalogResources(): readonly CatalogResource[] {
    const crd = this.#crd;
    if (!isTrue(crd, "Established")) return [];
    return crd.spec.versions.filter(({ served }) => served).map((version) => catalogResourceOf(crd, version));
  }

  /** Deletes every object there is, past admission: those that are held by finalizers go later. */
  async deleteAll(): Promise<void> {
    const crd = this.#crd;
    const name = storageVersionOf(crd);
    const version = crd.spec.versions.find((one) => one.name === name);
    const known = this.#versions.get(name);
    if (version === undefined || known === undefined) throw new Error(`no version ${name} is stored`);
    const handler = createVersionHandler({
      crd,
      version,
      schema: known.schema,
      storage: known.storage,
      etcdPrefix: this.#prefix,
      parts: { ...this.#deps.extension.parts, admission: NO_ADMISSION },
    });
    await handler.deleteCollection(CLEANER, undefined, {}, { options: {} });
  }

  /** Calls back once nothing is stored any more. */
  whenEmpty(action: () => void): Disposable {
    return this.#base.watch(
      { since: this.#base.revision },
      {
        event: () => {
          if (this.#base.count === 0) action();
        },
        initialDone: () => undefined,
        closed: action,
      },
    );
  }

  /** Ends all watches; nothing of it is served any more. */
  close(): void {
    const { extension } = this.#deps;
    const { group } = this.#crd.spec;
    const { plural } = acceptedNames(this.#crd);
    for (const [name, version] of this.#versions) {
      extension.delete({ group, version: name, plural });
      endWatches(version);
      if (version.storage instanceof ConvertedView) version.storage.close("shutdown");
    }
    this.#versions = new Map();
    extension.hub.remove(this.#prefix);
  }
}

function endWatches({ watchers }: ServedVersion): void {
  for (const watcher of watchers) watcher.closed("shutdown");
  watchers.clear();
}

/** Keeps the watches at hand that must end when the version does. */
function withWatchers(handler: ResourceHandler, watchers: Set<StorageWatcher>): ResourceHandler {
  return {
    ...handler,
    watch(context, namespace, query, watcher) {
      const source = handler.watch(context, namespace, query, watcher);
      watchers.add(watcher);
      return {
        [Symbol.dispose]() {
          watchers.delete(watcher);
          source[Symbol.dispose]();
        },
      };
    },
  };
}

const nothing = (): Promise<void> => Promise.resolve();
const NO_ADMISSION = { admit: nothing, validate: nothing };
const CLEANER = {
  user: { name: "system:apiserver", groups: ["system:masters"] },
  signal: new AbortController().signal,
  warnings: [],
  userAgent: "crd-finalizer",
};
