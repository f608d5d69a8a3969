import { ConfigMap, Namespace } from "@coracle/api/core/v1";
import { isAlreadyExists, isNotFound, StatusError } from "@coracle/apimachinery";
import {
  defineController,
  done,
  isNamespaceTerminating,
  mapped,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import type { ControllerMetrics } from "../metrics/controller-metrics.ts";

const NAME = "kube-root-ca.crt";
const DESCRIPTION_KEY = "kubernetes.io/description";
const DESCRIPTION =
  "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

/** Puts the authority that signed the API server's certificate into every namespace, as ConfigMap kube-root-ca.crt. */
export function createRootCaPublisher(deps: ControllerDeps, rootCa: string, metrics?: ControllerMetrics): Controller {
  const { client, informers, clock } = deps;
  const namespaces = informers.informer(Namespace).lister;
  const scope = { fieldSelector: `metadata.name=${NAME}` };
  const maps = informers.informer(ConfigMap, scope).lister;

  return defineController<Namespace>(deps, {
    name: "root-ca-certificate-publisher",
    for: Namespace,
    watches: [mapped(ConfigMap, (map) => [map.metadata.namespace ?? ""], scope)],
    workers: 1,
    async reconcile(name, { signal }) {
      const namespace = namespaces.byKey(name);
      if (namespace === undefined || namespace.status?.phase !== "Active") return done;
      const present = maps.get(name, NAME);
      const data = { "ca.crt": rootCa };
      const began = clock.monotonicMs();
      let code = 200;
      const annotations = { ...present?.metadata.annotations, [DESCRIPTION_KEY]: DESCRIPTION };
      try {
        if (present === undefined)
          await client.create(ConfigMap, { metadata: { name: NAME, namespace: name, annotations }, data }, { signal });
        else if (
          present.data?.["ca.crt"] !== rootCa ||
          Object.keys(present.data).length !== 1 ||
          present.metadata.annotations?.[DESCRIPTION_KEY] === undefined
        )
          await client.update(
            ConfigMap,
            { ...present, metadata: { ...present.metadata, annotations }, data },
            { signal },
          );
      } catch (error) {
        if (!isAlreadyExists(error) && !isNotFound(error) && !isNamespaceTerminating(error)) {
          code = StatusError.from(error).code;
          throw error;
        }
      } finally {
        metrics?.rootCaPublished(code, clock.monotonicMs() - began);
      }
      return done;
    },
  });
}
