import type {
  CSIVolumeSource,
  DownwardAPIVolumeFile,
  HostPathVolumeSource,
  ISCSIVolumeSource,
  KeyToPath,
  NFSVolumeSource,
  PodSpec,
  ProjectedVolumeSource,
  Volume,
} from "@coracle/api/core/v1";
import { duplicate, forbiddenField, invalidValue, required, tooLong, type FieldError } from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { validateFieldSelector, validateResourceField, VOLUME_FIELD_PATHS } from "./environment.ts";
import { oneOf, pushInvalid } from "./field-values.ts";
import { dns1123Label, dns1123Subdomain } from "./names.ts";
import { validateClaimTemplate } from "./persistent-volume-claim-spec.ts";
import { quantityNanos } from "./quantity.ts";

const HOST_PATH_TYPES = [
  "",
  "BlockDevice",
  "CharDevice",
  "Directory",
  "DirectoryOrCreate",
  "File",
  "FileOrCreate",
  "Socket",
];

function validateMode(errors: FieldError[], path: string, mode: number | undefined, detail: string): void {
  if (mode !== undefined && (mode < 0 || mode > 0o777)) errors.push(invalidValue(path, mode, detail));
}
const FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive";

/** Relative, without `..` anywhere, not beginning with `..`. */
function validateLocalNonReservedPath(errors: FieldError[], path: string, value: string): void {
  if (value.startsWith("/")) errors.push(invalidValue(path, value, "must be a relative path"));
  const parts = value.split("/");
  if (parts.includes("..")) errors.push(invalidValue(path, value, "must not contain '..'"));
  else if (value.startsWith("..")) errors.push(invalidValue(path, value, "must not start with '..'"));
}

/** No element of the path is `..`. */
export function validatePathNoBacksteps(errors: FieldError[], path: string, value: string): void {
  if (value.split("/").includes("..")) errors.push(invalidValue(path, value, "must not contain '..'"));
}

function validateKeyToPath(errors: FieldError[], path: string, item: Decoded<KeyToPath>): void {
  if (text(item.key) === "") errors.push(required(`${path}.key`));
  if (text(item.path) === "") errors.push(required(`${path}.path`));
  else validateLocalNonReservedPath(errors, `${path}.path`, text(item.path));
  validateMode(errors, `${path}.mode`, item.mode, FILE_MODE);
}

function validateDownwardFile(errors: FieldError[], path: string, file: Decoded<DownwardAPIVolumeFile>): void {
  if (text(file.path) === "") errors.push(required(`${path}.path`));
  else validateLocalNonReservedPath(errors, `${path}.path`, text(file.path));
  if (file.fieldRef !== undefined) {
    validateFieldSelector(errors, `${path}.fieldRef`, file.fieldRef, VOLUME_FIELD_PATHS);
    if (file.resourceFieldRef !== undefined)
      errors.push(invalidValue(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"));
  } else if (file.resourceFieldRef !== undefined) {
    validateResourceField(errors, `${path}.resourceFieldRef`, file.resourceFieldRef, true);
  } else {
    errors.push(required(path, "one of fieldRef and resourceFieldRef is required"));
  }
  validateMode(errors, `${path}.mode`, file.mode, FILE_MODE);
}

/** One projected source's error path is the source's, the file conflicts' is the volume's. */
function validateProjected(errors: FieldError[], path: string, projected: Decoded<ProjectedVolumeSource>): void {
  validateMode(errors, `${path}.defaultMode`, projected.defaultMode, FILE_MODE);
  const paths = new Set<string>();
  const claimPath = (file: string | undefined, source: string): void => {
    const value = text(file);
    if (value === "") return;
    if (paths.has(value)) errors.push(invalidValue(path, source, `conflicting duplicate paths`));
    paths.add(value);
  };
  projected.sources?.forEach((source, i) => {
    const at = `${path}.sources[${i}]`;
    let count = 0;
    const only = (name: string): void => {
      count++;
      if (count > 1) errors.push(forbiddenField(`${at}.${name}`, "may not specify more than 1 volume type per source"));
    };
    for (const kind of ["secret", "configMap"] as const) {
      const reference = source[kind];
      if (reference === undefined) continue;
      only(kind);
      if (text(reference.name) === "") errors.push(required(`${at}.${kind}.name`));
      reference.items?.forEach((item, j) => {
        validateKeyToPath(errors, `${at}.${kind}.items[${j}]`, item);
        claimPath(item.path, text(reference.name));
      });
    }
    if (source.downwardAPI !== undefined) {
      only("downwardAPI");
      source.downwardAPI.items?.forEach((item) => {
        validateDownwardFile(errors, `${at}.downwardAPI`, item);
        claimPath(item.path, "downwardAPI");
      });
    }
    if (source.serviceAccountToken !== undefined) {
      only("serviceAccountToken");
      const token = source.serviceAccountToken;
      const seconds = token.expirationSeconds ?? 0;
      if (seconds < 600)
        errors.push(
          invalidValue(
            `${at}.serviceAccountToken.expirationSeconds`,
            seconds,
            "may not specify a duration less than 10 minutes",
          ),
        );
      if (seconds > 2 ** 32)
        errors.push(
          invalidValue(
            `${at}.serviceAccountToken.expirationSeconds`,
            seconds,
            "may not specify a duration larger than 2^32 seconds",
          ),
        );
      if (text(token.path) === "") errors.push(required(`${path}.path`));
      else validateLocalNonReservedPath(errors, `${path}.path`, text(token.path));
    }
    if (source.clusterTrustBundle !== undefined) {
      only("clusterTrustBundle");
      const bundle = source.clusterTrustBundle;
      const byName = bundle.name !== undefined;
      const bySigner = bundle.signerName !== undefined;
      if (byName && bySigner)
        errors.push(invalidValue(`${at}.clusterTrustBundle`, bundle, "only one of name and signerName may be used"));
      else if (!byName && !bySigner)
        errors.push(required(`${at}.clusterTrustBundle`, "either name or signerName must be specified"));
      if (text(bundle.path) === "") errors.push(required(`${at}.clusterTrustBundle.path`));
      else validateLocalNonReservedPath(errors, `${at}.clusterTrustBundle.path`, text(bundle.path));
      claimPath(bundle.path, "clusterTrustBundle");
    }
    if (source.podCertificate !== undefined) only("podCertificate");
  });
}

/** A CSI driver's name, at most 63. */
export function validateDriverName(errors: FieldError[], path: string, name: string): void {
  if (name === "") {
    errors.push(required(path));
    return;
  }
  if (Buffer.byteLength(name) > 63) errors.push(tooLong(path, 63));
  pushInvalid(errors, path, name, dns1123Subdomain(name.toLowerCase()));
}

function validateInlineCsi(errors: FieldError[], path: string, csi: Decoded<CSIVolumeSource>): void {
  validateDriverName(errors, `${path}.driver`, text(csi.driver));
  if (csi.nodePublishSecretRef !== undefined) {
    const name = text(csi.nodePublishSecretRef.name);
    if (name === "") errors.push(required(`${path}.nodePublishSecretRef.name`));
    else pushInvalid(errors, `${path}.nodePublishSecretRef.name`, name, dns1123Subdomain(name));
  }
}

/** A directory or file of the host. */
export function validateHostPath(errors: FieldError[], path: string, source: Decoded<HostPathVolumeSource>): void {
  if (text(source.path) === "") {
    errors.push(required(`${path}.path`));
    return;
  }
  validatePathNoBacksteps(errors, `${path}.path`, text(source.path));
  if (source.type !== undefined) oneOf(errors, `${path}.type`, source.type, HOST_PATH_TYPES);
}

export function validateNfs(errors: FieldError[], path: string, nfs: Decoded<NFSVolumeSource>): void {
  if (text(nfs.server) === "") errors.push(required(`${path}.server`));
  const at = text(nfs.path);
  if (at === "") errors.push(required(`${path}.path`));
  if (!at.startsWith("/")) errors.push(invalidValue(`${path}.path`, at, "must be an absolute path"));
}

export function validateIscsi(errors: FieldError[], path: string, iscsi: Decoded<ISCSIVolumeSource>): void {
  const iqn = text(iscsi.iqn);
  if (text(iscsi.targetPortal) === "") errors.push(required(`${path}.targetPortal`));
  if (iqn === "") errors.push(required(`${path}.iqn`));
  else if (!iqn.startsWith("iqn") && !iqn.startsWith("eui") && !iqn.startsWith("naa"))
    errors.push(invalidValue(`${path}.iqn`, iqn, "must be valid format starting with iqn, eui, or naa"));
  const lun = iscsi.lun ?? 0;
  if (lun < 0 || lun > 255) errors.push(invalidValue(`${path}.lun`, lun, "must be between 0 and 255, inclusive"));
  if ((iscsi.chapAuthDiscovery === true || iscsi.chapAuthSession === true) && iscsi.secretRef === undefined)
    errors.push(required(`${path}.secretRef`));
}

/** Required string members of sources that have no other rules. */
const REQUIRED_MEMBERS: { readonly [K in keyof Volume]?: readonly string[] } = {
  gcePersistentDisk: ["pdName"],
  awsElasticBlockStore: ["volumeID"],
  gitRepo: ["repository"],
  glusterfs: ["endpoints", "path"],
  rbd: ["image"],
  cinder: ["volumeID"],
  flexVolume: ["driver"],
  azureFile: ["secretName", "shareName"],
  vsphereVolume: ["volumePath"],
  photonPersistentDisk: ["pdID"],
  portworxVolume: ["volumeID"],
  azureDisk: ["diskName", "diskURI"],
  scaleIO: ["gateway", "system", "volumeName"],
  quobyte: ["registry", "volume"],
};

const SOURCES: readonly (keyof Volume)[] = [
  "emptyDir",
  "hostPath",
  "gitRepo",
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "secret",
  "nfs",
  "iscsi",
  "glusterfs",
  "flocker",
  "persistentVolumeClaim",
  "rbd",
  "cinder",
  "cephfs",
  "quobyte",
  "downwardAPI",
  "fc",
  "flexVolume",
  "configMap",
  "azureFile",
  "vsphereVolume",
  "photonPersistentDisk",
  "portworxVolume",
  "azureDisk",
  "storageos",
  "scaleIO",
  "projected",
  "csi",
  "ephemeral",
  "image",
];

function validateSource(
  errors: FieldError[],
  path: string,
  volume: Decoded<Volume>,
  source: keyof Volume,
  podName: string,
): void {
  const at = `${path}.${source}`;
  const members = REQUIRED_MEMBERS[source];
  if (members !== undefined) {
    const value = volume[source] as Readonly<Record<string, unknown>>;
    for (const member of members)
      if (typeof value[member] !== "string" || value[member] === "") errors.push(required(`${at}.${member}`));
    return;
  }
  switch (source) {
    case "emptyDir":
      if (volume.emptyDir?.sizeLimit !== undefined && quantityNanos(volume.emptyDir.sizeLimit) < 0n)
        errors.push(forbiddenField(`${at}.sizeLimit`, "SizeLimit field must be a valid resource quantity"));
      break;
    case "hostPath":
      validateHostPath(errors, at, volume.hostPath ?? {});
      break;
    case "nfs":
      validateNfs(errors, at, volume.nfs ?? {});
      break;
    case "iscsi":
      validateIscsi(errors, at, volume.iscsi ?? {});
      break;
    case "secret":
      if (text(volume.secret?.secretName) === "") errors.push(required(`${at}.secretName`));
      validateMode(errors, `${at}.defaultMode`, volume.secret?.defaultMode, FILE_MODE);
      volume.secret?.items?.forEach((item, i) => validateKeyToPath(errors, `${at}.items[${i}]`, item));
      break;
    case "configMap":
      if (text(volume.configMap?.name) === "") errors.push(required(`${at}.name`));
      validateMode(errors, `${at}.defaultMode`, volume.configMap?.defaultMode, FILE_MODE);
      volume.configMap?.items?.forEach((item, i) => validateKeyToPath(errors, `${at}.items[${i}]`, item));
      break;
    case "downwardAPI":
      validateMode(errors, `${at}.defaultMode`, volume.downwardAPI?.defaultMode, FILE_MODE);
      volume.downwardAPI?.items?.forEach((item) => validateDownwardFile(errors, at, item));
      break;
    case "persistentVolumeClaim":
      if (text(volume.persistentVolumeClaim?.claimName) === "") errors.push(required(`${at}.claimName`));
      break;
    case "projected":
      validateProjected(errors, at, volume.projected ?? {});
      break;
    case "csi":
      validateInlineCsi(errors, at, volume.csi ?? {});
      break;
    case "ephemeral": {
      const template = volume.ephemeral?.volumeClaimTemplate;
      if (template === undefined) errors.push(required(`${at}.volumeClaimTemplate`));
      else validateClaimTemplate(errors, `${at}.volumeClaimTemplate`, template);
      const name = text(volume.name);
      if (podName !== "" && name !== "") {
        const claim = `${podName}-${name}`;
        for (const message of dns1123Subdomain(claim))
          errors.push(invalidValue(`${path}.name`, name, `PVC name ${JSON.stringify(claim)}: ${message}`));
      }
      break;
    }
    case "image":
      if (volume.image?.pullPolicy !== undefined)
        oneOf(errors, `${at}.pullPolicy`, volume.image.pullPolicy, ["Always", "IfNotPresent", "Never"]);
      break;
    case "flocker":
      if (text(volume.flocker?.datasetName) === "" && text(volume.flocker?.datasetUUID) === "")
        errors.push(required(at, "one of datasetName and datasetUUID is required"));
      break;
    default:
      break;
  }
}

/**
 * `spec.volumes`. Answers the names of the valid ones, true for those a block device may use: mounts of an invalid
 * volume are reported as not found.
 */
export function validateVolumes(
  errors: FieldError[],
  path: string,
  spec: Decoded<PodSpec>,
  podName: string,
): Map<string, boolean> {
  const names = new Map<string, boolean>();
  spec.volumes?.forEach((volume, i) => {
    const at = `${path}[${i}]`;
    const before = errors.length;
    let found = 0;
    for (const source of SOURCES) {
      if (volume[source] === undefined) continue;
      found++;
      if (found > 1) errors.push(forbiddenField(`${at}.${source}`, "may not specify more than 1 volume type"));
      else validateSource(errors, at, volume, source, podName);
    }
    if (found === 0) errors.push(required(at, "must specify a volume type"));
    const name = text(volume.name);
    if (name === "") errors.push(required(`${at}.name`));
    else pushInvalid(errors, `${at}.name`, name, dns1123Label(name));
    if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    if (errors.length === before)
      names.set(name, volume.persistentVolumeClaim !== undefined || volume.ephemeral !== undefined);
  });
  return names;
}

/** Tokens are made for a service account; a pod without one cannot ask for them. */
export function validateTokenVolumes(errors: FieldError[], path: string, spec: Decoded<PodSpec>): void {
  if (text(spec.serviceAccountName) !== "") return;
  spec.volumes?.forEach((volume, i) =>
    volume.projected?.sources?.forEach((source, j) => {
      if (source.serviceAccountToken !== undefined)
        errors.push(
          forbiddenField(
            `${path}[${i}].projected.sources[${j}].serviceAccountToken`,
            "must not be specified when serviceAccountName is not set",
          ),
        );
    }),
  );
}
