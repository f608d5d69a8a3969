import type { Logger } from "@coracle/base";
import type { Authorizer } from "../authorization/authorizer.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { Connector } from "../server/resource-routes.ts";

export interface ConnectorOptions {
  readonly objects: RegistryReader;
  readonly kubeletClient: { readonly cert: string; readonly key: string; readonly ca?: string | undefined } | undefined;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
}

export function createConnectors(_options: ConnectorOptions): ReadonlyMap<string, Connector> {
  return new Map();
}
