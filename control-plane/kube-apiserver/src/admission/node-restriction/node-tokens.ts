import { isObject, notFound } from "@coracle/apimachinery";
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from "@coracle/api/core/v1";
import type { CSIDriver } from "@coracle/api/storage/v1";
import type { Authorizer } from "../../authorization/authorizer.ts";
import type { RegistryReader } from "../../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../../registry/registry.ts";
import { refusalOf } from "../refusal.ts";

const core = (plural: string): { group: string; version: string; plural: string } => ({
  group: "",
  version: "v1",
  plural,
});
const DRIVERS = { group: "storage.k8s.io", version: "v1", plural: "csidrivers" };

interface Deps {
  readonly objects: RegistryReader;
  readonly authorizer: Authorizer;
}

/** A node gets tokens for the pods that are bound to it, for the audiences that these need. */
export async function checkNodeToken(deps: Deps, node: string, attributes: AdmissionAttributes): Promise<void> {
  if (attributes.operation !== "CREATE" || attributes.subresource !== "token") return;
  const refuse = (why: string): Error => refusalOf(attributes, why);
  const spec = attributes.object?.["spec"];
  const { boundObjectRef: ref, audiences } = isObject(spec) ? spec : {};
  if (!isObject(ref) || ref["apiVersion"] !== "v1" || ref["kind"] !== "Pod" || !ref["name"]) {
    throw refuse("node requested token not bound to a pod");
  }
  if (!ref["uid"]) throw refuse("node requested token with a pod binding without a uid");
  const { name, uid } = ref as { readonly name: string; readonly uid: string };
  const pod = (await deps.objects.get(core("pods"), attributes.namespace, name)) as unknown as Pod | undefined;
  if (pod === undefined) throw notFound({ group: "", resource: "pods" }, name);
  if (pod.metadata.uid !== uid) {
    throw refuse(
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  if (pod.spec?.nodeName !== node) throw refuse("node requested token bound to a pod scheduled on a different node");
  const wanted = (audiences ?? []) as readonly string[];
  if (wanted.length > 1) throw refuse("node may only request 0 or 1 audiences");
  await checkAudience(deps, attributes, pod, wanted[0] ?? "");
}

async function checkAudience(
  { objects, authorizer }: Deps,
  attributes: AdmissionAttributes,
  pod: Pod,
  audience: string,
): Promise<void> {
  for (const volume of pod.spec?.volumes ?? []) {
    const sources = volume.projected?.sources ?? [];
    if (sources.some(({ serviceAccountToken: token }) => token != null && (token.audience ?? "") === audience)) return;
    const driver = await driverOf(objects, pod, volume);
    if (driver !== undefined && (await hasAudience(objects, driver, audience))) return;
  }
  const { context, namespace, name } = attributes;
  const decision = await authorizer.authorize({
    user: context.user,
    verb: "request-serviceaccounts-token-audience",
    isResource: true,
    group: "",
    version: "v1",
    resource: audience,
    subresource: "",
    namespace,
    name,
    path: "",
  });
  if (decision.verdict === "allow") return;
  throw refusalOf(
    attributes,
    `audience ${JSON.stringify(audience)} not found in pod spec volume, ${context.user.name} is not authorized to request tokens for this audience`,
  );
}

/** The CSI driver that serves a volume, as far as it can be known. */
async function driverOf(objects: RegistryReader, pod: Pod, volume: Volume): Promise<string | undefined> {
  if (volume.csi !== undefined) return volume.csi.driver;
  const claimName =
    volume.ephemeral !== undefined ? `${pod.metadata.name}-${volume.name}` : volume.persistentVolumeClaim?.claimName;
  if (claimName === undefined) return undefined;
  const claim = (await objects.get(
    core("persistentvolumeclaims"),
    pod.metadata.namespace ?? "",
    claimName,
  )) as unknown as PersistentVolumeClaim | undefined;
  const name = claim?.spec?.volumeName;
  if (name === undefined || name === "") return undefined;
  const bound = (await objects.get(core("persistentvolumes"), "", name)) as unknown as PersistentVolume | undefined;
  return bound?.spec?.csi?.driver;
}

async function hasAudience(objects: RegistryReader, driver: string, audience: string): Promise<boolean> {
  const found = (await objects.get(DRIVERS, "", driver)) as unknown as CSIDriver | undefined;
  return (found?.spec.tokenRequests ?? []).some((one) => one.audience === audience);
}
