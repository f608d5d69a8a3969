import { createHash } from "node:crypto";
import type { Clock, Logger } from "@coracle/base";
import { aesCbc, aesGcm, type Cipher } from "./aes.ts";
import { splitGroupResource, type KeyConfig, type ProviderConfig, type ResourceEncryption } from "./config.ts";
import { createKeyService } from "./kms/key-service.ts";
import { KmsProvider } from "./kms/kms-provider.ts";
import { secretbox } from "./secretbox.ts";
import { byPrefix, identity, type PrefixedTransformer, type Transformer } from "./transformer.ts";

/** What a configuration amounts to: for each kind of resource how it is stored. */
export interface ResourceTransformers extends Disposable {
  of(group: string, resource: string): Transformer;
  readonly kms: readonly KmsProvider[];
}

const CIPHERS: Readonly<Record<string, (key: Buffer) => Cipher>> = { aescbc: aesCbc, aesgcm: aesGcm, secretbox };

const NO_KEY = {
  aescbc: "no matching key was found for the provided AES transformer",
  aesgcm: "no matching key was found for the provided AES transformer",
  secretbox: "no matching key was found for the provided Secretbox transformer",
} as const;

function keyTransformer(type: keyof typeof NO_KEY, { name, secret }: KeyConfig): PrefixedTransformer {
  const cipher = CIPHERS[type]!(secret);
  // Keys of the same name may differ.
  const sealsAs = `${type}:${name}:${createHash("sha256").update(secret).digest("base64")}`;
  return {
    prefix: Buffer.from(`${name}:`),
    transformer: {
      sealsAs,
      open: (data, key) => ({ value: cipher.open(data, key), sealedBy: sealsAs }),
      seal: (value, key) => cipher.seal(value, key),
    },
  };
}

const nameOf = (group: string, resource: string): string =>
  group === "" && resource === "*" ? "*." : group === "" ? resource : `${resource}.${group}`;

/** Makes the transformers that a configuration asks for, and asks each KMS how it is. Throws what upstream would. */
export async function createResourceTransformers(
  config: readonly ResourceEncryption[],
  deps: { readonly clock: Clock; readonly logger: Logger; readonly onRecovery: () => void },
): Promise<ResourceTransformers> {
  const kms: KmsProvider[] = [];
  const make = (provider: ProviderConfig): PrefixedTransformer => {
    if (provider.type === "identity") return { prefix: Buffer.alloc(0), transformer: identity };
    if (provider.type !== "kms") {
      const { type, keys } = provider;
      return {
        prefix: Buffer.from(`k8s:enc:${type}:v1:`),
        transformer: byPrefix(
          keys.map((key) => keyTransformer(type, key)),
          NO_KEY[type],
        ),
      };
    }
    if (provider.version === "v1") {
      throw new Error(
        "KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead.  Set --feature-gates=KMSv1=true to use the deprecated KMSv1 feature.",
      );
    }
    const { name, endpoint, timeoutMs } = provider;
    const service = createKeyService({ endpoint, timeoutMs, clock: deps.clock });
    const made = new KmsProvider({ name, service, ...deps });
    kms.push(made);
    return { prefix: Buffer.from(`k8s:enc:kms:v2:${name}:`), transformer: made };
  };
  const lists = new Map<string, PrefixedTransformer[]>();
  try {
    for (const { resources, providers } of config) {
      const made = providers.map(make);
      for (const text of resources) {
        const { group, resource } = splitGroupResource(text);
        for (const mask of [nameOf(group, "*"), "*.*"]) {
          if (!lists.has(mask)) continue;
          const [masked, by] = [JSON.stringify(nameOf(group, resource)), JSON.stringify(mask)];
          throw new Error(`resource ${masked} is masked by earlier rule ${by}`);
        }
        const name = nameOf(group, resource);
        lists.set(name, [...(lists.get(name) ?? []), ...made]);
      }
    }
  } catch (error) {
    for (const provider of kms) provider[Symbol.dispose]();
    throw error;
  }
  const transformers = new Map([...lists].map(([name, list]) => [name, byPrefix(list, "no matching prefix found")]));
  await Promise.all(kms.map((provider) => provider.start()));
  return {
    kms,
    of: (group, resource) =>
      transformers.get(nameOf(group, resource)) ??
      transformers.get(nameOf(group, "*")) ??
      transformers.get("*.*") ??
      identity,
    [Symbol.dispose]() {
      for (const provider of kms) provider[Symbol.dispose]();
    },
  };
}
