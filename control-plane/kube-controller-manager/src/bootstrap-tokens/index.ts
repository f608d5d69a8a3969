import { ConfigMap, Secret } from "@coracle/api/core/v1";
import { isConflict, isNotFound } from "@coracle/apimachinery";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { msUntilExpired, signedData, signingTokens, TOKENS } from "./token-secret.ts";

const CLUSTER_INFO = { namespace: "kube-public", name: "cluster-info" };
const KEY = `${CLUSTER_INFO.namespace}/${CLUSTER_INFO.name}`;
/** Only this one is watched. */
const INFO = { namespace: CLUSTER_INFO.namespace, fieldSelector: `metadata.name=${CLUSTER_INFO.name}` };

/** Signs the kubeconfig in kube-public/cluster-info with every bootstrap token that may, so that who joins can trust it. */
export function createBootstrapSigner(deps: ControllerDeps): Controller {
  const { client, informers, clock } = deps;
  const tokens = informers.informer(Secret, TOKENS).lister;
  const infos = informers.informer(ConfigMap, INFO).lister;
  return defineController<Secret>(deps, {
    name: "bootstrap-signer",
    for: Secret,
    scope: TOKENS,
    changed: () => false,
    watches: [mapped(Secret, () => [KEY], TOKENS), mapped(ConfigMap, () => [KEY], INFO)],
    workers: 1,
    async reconcile(key, { signal }) {
      if (key !== KEY) return done;
      const info = infos.byKey(KEY);
      if (info === undefined) return done;
      const data = signedData(info, signingTokens(tokens.list(), clock.now()));
      if (data === undefined) return done;
      try {
        await client.update(ConfigMap, { ...info, data }, { signal });
      } catch (error) {
        // Whoever was faster brings us back by the change.
        if (!isConflict(error) && !isNotFound(error)) throw error;
      }
      return done;
    },
  });
}

/** Deletes bootstrap tokens once they have expired. */
export function createTokenCleaner(deps: ControllerDeps): Controller {
  const { client, informers, clock } = deps;
  const tokens = informers.informer(Secret, TOKENS).lister;
  return defineController<Secret>(deps, {
    name: "token-cleaner",
    for: Secret,
    scope: TOKENS,
    workers: 1,
    async reconcile(key, { signal }) {
      const secret = tokens.byKey(key);
      if (secret === undefined) return done;
      const leftMs = msUntilExpired(secret, clock.now());
      if (leftMs !== 0) return requeueAfter(leftMs);
      const { namespace, name = "", uid } = secret.metadata;
      try {
        await client.delete(Secret, { namespace, name }, { preconditions: { uid }, signal });
      } catch (error) {
        if (!isConflict(error) && !isNotFound(error)) throw error;
      }
      return done;
    },
  });
}
