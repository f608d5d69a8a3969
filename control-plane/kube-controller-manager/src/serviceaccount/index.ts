import { Namespace, ServiceAccount } from "@coracle/api/core/v1";
import { isAlreadyExists } from "@coracle/apimachinery";
import {
  defineController,
  done,
  isNamespaceTerminating,
  mapped,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";

/** Gives every namespace a service account named `default`. */
export function createServiceAccountController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const namespaces = informers.informer(Namespace).lister;
  const accounts = informers.informer(ServiceAccount).lister;

  return defineController<Namespace>(deps, {
    name: "serviceaccount",
    for: Namespace,
    watches: [
      mapped(ServiceAccount, ({ metadata: { name, namespace = "" } }) => (name === "default" ? [namespace] : [])),
    ],
    workers: 1,
    async reconcile(name, { signal }) {
      const namespace = namespaces.byKey(name);
      if (namespace === undefined || namespace.status?.phase === "Terminating") return done;
      if (accounts.get(name, "default") !== undefined) return done;
      try {
        await client.create(ServiceAccount, { metadata: { name: "default", namespace: name } }, { signal });
      } catch (error) {
        if (!isAlreadyExists(error) && !isNamespaceTerminating(error)) throw error;
      }
      return done;
    },
  });
}
