import type { Volume, VolumeProjection } from "@coracle/api/core/v1";
import { text, type Decoded } from "../validation/decoded.ts";
import { warningsForClaimSpec } from "./amount-warnings.ts";

type Source = keyof Volume;

/** Kinds of volumes that are gone, in the order in which they are told of; the claim's template stands between them. */
const OLD_SOURCES: readonly (readonly [Source, string])[] = [
  ["photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"],
  ["gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"],
  ["scaleIO", "deprecated in v1.16, non-functional in v1.22+"],
  ["flocker", "deprecated in v1.22, non-functional in v1.25+"],
  ["storageos", "deprecated in v1.22, non-functional in v1.25+"],
  ["quobyte", "deprecated in v1.22, non-functional in v1.25+"],
  ["glusterfs", "deprecated in v1.25, non-functional in v1.26+"],
  ["cephfs", "deprecated in v1.28, non-functional in v1.31+"],
  ["rbd", "deprecated in v1.28, non-functional in v1.31+"],
];

const SHOWN_AS: Readonly<Record<string, string>> = { storageos: "storageOS" };

/** Old kinds of volumes, odd sizes, and files of one volume that would overwrite each other. `path`: of the list. */
export function warningsForVolumes(path: string, volumes: readonly Decoded<Volume>[] | undefined): string[] {
  if (volumes === undefined) return [];
  const old = volumes.flatMap((volume, i) => [
    ...OLD_SOURCES.flatMap(([source, message]) =>
      volume[source] === undefined ? [] : [`${path}[${i}].${SHOWN_AS[source] ?? source}: ${message}`],
    ),
    ...warningsForClaimSpec(
      `${path}[${i}].ephemeral.volumeClaimTemplate.spec`,
      volume.ephemeral?.volumeClaimTemplate?.spec,
    ),
  ]);
  return [...old, ...volumes.flatMap(overlaps)];
}

/** A file of a volume and what puts it there. */
interface PlacedFile {
  readonly path: string;
  readonly from: string;
}

interface Item {
  readonly path?: string | undefined;
}

const show = ({ path, from }: PlacedFile): string => JSON.stringify(path) + (from === "" ? "" : ` (${from})`);

const filesOf = (items: readonly Item[] | undefined, from: string): PlacedFile[] =>
  (items ?? []).map(({ path }) => ({ path: text(path), from }));

/** `FILE with OTHER` for each file that is one that was `seen`, or stands below it or above it. They are seen then, too. */
function collisions(files: readonly PlacedFile[], seen: PlacedFile[]): string[] {
  const out: string[] = [];
  for (const { path: written, from } of files) {
    const file = { path: written.replace(/\/+$/, ""), from };
    if (file.path === "") continue;
    for (const other of seen) {
      const [mine, its] = [`${file.path}/`, `${other.path}/`];
      if (its.startsWith(mine) || mine.startsWith(its)) out.push(`${show(file)} with ${show(other)}`);
    }
    seen.push(file);
  }
  return out;
}

const named = (kind: string, name: string | undefined): string => `${kind} ${JSON.stringify(text(name))}`;

/** The files of one part of a projected volume; the first source that is there counts. */
function projectedFiles(source: Decoded<VolumeProjection>): PlacedFile[] {
  const { configMap, secret, downwardAPI, serviceAccountToken, clusterTrustBundle, podCertificate } = source;
  if (configMap?.items !== undefined) return filesOf(configMap.items, named("ConfigMap", configMap.name));
  if (secret?.items !== undefined) return filesOf(secret.items, named("Secret", secret.name));
  if (downwardAPI?.items !== undefined) return filesOf(downwardAPI.items, "DownwardAPI");
  if (serviceAccountToken !== undefined) return filesOf([serviceAccountToken], "ServiceAccountToken");
  if (clusterTrustBundle !== undefined) {
    const { name, signerName } = clusterTrustBundle;
    return filesOf([clusterTrustBundle], named("ClusterTrustBundle", name ?? signerName));
  }
  return [
    { path: text(podCertificate?.certificateChainPath), from: "PodCertificate chain" },
    { path: text(podCertificate?.keyPath), from: "PodCertificate key" },
    { path: text(podCertificate?.credentialBundlePath), from: "PodCertificate credential bundle" },
  ].filter(({ path }) => path !== "");
}

const isEmpty = (source: Decoded<VolumeProjection>): boolean =>
  Object.values(source).every((member) => member === undefined || member === null);

function overlaps({ name, configMap, secret, downwardAPI, projected }: Decoded<Volume>): string[] {
  const volume = `volume ${JSON.stringify(text(name))}`;
  const say = (what: string, files: readonly PlacedFile[], seen: PlacedFile[] = []): string[] =>
    collisions(files, seen).map((which) => `${volume} (${what}): overlapping paths: ${which}`);
  const out: string[] = [];
  if (configMap !== undefined) out.push(...say(named("ConfigMap", configMap.name), filesOf(configMap.items, "")));
  if (secret !== undefined) out.push(...say(named("Secret", secret.secretName), filesOf(secret.items, "")));
  if (downwardAPI !== undefined) out.push(...say("DownwardAPI", filesOf(downwardAPI.items, "")));
  const seen: PlacedFile[] = [];
  for (const source of projected?.sources ?? [])
    if (isEmpty(source)) out.push(`${volume} (Projected) has no sources provided`);
    else out.push(...say("Projected", projectedFiles(source), seen));
  return out;
}
