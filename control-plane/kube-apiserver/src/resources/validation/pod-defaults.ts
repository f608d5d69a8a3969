import { isObject, type Draft } from "@coracle/apimachinery";

/** A member that is an object, undefined otherwise. */
export function objectIn(draft: Draft | undefined, field: string): Draft | undefined {
  const value = draft?.[field];
  return isObject(value) ? value : undefined;
}
/** The objects of a list member; empty when there is no list. */
export function objectsIn(draft: Draft | undefined, field: string): Draft[] {
  const value = draft?.[field];
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : [];
}
/** Sets a member that is absent. */
export function setDefault(draft: Draft, field: string, value: unknown): void {
  if (draft[field] === undefined || draft[field] === null) draft[field] = value;
}
/** Sets a string member that is absent or empty. */
export function setDefaultText(draft: Draft, field: string, value: string): void {
  const current = draft[field];
  if (current === undefined || current === null || current === "") draft[field] = value;
}
/** Sets a number member that is absent or 0. */
export function setDefaultNumber(draft: Draft, field: string, value: number): void {
  const current = draft[field];
  if (current === undefined || current === null || current === 0) draft[field] = value;
}

const DOMAIN =
  "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?";
const PATH = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const REFERENCE = new RegExp(
  `^(?:${DOMAIN}/)?${PATH}(?:/${PATH})*(?::\\w[\\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`,
);

/** Whether a text names an image at all; what does not has no tag, not even the latest. */
const isImageReference = (name: string): boolean =>
  name.length <= 1024 && REFERENCE.test(name) && !/^[0-9a-f]{64}$/.test(name) && repositoryOf(name).length <= 255;

/** The path of the image below its registry; what names no registry is in the default one's library. */
function repositoryOf(name: string): string {
  const bare = name.replace(/@.*$/, "").replace(/:[^/]*$/, "");
  const slash = bare.indexOf("/");
  if (slash < 0) return `library/${bare}`;
  const first = bare.slice(0, slash);
  return /[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first ? bare.slice(slash + 1) : bare;
}

function imagePullPolicy(image: unknown): string {
  const name = typeof image === "string" ? image : "";
  if (!isImageReference(name)) return "IfNotPresent";
  const digest = name.includes("@");
  const colon = name.lastIndexOf(":");
  const bare = digest ? name.slice(0, name.indexOf("@")) : name;
  const tag = colon > bare.lastIndexOf("/") && !digest ? name.slice(colon + 1) : "";
  return (tag === "" && !digest) || tag === "latest" ? "Always" : "IfNotPresent";
}

function defaultHttpGet(action: Draft | undefined): void {
  if (action === undefined) return;
  setDefaultText(action, "path", "/");
  setDefaultText(action, "scheme", "HTTP");
}

function defaultProbe(probe: Draft | undefined): void {
  if (probe === undefined) return;
  setDefaultNumber(probe, "timeoutSeconds", 1);
  setDefaultNumber(probe, "periodSeconds", 10);
  setDefaultNumber(probe, "successThreshold", 1);
  setDefaultNumber(probe, "failureThreshold", 3);
  defaultHttpGet(objectIn(probe, "httpGet"));
  const grpc = objectIn(probe, "grpc");
  if (grpc !== undefined) setDefault(grpc, "service", "");
}

function defaultContainer(container: Draft): void {
  setDefaultText(container, "imagePullPolicy", imagePullPolicy(container["image"]));
  setDefaultText(container, "terminationMessagePath", "/dev/termination-log");
  setDefaultText(container, "terminationMessagePolicy", "File");
  setDefault(container, "resources", {});
  for (const port of objectsIn(container, "ports")) setDefaultText(port, "protocol", "TCP");
  for (const env of objectsIn(container, "env")) {
    const source = objectIn(env, "valueFrom");
    const field = objectIn(source, "fieldRef");
    if (field !== undefined) setDefaultText(field, "apiVersion", "v1");
    const resource = objectIn(source, "resourceFieldRef");
    if (resource !== undefined) setDefault(resource, "divisor", "0");
  }
  for (const name of ["livenessProbe", "readinessProbe", "startupProbe"]) defaultProbe(objectIn(container, name));
  const lifecycle = objectIn(container, "lifecycle");
  for (const name of ["postStart", "preStop"]) defaultHttpGet(objectIn(objectIn(lifecycle, name), "httpGet"));
}

function defaultDownwardItems(source: Draft): void {
  for (const item of objectsIn(source, "items")) {
    const field = objectIn(item, "fieldRef");
    if (field !== undefined) setDefaultText(field, "apiVersion", "v1");
    const resource = objectIn(item, "resourceFieldRef");
    if (resource !== undefined) setDefault(resource, "divisor", "0");
  }
}

const MODE_SOURCES = ["secret", "configMap", "downwardAPI", "projected"];

/** Volume sources in pods. */
function defaultVolume(volume: Draft): void {
  if (Object.keys(volume).every((key) => key === "name" || volume[key] === undefined)) volume["emptyDir"] = {};
  for (const kind of MODE_SOURCES) {
    const source = objectIn(volume, kind);
    if (source !== undefined) setDefault(source, "defaultMode", 420);
  }
  const downward = objectIn(volume, "downwardAPI");
  if (downward !== undefined) defaultDownwardItems(downward);
  for (const source of objectsIn(objectIn(volume, "projected"), "sources")) {
    const token = objectIn(source, "serviceAccountToken");
    if (token !== undefined) setDefault(token, "expirationSeconds", 3600);
    const items = objectIn(source, "downwardAPI");
    if (items !== undefined) defaultDownwardItems(items);
  }
  const image = objectIn(volume, "image");
  if (image !== undefined) setDefaultText(image, "pullPolicy", imagePullPolicy(image["reference"]));
  const template = objectIn(objectIn(volume, "ephemeral"), "volumeClaimTemplate");
  if (template !== undefined) {
    setDefault(template, "metadata", {});
    setDefault(template, "spec", {});
    setDefault(objectIn(template, "spec") as Draft, "volumeMode", "Filesystem");
    setDefault(objectIn(template, "spec") as Draft, "resources", {});
  }
  defaultVolumeSource(volume);
}

/** Sources that volumes of pods and PersistentVolumes share. */
export function defaultVolumeSource(volume: Draft): void {
  const host = objectIn(volume, "hostPath");
  if (host !== undefined) setDefault(host, "type", "");
  const iscsi = objectIn(volume, "iscsi");
  if (iscsi !== undefined) setDefaultText(iscsi, "iscsiInterface", "default");
  const rbd = objectIn(volume, "rbd");
  if (rbd !== undefined) {
    setDefaultText(rbd, "pool", "rbd");
    setDefaultText(rbd, "user", "admin");
    setDefaultText(rbd, "keyring", "/etc/ceph/keyring");
  }
  const scale = objectIn(volume, "scaleIO");
  if (scale !== undefined) {
    setDefaultText(scale, "storageMode", "ThinProvisioned");
    setDefaultText(scale, "fsType", "xfs");
  }
  const azure = objectIn(volume, "azureDisk");
  if (azure !== undefined) {
    setDefault(azure, "cachingMode", "ReadWrite");
    setDefault(azure, "kind", "Shared");
    setDefault(azure, "fsType", "ext4");
    setDefault(azure, "readOnly", false);
  }
}

/** The defaults of a pod spec, in a pod and in a template alike. */
export function defaultPodSpec(spec: Draft): void {
  setDefaultText(spec, "restartPolicy", "Always");
  setDefaultText(spec, "dnsPolicy", "ClusterFirst");
  setDefaultText(spec, "schedulerName", "default-scheduler");
  setDefault(spec, "terminationGracePeriodSeconds", 30);
  setDefault(spec, "securityContext", {});
  // Both names of the account field are kept equal; the old one wins only where the new one is empty.
  if (typeof spec["serviceAccountName"] !== "string" || spec["serviceAccountName"] === "") {
    if (typeof spec["serviceAccount"] === "string" && spec["serviceAccount"] !== "")
      spec["serviceAccountName"] = spec["serviceAccount"];
    else delete spec["serviceAccount"];
  }
  if (typeof spec["serviceAccountName"] === "string" && spec["serviceAccountName"] !== "")
    spec["serviceAccount"] = spec["serviceAccountName"];
  for (const list of ["containers", "initContainers", "ephemeralContainers"])
    for (const container of objectsIn(spec, list)) {
      defaultContainer(container);
      if (spec["hostNetwork"] !== true || list === "ephemeralContainers") continue;
      for (const port of objectsIn(container, "ports")) {
        if (typeof port["containerPort"] === "number" && port["containerPort"] !== 0)
          setDefaultNumber(port, "hostPort", port["containerPort"]);
      }
    }
  for (const volume of objectsIn(spec, "volumes")) defaultVolume(volume);
}

/** The member `template` of a workload's spec. */
export function defaultPodTemplate(spec: Draft): void {
  setDefault(spec, "template", {});
  const template = objectIn(spec, "template") as Draft;
  setDefault(template, "metadata", {});
  setDefault(template, "spec", {});
  defaultPodSpec(objectIn(template, "spec") as Draft);
}

/** Requests that are not given are the limits (pods only, not templates). */
export function defaultRequests(spec: Draft): void {
  for (const list of ["containers", "initContainers"])
    for (const container of objectsIn(spec, list)) {
      const resources = objectIn(container, "resources");
      const limits = objectIn(resources, "limits");
      if (resources === undefined || limits === undefined) continue;
      const requests = objectIn(resources, "requests") ?? {};
      for (const name of Object.keys(limits)) if (requests[name] === undefined) requests[name] = limits[name];
      if (Object.keys(requests).length > 0) resources["requests"] = requests;
    }
}
