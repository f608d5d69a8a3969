import { resourcePath } from "@coracle/api";
import type { CrossVersionObjectReference } from "@coracle/api/autoscaling/v2";
import type { Scale } from "@coracle/api/autoscaling/v1";
import { isConflict } from "@coracle/apimachinery";
import { sleep, type Clock } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import type { DiscoveredResource } from "../discovery/resources.ts";
import { reasonOf } from "./not-served.ts";
import type { RestMapper } from "./rest-mapper.ts";

/** The scale subresource of an autoscaler's target, as it was read. */
export interface ScaleTarget {
  readonly resource: DiscoveredResource;
  readonly scale: Scale;
}

/** Why there is no target; `isSpecError`: its reference can never name one. */
export class TargetError extends Error {
  override readonly name = "TargetError";
  readonly isSpecError: boolean;

  constructor(message: string, isSpecError = false) {
    super(message);
    this.isSpecError = isSpecError;
  }
}

/** Tries of a write that meets others. */
const TRIES = 5;
const RETRY_MS = 10;

/** Reads the scale subresource of whatever kind `reference` names. Rejects with TargetError, in upstream's words. */
export async function readScale(
  client: ApiClient,
  mapper: RestMapper,
  namespace: string,
  { apiVersion = "", kind, name }: CrossVersionObjectReference,
  signal: AbortSignal,
): Promise<ScaleTarget> {
  const parts = apiVersion.split("/");
  if (parts.length > 2) throw new TargetError(`unexpected GroupVersion string: ${apiVersion}`, true);
  const group = parts.length === 2 ? (parts[0] ?? "") : "";
  try {
    const mappings = await mapper.mappingsOf(group, kind, signal);
    let first: unknown;
    for (const resource of mappings) {
      try {
        const path = resourcePath(resource, { namespace, name, subresource: "scale" });
        return { resource, scale: (await client.raw("GET", path, undefined, { signal })) as Scale };
      } catch (error) {
        if (signal.aborted) throw error;
        first ??= new TargetError(reasonOf(error, `get ${resource.plural} ${name}`));
      }
    }
    throw first;
  } catch (error) {
    if (signal.aborted) throw error;
    throw new TargetError(error instanceof Error ? error.message : String(error));
  }
}

/** Asks for `replicas`; a write that met another one is tried again on what is there now. */
export async function writeScale(
  { client, clock }: { readonly client: ApiClient; readonly clock: Clock },
  { resource, scale }: ScaleTarget,
  replicas: number,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name } = scale.metadata ?? {};
  const path = resourcePath(resource, { namespace, name, subresource: "scale" });
  let present = scale;
  for (let tries = 1; ; tries++) {
    try {
      await client.raw("PUT", path, { ...present, spec: { ...present.spec, replicas } }, { signal });
      return;
    } catch (error) {
      if (!isConflict(error) || tries === TRIES) throw error;
      await sleep(clock, RETRY_MS, signal);
      present = (await client.raw("GET", path, undefined, { signal })) as Scale;
    }
  }
}
