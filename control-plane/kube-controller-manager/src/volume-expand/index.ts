import { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import { referenceTo } from "@coracle/client";
import { defineController, done, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { hasGrown, planExpansion, RESIZER } from "./plan.ts";

/** Says who is to make a volume larger when its claim asks for more: no kind of volume is grown here. */
export function createVolumeExpandController(deps: ControllerDeps): Controller {
  const { client, informers, recorder } = deps;
  const claims = informers.informer(PersistentVolumeClaim).lister;
  const volumes = informers.informer(PersistentVolume).lister;
  return defineController<PersistentVolumeClaim>(deps, {
    name: "volume-expand",
    for: PersistentVolumeClaim,
    changed: (claim, old) => claim.status?.phase === "Bound" && (old === undefined || hasGrown(old, claim)),
    workers: 10,
    async reconcile(key, { signal }) {
      const claim = claims.byKey(key);
      if (claim?.status?.phase !== "Bound") return done;
      const { namespace, name = "", annotations } = claim.metadata;
      const plan = planExpansion(claim, volumes.byKey(claim.spec?.volumeName ?? ""));
      if (plan === undefined) return done;
      recorder.event(referenceTo(PersistentVolumeClaim, claim), "Normal", "ExternalExpanding", plan.message);
      if (plan.resizer === undefined || annotations?.[RESIZER] === plan.resizer) return done;
      const body = { metadata: { annotations: { [RESIZER]: plan.resizer } } };
      const options = { subresource: "status", signal }; // all that expanders may write
      await client.patch(PersistentVolumeClaim, { namespace, name }, "merge", body, options);
      return done;
    },
  });
}
