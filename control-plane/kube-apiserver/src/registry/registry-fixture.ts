import { createFakeClock, createSeededRandom, silentLogger, type FakeClock } from "@coracle/base";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { isStatusError, type Draft } from "@coracle/apimachinery";
import { createRegistry, type RegistryOptions, type RunningRegistry } from "./create-registry.ts";
import type { Answer, RequestContext, ResourceHandler, WriteQuery } from "./registry.ts";

/** A registry on a memory store, for tests. */
export interface RegistryFixture extends AsyncDisposable {
  readonly store: Store;
  readonly clock: FakeClock;
  readonly registry: RunningRegistry;
  /** `pods`, `apps/v1/deployments`. */
  handler(resource: string): ResourceHandler;
}

/** Who tests as. */
export const admin: RequestContext = {
  user: { name: "admin", groups: ["system:masters"] },
  signal: new AbortController().signal,
  warnings: [],
  userAgent: "test",
};

/** A write that is strict about fields. */
export const strictWrite: WriteQuery = { dryRun: false, fieldManager: "test", fieldValidation: "Strict" };

/** Opens one; `store`: an existing one, which then is not closed with the fixture. */
export async function openRegistryFixture(options: Partial<RegistryOptions> = {}): Promise<RegistryFixture> {
  const clock = createFakeClock();
  const store = options.store ?? createMemoryStore({ clock });
  const registry = await createRegistry({
    store,
    clock,
    random: createSeededRandom(1),
    logger: silentLogger,
    admission: { admit: () => Promise.resolve(), validate: () => Promise.resolve() },
    definitions: [],
    ...options,
  });
  return {
    store,
    clock,
    registry,
    handler(resource) {
      const parts = resource.split("/");
      const plural = parts.pop() ?? "";
      const [group = "", version = "v1"] = parts;
      const found = registry.resource(group, version, plural);
      if (found === undefined) throw new Error(`no ${resource}`);
      return found;
    },
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      if (options.store === undefined) await store[Symbol.asyncDispose]();
    },
  };
}

/** The object in an answer. */
export const objectOf = (answer: Answer): Draft =>
  (answer.type === "stored" ? answer.stored.object : answer.object) as Draft;

/** Its metadata. */
export const metaOf = (answer: Answer): Draft => objectOf(answer).metadata as Draft;

/** Code, reason and message of a StatusError that the promise must fail with. */
export async function failureOf(
  promise: Promise<unknown>,
): Promise<{ readonly code: number; readonly message: string; readonly reason: string }> {
  try {
    await promise;
  } catch (error) {
    if (isStatusError(error)) return { code: error.code, message: error.message, reason: error.reason };
    throw error;
  }
  throw new Error("did not fail");
}
