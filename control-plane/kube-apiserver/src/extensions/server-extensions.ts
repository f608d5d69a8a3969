import { randomUUID } from "node:crypto";
import type { OpenApiResource } from "@coracle/api";
import type { Clock, Logger, Random } from "@coracle/base";
import type { ExtensibleCatalog } from "../discovery/extensible-catalog.ts";
import { resolveByClusterIp, type ServiceResolver } from "../outbound/service-resolver.ts";
import type { RegistryExtension } from "../registry/create-registry.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { Registry } from "../registry/registry.ts";
import { createConversionCaller } from "./conversion-caller.ts";
import { openCustomResources } from "./custom-resources.ts";
import { loadRules } from "./rules.ts";

/** What of a server custom resources are made with. */
export interface ServerParts {
  readonly registry: Registry & { readonly extension?: RegistryExtension };
  readonly objects: RegistryReader;
  readonly catalog: ExtensibleCatalog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: Random;
  /** Where conversion webhooks' Services lead. Absent: to their cluster addresses. */
  readonly resolveService?: ServiceResolver | undefined;
}

/** Serves custom resources until disposed; resolves when all that are established are served. */
export async function openServerExtensions(
  parts: ServerParts,
  published: ((resources: readonly OpenApiResource[]) => void) | undefined,
): Promise<AsyncDisposable> {
  const { registry, objects, clock } = parts;
  const { extension } = registry;
  if (extension === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const caller = createConversionCaller(clock, { resolve: parts.resolveService ?? resolveByClusterIp(objects) });
  const resources = openCustomResources({
    ...parts,
    extension,
    callWebhook: (definition, config, review) => caller.call(definition, config, review),
    newUid: () => randomUUID(),
    loadRules,
    published,
  });
  await resources.ready;
  return {
    async [Symbol.asyncDispose]() {
      await resources[Symbol.asyncDispose]();
      await caller[Symbol.asyncDispose]();
    },
  };
}
