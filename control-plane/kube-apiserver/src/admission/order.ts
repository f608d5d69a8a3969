import type { Clock } from "@coracle/base";
import type { Authorizer } from "../authorization/authorizer.ts";
import type { RbacAuthorizer } from "../authorization/rbac.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import { namespaceLifecycle } from "./namespace-lifecycle.ts";
import type { AdmissionPlugin } from "./plugin.ts";

/** What plugins may use. */
export interface AdmissionDeps {
  readonly objects: RegistryReader;
  readonly clock: Clock;
  readonly authorizer: Authorizer;
  /** Undefined while RBAC is off. */
  readonly rbac: () => RbacAuthorizer | undefined;
}

export interface AdmissionSettings {
  readonly enable: readonly string[];
  readonly disable: readonly string[];
}

interface Entry {
  readonly name: string;
  readonly isOnByDefault: boolean;
  readonly make: (deps: AdmissionDeps) => AdmissionPlugin;
}

/** Every plugin, in the order in which they run. */
const ORDER: readonly Entry[] = [
  { name: "NamespaceLifecycle", isOnByDefault: true, make: ({ objects }) => namespaceLifecycle(objects) },
];

/** The plugins of a server with these settings. */
export function createAdmissionPlugins(deps: AdmissionDeps, settings: AdmissionSettings): AdmissionPlugin[] {
  return ORDER.filter(
    ({ name, isOnByDefault }) => !settings.disable.includes(name) && (isOnByDefault || settings.enable.includes(name)),
  ).map((entry) => entry.make(deps));
}
