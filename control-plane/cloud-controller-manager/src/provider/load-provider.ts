import { createRequire } from "node:module";
import { join } from "node:path";
import { createLocalProvider } from "../local/local-provider.ts";
import type { CloudProviderFactory } from "./cloud-provider.ts";

/** Providers that need no package. */
const BUILT_IN: Readonly<Record<string, CloudProviderFactory>> = { local: createLocalProvider };

/**
 * The provider that `--cloud-provider` names: a built-in one, or the default export of an npm package or of a module
 * file, found as a module in `folder` would find it. Throws an Error that names the provider.
 */
export async function loadProvider(name: string, folder: string): Promise<CloudProviderFactory> {
  const builtIn = BUILT_IN[name];
  if (builtIn !== undefined) return builtIn;
  const failed = (why: string, cause?: unknown): Error =>
    new Error(`unknown cloud provider ${JSON.stringify(name)}: ${why}`, { cause });
  let loaded: { readonly default?: unknown };
  try {
    const path = createRequire(join(folder, "package.json")).resolve(name);
    loaded = (await import(path)) as { readonly default?: unknown };
  } catch (error) {
    throw failed((error as Error).message.split("\n")[0] ?? "", error);
  }
  // Bundled, a module comes wrapped once more.
  const inner = loaded.default as { readonly default?: unknown } | undefined;
  const factory = typeof inner === "function" ? inner : inner?.default;
  if (typeof factory !== "function") throw failed("its default export is no function");
  return factory as CloudProviderFactory;
}
