import { createHash } from "node:crypto";
import { ClusterTrustBundle } from "@coracle/api/certificates/v1beta1";
import { isAlreadyExists, isNotFound, isStatusError } from "@coracle/apimachinery";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import type { BundleMonitor } from "./monitor.ts";

const SIGNER = "kubernetes.io/kube-apiserver-serving";
/** Only bundles of this signer are watched. */
const SCOPE = { fieldSelector: `spec.signerName=${SIGNER}` };

/** The name says what is in it: another authority is another bundle. */
export const bundleNameOf = (trustBundle: string): string =>
  `${SIGNER.replaceAll("/", ":")}:${createHash("sha256").update(trustBundle).digest("hex").slice(0, 24)}`;

/** Publishes the authority of the API server's certificate as a bundle, and withdraws former ones. */
export function createClusterTrustBundlePublisher(
  deps: ControllerDeps,
  trustBundle: string,
  monitor: BundleMonitor,
): Controller {
  const { client, informers, clock } = deps;
  const bundles = informers.informer(ClusterTrustBundle, SCOPE).lister;
  const name = bundleNameOf(trustBundle);
  async function publish(signal: AbortSignal): Promise<void> {
    const present = bundles.byKey(name);
    const spec = { signerName: SIGNER, trustBundle };
    try {
      if (present === undefined) await client.create(ClusterTrustBundle, { metadata: { name }, spec }, { signal });
      else if (present.spec.trustBundle !== trustBundle)
        await client.update(ClusterTrustBundle, { ...present, spec: { ...present.spec, trustBundle } }, { signal });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error; // seen a moment later
    }
    for (const { metadata } of bundles.list()) {
      if (metadata.name === name) continue;
      try {
        await client.delete(ClusterTrustBundle, { name: metadata.name ?? "" }, { signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  return defineController<ClusterTrustBundle>(deps, {
    name: "kube-apiserver-serving-clustertrustbundle-publisher",
    for: ClusterTrustBundle,
    scope: SCOPE,
    changed: () => false,
    watches: [mapped(ClusterTrustBundle, () => [name], SCOPE)],
    started: ({ enqueue }) => enqueue(name),
    workers: 1,
    async reconcile(key, { signal }) {
      if (key !== name) return done;
      const began = clock.monotonicMs();
      try {
        await publish(signal);
        monitor.synced(200, clock.monotonicMs() - began);
      } catch (error) {
        monitor.synced(isStatusError(error) ? error.code : 500, clock.monotonicMs() - began);
        throw error;
      }
      return done;
    },
  });
}
