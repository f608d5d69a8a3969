import { PodCertificateRequest } from "@coracle/api/certificates/v1beta1";
import { isNotFound } from "@coracle/apimachinery";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { instantOf } from "../time/timestamp.ts";

const LIFE_MS = 15 * 60_000;

/** Deletes requests of pods for certificates a quarter of an hour after they were made, whatever became of them. */
export function createPodCertificateRequestCleaner(deps: ControllerDeps): Controller {
  const { client, informers, clock } = deps;
  const requests = informers.informer(PodCertificateRequest).lister;
  return defineController<PodCertificateRequest>(deps, {
    name: "podcertificaterequest-cleaner",
    for: PodCertificateRequest,
    changed: (_request, old) => old === undefined,
    workers: 1,
    async reconcile(key, { signal }) {
      const request = requests.byKey(key);
      if (request === undefined) return done;
      const { namespace, name = "", uid, creationTimestamp } = request.metadata;
      const leftMs = (instantOf(creationTimestamp) ?? 0) + LIFE_MS - clock.now();
      if (leftMs > 0) return requeueAfter(leftMs);
      try {
        await client.delete(PodCertificateRequest, { namespace, name }, { preconditions: { uid }, signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
      return done;
    },
  });
}
