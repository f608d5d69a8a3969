import { ConfigMap, Pod, Secret, ServiceAccount } from "@coracle/api/core/v1";
import { isConflict, isNotFound } from "@coracle/apimachinery";
import { isAbort, sleep } from "@coracle/base";
import type { Controller, ControllerDeps } from "@coracle/controller-kit";
import { accountNameOf, INVALID_SINCE, judgedFrom, planToken, secretsOf, startOfDay, TOKEN_TYPE } from "./plan.ts";

const EVERY_MS = 86_400_000;
/** Since when the API server writes down which tokens are used. */
const TRACKING = { namespace: "kube-system", name: "kube-apiserver-legacy-service-account-token-tracking" };
const TOKENS = { fieldSelector: `type=${TOKEN_TYPE}` };

/**
 * Makes invalid, and a period later deletes, tokens of service accounts that were made by themselves in former days
 * and that nobody has used for `periodMs`. Looks once a day.
 */
export function createLegacyTokenCleaner(deps: ControllerDeps, periodMs: number): Controller {
  const { client, informers, clock } = deps;
  const name = "legacy-serviceaccount-token-cleaner";
  const log = deps.logger.child({ controller: name });

  async function trackedSince(signal: AbortSignal): Promise<number> {
    const { data } = await client.get(ConfigMap, TRACKING, { signal });
    const since = startOfDay(data?.["since"]);
    if (since === undefined) throw new Error(`${TRACKING.name} does not say since when`);
    return since;
  }

  async function look(signal: AbortSignal): Promise<void> {
    if (clock.now() < judgedFrom(await trackedSince(signal), periodMs)) return;
    const secrets = informers.informer(Secret, TOKENS);
    const accounts = informers.informer(ServiceAccount);
    const pods = informers.informer(Pod);
    for (const informer of [secrets, accounts, pods]) await informer.waitForSync(signal);
    const usedIn = new Map<string, ReadonlySet<string>>();
    for (const secret of secrets.lister.list()) {
      const { namespace = "", name: secretName = "", uid, resourceVersion } = secret.metadata;
      let used = usedIn.get(namespace);
      if (used === undefined) usedIn.set(namespace, (used = new Set(pods.lister.list(namespace).flatMap(secretsOf))));
      const accountName = accountNameOf(secret) ?? "";
      const account = accountName === "" ? undefined : accounts.lister.get(namespace, accountName);
      const plan = planToken({ secret, account, used, periodMs, now: clock.now() });
      if (plan.action === "keep") continue;
      const key = { namespace, name: secretName };
      try {
        if (plan.action === "invalidate") {
          log.info("token is invalid from now on", { ...key, since: plan.since });
          const metadata = { uid, labels: { [INVALID_SINCE]: plan.since } };
          await client.patch(Secret, key, "merge", { metadata }, { signal });
        } else {
          log.info("token is deleted", key);
          await client.delete(Secret, key, { preconditions: { resourceVersion }, signal });
        }
      } catch (error) {
        if (isAbort(error, signal)) throw error;
        if (!isConflict(error) && !isNotFound(error)) log.warn("token could not be cleaned", { ...key, error });
      }
    }
  }

  return {
    name,
    async run(signal) {
      try {
        for (;;) {
          try {
            await look(signal);
          } catch (error) {
            if (isAbort(error, signal)) throw error;
            log.warn("legacy tokens could not be looked at", { error });
          }
          await sleep(clock, EVERY_MS, signal);
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
  };
}
