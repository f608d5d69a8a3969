import { createSeededRandom } from "@coracle/base";
import { nameOf, type Seed } from "../differential/seeds.ts";
import type { Call } from "../differential/connection.ts";
import { nextFuzzCall } from "./fuzz-requests.ts";

/** An answer that no request may get. */
export interface Failure {
  readonly call: Call;
  readonly code: number;
  readonly body: string;
}

export interface FuzzOptions {
  readonly seeds: readonly Seed[];
  readonly requests: number;
  readonly seed: number;
  /** How many are under way at a time. */
  readonly atOnce: number;
  readonly send: (call: Call) => Promise<{ readonly code: number; readonly body: string }>;
  /** Told of answers 500 that are upstream's own, too. */
  readonly known?: (failure: Failure) => void;
  /** Told from time to time how many are done. */
  readonly progress?: (done: number) => void;
}

const JSON_TYPE = { "content-type": "application/json" };
const PROGRESS_EVERY = 5_000;
const MOST_FAILURES = 50;
const MOST_TURNS = 5;

/**
 * Answers that are upstream's own, as a run with `--peer-kube-apiserver` shows. Upstream, too, answers 500 where nobody thought of the case: texts that are no resource version, directives of strategic
 * patches that do not exist, applied values of a type the schema cannot hold. These are texts of its interface, not crashes.
 */
const KNOWN_500 =
  /strconv\.ParseUint|unknown patch type|does not contain declared merge key|doesn't match \$setElementOrder|list element types are not identical|cannot merge lists without merge key|failed to create typed patch object|failed to convert new object|merging lists cannot|resourceVersion should not be set/;

const isFailure = (code: number, body: string): boolean =>
  code === 0 || (code >= 500 && code !== 504 && !KNOWN_500.test(body));

/** Makes the objects that the wrong requests are about. */
export async function makeSeeds(seeds: readonly Seed[], send: FuzzOptions["send"]): Promise<void> {
  // There is nobody here who makes it, and pods are refused without.
  const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
  const accounts = "/api/v1/namespaces/default/serviceaccounts";
  await send({ method: "POST", path: accounts, headers: JSON_TYPE, body: JSON.stringify(account) });
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    let refused = 0;
    for (const seed of seeds) {
      const body = JSON.stringify(seed.object);
      const { code } = await send({ method: "POST", path: seed.path, headers: JSON_TYPE, body });
      // What others of them lead to is not known everywhere yet.
      if (code === 403) refused++;
    }
    if (refused === 0) return;
  }
}

/** Makes the seeds, then sends wrong requests; answers those that were not answered as they should be. */
export async function fuzz(options: FuzzOptions): Promise<readonly Failure[]> {
  const { seeds, send } = options;
  const random = createSeededRandom(options.seed);
  await makeSeeds(seeds, send);
  const failures: Failure[] = [];
  let started = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (started < options.requests && failures.length < MOST_FAILURES) {
      started++;
      const call = nextFuzzCall(random, seeds);
      const { code, body } = await send(call);
      const failure = { call, code, body: body.slice(0, 500) };
      if (isFailure(code, body)) failures.push(failure);
      else if (code === 500) options.known?.(failure);
      if (++done % PROGRESS_EVERY === 0) options.progress?.(done);
      // What was deleted for good is put back.
      if (call.method === "DELETE" && code < 300) {
        const seed = seeds.find((one) =>
          call.path.startsWith(`${one.path}/${encodeURIComponent(nameOf(one.object))}?`),
        );
        if (seed !== undefined)
          await send({ method: "POST", path: seed.path, headers: JSON_TYPE, body: JSON.stringify(seed.object) });
      }
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, worker));
  return failures;
}
