import { readFile } from "node:fs/promises";
import type { Clock, Logger } from "@coracle/base";
import type { Store } from "@coracle/etcd";
import { watchFile } from "../files/watched-file.ts";
import { readResourceCatalog } from "../registry/resource-catalog.ts";
import type { HealthCheck } from "../server/health.ts";
import { readEncryptionConfig } from "./config.ts";
import { EncryptedStore } from "./encrypted-store.ts";
import { createResourceTransformers, type ResourceTransformers } from "./resource-transformers.ts";
import { identity, joinMessages, type Transformer } from "./transformer.ts";

const ROOT = "/registry/";

/** The file says something that there is not. */
class BuildError extends Error {}

/** Encryption in force. */
export interface Encryption extends AsyncDisposable {
  readonly store: EncryptedStore;
  readonly healthChecks: readonly HealthCheck[];
}

export interface EncryptionOptions {
  readonly configFile: string;
  /** Whether changes of the file are taken over while the server runs. */
  readonly reloads: boolean;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told when values may have become readable that were not. */
  readonly onReadable: (keys: readonly string[]) => void;
}

/** Which kind of resource a key of the store belongs to; undefined for what is no resource. */
function createKeyReader(): (key: string) => { readonly group: string; readonly resource: string } | undefined {
  const byPrefix = new Map<string, { readonly group: string; readonly resource: string }>();
  for (const { etcdPrefix, group, plural } of readResourceCatalog()) {
    // Of groups that share a prefix the core group's name counts.
    if (etcdPrefix !== undefined && (!byPrefix.has(etcdPrefix) || group === "")) {
      byPrefix.set(etcdPrefix, { group, resource: plural });
    }
  }
  return (key) => {
    const one = key.indexOf("/", ROOT.length);
    if (one === -1) return undefined;
    const found = byPrefix.get(key.slice(0, one));
    if (found !== undefined) return found;
    const two = key.indexOf("/", one + 1);
    if (two === -1) return undefined;
    const prefix = key.slice(0, two);
    const known = byPrefix.get(prefix);
    if (known !== undefined) return known;
    const group = key.slice(ROOT.length, one);
    if (!group.includes(".")) return undefined;
    const custom = { group, resource: key.slice(one + 1, two) };
    byPrefix.set(prefix, custom);
    return custom;
  };
}

/** Reads the configuration and puts encryption before the store. Throws when the configuration cannot be used. */
export async function openEncryption(options: EncryptionOptions): Promise<Encryption> {
  const { configFile, reloads, clock, logger } = options;
  const resourceOf = createKeyReader();
  let transformers: ResourceTransformers;
  let known = new Map<string, Transformer>();
  const store = new EncryptedStore(options.store, (key) => {
    const resource = resourceOf(key);
    if (resource === undefined) return identity;
    const name = `${resource.group}/${resource.resource}`;
    let transformer = known.get(name);
    if (transformer === undefined) {
      known.set(name, (transformer = transformers.of(resource.group, resource.resource)));
    }
    return transformer;
  });
  const onRecovery = (): void => {
    if (store.hasFailures) options.onReadable(store.failedKeys);
  };
  const load = async (content: string): Promise<ResourceTransformers> => {
    if (content === "")
      throw new Error(`encryption provider configuration file ${JSON.stringify(configFile)} is empty`);
    const config = await readEncryptionConfig(content, reloads);
    try {
      return await createResourceTransformers(config, { clock, logger, onRecovery });
    } catch (error) {
      throw new BuildError(`error while building transformers: ${(error as Error).message}`, { cause: error });
    }
  };

  let content: string;
  try {
    content = await readFile(configFile, "utf8");
    transformers = await load(content);
  } catch (error) {
    if (error instanceof BuildError) throw error;
    throw new Error(`error while parsing file: ${(error as Error).message}`, { cause: error });
  }
  const takeOver = async (changed: string): Promise<void> => {
    const next = await load(changed);
    const before = transformers;
    transformers = next;
    known = new Map();
    before[Symbol.dispose]();
    onRecovery();
  };
  const file = reloads ? watchFile({ path: configFile, logger, initial: content, onChange: takeOver }) : undefined;
  // From here on no change is missed.
  await file?.check();
  const check = async (): Promise<string | undefined> => {
    const results = await Promise.all(transformers.kms.map((provider) => provider.check()));
    const messages = results.flatMap((text, i) => (text === undefined ? [] : [`kms-provider-${i}: ${text}`]));
    return messages.length === 0 ? undefined : joinMessages(messages);
  };
  return {
    store,
    healthChecks:
      reloads || transformers.kms.length > 0 ? [{ name: "kms-providers", check, isNoReasonToRestart: true }] : [],
    async [Symbol.asyncDispose]() {
      await file?.[Symbol.asyncDispose]();
      transformers[Symbol.dispose]();
    },
  };
}
