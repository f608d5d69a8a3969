import { randomUUID } from "node:crypto";
import type { OpenApiResource } from "@coracle/api";
import type { Clock, Logger } from "@coracle/base";
import type { ExtensibleCatalog } from "../discovery/extensible-catalog.ts";
import type { OutboundClient } from "../outbound/outbound-client.ts";
import type { TargetDeps } from "../outbound/target.ts";
import type { WorkQueueMetrics } from "../metrics/work-queue-metrics.ts";
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
  /** Where work on definitions is counted. */
  readonly queue: WorkQueueMetrics;
  /** How conversion webhooks are called. */
  readonly outbound: { readonly client: OutboundClient; readonly targets: TargetDeps };
}

/** Serves custom resources until disposed; resolves when all that are established are served. */
export async function openServerExtensions(
  parts: ServerParts,
  published: ((resources: readonly OpenApiResource[]) => void) | undefined,
): Promise<AsyncDisposable> {
  const { registry, outbound } = parts;
  const { extension } = registry;
  if (extension === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  const resources = openCustomResources({
    ...parts,
    extension,
    callWebhook: createConversionCaller(outbound.client, outbound.targets),
    newUid: () => randomUUID(),
    loadRules,
    published,
  });
  await resources.ready;
  return resources;
}
