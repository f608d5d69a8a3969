// An operator of the smallest kind: beside each boat there is a config map that says how many oars it has.
import { KubernetesObjectApi, makeInformer } from "@kubernetes/client-node";

/** Runs until `stop` is called; one reconciliation for each change of a boat. */
export async function startOperator(config) {
  const api = KubernetesObjectApi.makeApiClient(config);
  const reconcile = async ({ metadata, spec }) => {
    const { name, namespace, uid } = metadata;
    const owner = { apiVersion: "harbour.example.com/v1", kind: "Boat", name, uid, controller: true };
    const log = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace, ownerReferences: [owner] },
      data: { oars: String(spec.oars) },
    };
    await api.patch(log, undefined, undefined, "operator", true, "application/apply-patch+yaml");
  };
  const informer = makeInformer(config, "/apis/harbour.example.com/v1/boats", () =>
    api.list("harbour.example.com/v1", "Boat"),
  );
  for (const event of ["add", "update"])
    informer.on(event, (boat) => void reconcile(boat).catch((error) => console.error(error.message)));
  await informer.start();
  return { stop: () => informer.stop() };
}
