import type { Registry } from "../registry/registry.ts";
import { followResource } from "../registry/registry-mirror.ts";
import {
  API_SERVICES,
  isRemote,
  registeredService,
  type RegisteredService,
  type RemoteService,
} from "./api-service.ts";

/** All APIServices there are, as of the last write. */
export interface ApiServiceIndex extends Disposable {
  readonly synced: Promise<void>;
  /** Rises with every change. */
  readonly revision: number;
  get(name: string): RegisteredService | undefined;
  all(): Iterable<RegisteredService>;
  /** Those that other servers answer for, by name. */
  readonly remotes: ReadonlyMap<string, RemoteService>;
}

/** Follows the APIServices; `onChange` is told the name of each that came, changed or went. */
export function followApiServices(registry: Registry, onChange: (name: string) => void): ApiServiceIndex {
  const services = new Map<string, RegisteredService>();
  const remotes = new Map<string, RemoteService>();
  let revision = 0;
  const changed = (name: string): void => {
    revision += 1;
    onChange(name);
  };
  const mirror = followResource(registry, API_SERVICES, {
    upsert(object) {
      const service = registeredService(object);
      services.set(service.name, service);
      if (isRemote(service)) remotes.set(service.name, service);
      else remotes.delete(service.name);
      changed(service.name);
    },
    removed(object) {
      const name = object.metadata["name"] as string;
      services.delete(name);
      remotes.delete(name);
      changed(name);
    },
    reset() {
      services.clear();
      remotes.clear();
      revision += 1;
    },
  });
  return {
    synced: mirror.synced,
    get revision() {
      return revision;
    },
    get: (name) => services.get(name),
    all: () => services.values(),
    remotes,
    [Symbol.dispose]: () => mirror[Symbol.dispose](),
  };
}
