import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { Secret, ServiceAccount } from "@coracle/api/core/v1";
import { equalJson, isConflict, isNotFound } from "@coracle/apimachinery";
import { splitCacheKey } from "@coracle/client";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import type { ControllerManagerFlags } from "../flags.ts";
import { secretToken } from "./token.ts";

const TYPE = "kubernetes.io/service-account-token";
const NAME = "kubernetes.io/service-account.name";
const UID = "kubernetes.io/service-account.uid";
/** Only these secrets are watched and kept. */
const TOKENS = { fieldSelector: `type=${TYPE}` };

/** Fills secrets of type service-account-token, and deletes those whose account is gone; undefined without a key to sign with. */
export function createServiceAccountTokenController(
  deps: ControllerDeps,
  flags: ControllerManagerFlags,
): Controller | undefined {
  if (flags.serviceAccountPrivateKeyFile === undefined) return undefined;
  const key = createPrivateKey(readFileSync(flags.serviceAccountPrivateKeyFile));
  const rootCa = flags.rootCaFile === undefined ? undefined : readFileSync(flags.rootCaFile);
  const { client, informers } = deps;
  const accounts = informers.informer(ServiceAccount).lister;
  const secrets = informers.informer(Secret, TOKENS).lister;

  async function remove({ metadata: { namespace, name = "", uid } }: Secret, signal: AbortSignal): Promise<void> {
    try {
      await client.delete(Secret, { namespace, name }, { preconditions: { uid }, signal });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  async function accountNow(cacheKey: string, signal: AbortSignal): Promise<ServiceAccount | undefined> {
    const cached = accounts.byKey(cacheKey);
    if (cached !== undefined) return cached;
    try {
      return await client.get(ServiceAccount, splitCacheKey(cacheKey), { signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  return defineController<ServiceAccount>(deps, {
    name: "serviceaccount-token",
    for: ServiceAccount,
    watches: [
      mapped(
        Secret,
        ({ metadata: { namespace, annotations } }) => {
          const name = annotations?.[NAME];
          return name === undefined ? [] : [`${namespace}/${name}`];
        },
        TOKENS,
      ),
    ],
    workers: flags.concurrentServiceaccountTokenSyncs,
    async reconcile(cacheKey, { signal }) {
      const { namespace, name } = splitCacheKey(cacheKey);
      const mine = secrets.list(namespace).filter(({ metadata }) => metadata.annotations?.[NAME] === name);
      if (mine.length === 0) return done;
      const account = await accountNow(cacheKey, signal);
      for (const secret of mine) {
        if (secret.metadata.deletionTimestamp !== undefined) continue;
        const { uid } = account?.metadata ?? {};
        const claimed = secret.metadata.annotations?.[UID] ?? "";
        if (account === undefined || (claimed !== "" && claimed !== uid)) {
          await remove(secret, signal);
          continue;
        }
        const data: Record<string, string> = {
          ...secret.data,
          ...(rootCa === undefined ? {} : { "ca.crt": rootCa.toString("base64") }),
          namespace: secret.data?.["namespace"] ?? Buffer.from(namespace ?? "").toString("base64"),
          token: secret.data?.["token"] ?? Buffer.from(secretToken(key, account, secret)).toString("base64"),
        };
        if (claimed === uid && equalJson(data, secret.data)) continue;
        const annotations = { ...secret.metadata.annotations, [UID]: uid ?? "" };
        await client.update(Secret, { ...secret, metadata: { ...secret.metadata, annotations }, data }, { signal });
      }
      return done;
    },
  });
}
