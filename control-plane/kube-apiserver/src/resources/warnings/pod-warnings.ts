import type { Affinity, PodAffinityTerm, PodSpec, PodTemplateSpec } from "@coracle/api/core/v1";
import { appArmorAnnotationOf, isAppArmorProfile } from "../validation/app-armor-annotations.ts";
import { text, type Decoded } from "../validation/decoded.ts";
import { warningsForIp } from "./address-warnings.ts";
import { warningsForBytes } from "./amount-warnings.ts";
import {
  placedContainers,
  warningsForContainer,
  warningsForPorts,
  type PlacedContainer,
} from "./container-warnings.ts";
import { oldLabelMessage, warningsForTerm } from "./node-label-warnings.ts";
import { warningsForVolumes } from "./volume-warnings.ts";

type Template = Decoded<PodTemplateSpec>;
type Spec = Decoded<PodSpec>;
type Annotations = Readonly<Record<string, string | undefined>>;

const NO_SELECTOR = "a null labelSelector results in matching no pod";
const SECCOMP = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/";
const SECCOMP_FIELD = 'non-functional in v1.27+; use the "seccompProfile" field instead';

const OLD_ANNOTATIONS: readonly (readonly [string, string])[] = [
  ["scheduler.alpha.kubernetes.io/critical-pod", 'non-functional in v1.16+; use the "priorityClassName" field instead'],
  ["security.alpha.kubernetes.io/sysctls", 'non-functional in v1.11+; use the "sysctls" field instead'],
  ["security.alpha.kubernetes.io/unsafe-sysctls", 'non-functional in v1.11+; use the "sysctls" field instead'],
];

/** What to say of the AppArmor annotation of a container. `path`: of the annotations. */
export const appArmorWarning = (path: string, key: string): string =>
  `${path}[${key}]: deprecated since v1.30; use the "appArmorProfile" field instead`;

/** What is sound in a pod, but surely not meant. */
export const warningsForPod = (pod: Template): string[] => warningsFor("", pod);

/** The same of a template. `path`: where it stands. */
export const warningsForTemplate = (path: string, template: Template | undefined): string[] =>
  template === undefined ? [] : warningsFor(`${path}.`, template);

function warningsFor(at: string, { metadata, spec = {} }: Template): string[] {
  const path = `${at}spec`;
  const annotations: Annotations = metadata?.annotations ?? {};
  const containers = placedContainers(path, spec);
  return [
    ...placementWarnings(path, spec),
    ...OLD_ANNOTATIONS.flatMap(([key, message]) =>
      annotations[key] === undefined ? [] : [`${at}metadata.annotations[${key}]: ${message}`],
    ),
    ...warningsForVolumes(`${path}.volumes`, spec.volumes),
    ...listWarnings(path, spec),
    ...(spec.overhead === undefined
      ? []
      : warningsForBytes(`${path}.overhead`, spec.overhead, ["memory", "ephemeral-storage"])),
    ...(spec.securityContext?.seccompProfile === undefined && annotations[SECCOMP] !== undefined
      ? [`${at}metadata.annotations[${SECCOMP}]: ${SECCOMP_FIELD}`]
      : []),
    ...containers.flatMap((placed) => [
      ...profileWarnings(at, annotations, placed, spec),
      ...warningsForContainer(placed),
    ]),
    ...warningsForPorts(containers),
    ...((spec.terminationGracePeriodSeconds ?? 0) < 0
      ? [`${path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`]
      : []),
    ...affinityWarnings(`${path}.affinity`, spec.affinity),
    ...(spec.dnsConfig?.nameservers ?? []).flatMap((ip, i) => warningsForIp(`${path}.dnsConfig.nameservers[${i}]`, ip)),
    ...(spec.hostAliases ?? []).flatMap(({ ip }, i) => warningsForIp(`${path}.hostAliases[${i}].ip`, text(ip))),
  ];
}

/** Old labels of nodes, and spreading over no pod. */
function placementWarnings(path: string, { nodeSelector, affinity, topologySpreadConstraints }: Spec): string[] {
  const out: string[] = [];
  for (const label in nodeSelector) {
    const message = oldLabelMessage(label);
    if (message !== undefined) out.push(`${path}.nodeSelector[${label}]: ${message}`);
  }
  const {
    requiredDuringSchedulingIgnoredDuringExecution: needs,
    preferredDuringSchedulingIgnoredDuringExecution: likes,
  } = affinity?.nodeAffinity ?? {};
  needs?.nodeSelectorTerms?.forEach((term, i) =>
    out.push(
      ...warningsForTerm(
        `${path}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`,
        term,
      ),
    ),
  );
  likes?.forEach(({ preference }, i) =>
    out.push(
      ...warningsForTerm(
        `${path}.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[${i}].preference`,
        preference ?? {},
        true,
      ),
    ),
  );
  topologySpreadConstraints?.forEach(({ topologyKey, labelSelector }, i) => {
    const at = `${path}.topologySpreadConstraints[${i}]`;
    const message = oldLabelMessage(topologyKey);
    if (message !== undefined) out.push(`${at}.topologyKey: ${text(topologyKey)} is ${message}`);
    if (labelSelector === undefined) out.push(`${at}.labelSelector: ${NO_SELECTOR}`);
  });
  return out;
}

/** Hosts and secrets that are named twice, or not at all. */
function listWarnings(path: string, { hostAliases, imagePullSecrets }: Spec): string[] {
  const out: string[] = [];
  if (hostAliases !== undefined) {
    const ips = hostAliases.map(({ ip }) => text(ip));
    for (const i of repeated(ips)) out.push(`${path}.hostAliases[${i}].ip: duplicate ip ${JSON.stringify(ips[i])}`);
  }
  if (imagePullSecrets !== undefined) {
    const names = imagePullSecrets.map(({ name }) => text(name));
    const at = (i: number): string => `${path}.imagePullSecrets[${i}].name`;
    for (const i of repeated(names)) out.push(`${at(i)}: duplicate name ${JSON.stringify(names[i])}`);
    names.forEach((name, i) => void (name === "" && out.push(`${at(i)}: invalid empty name ""`)));
  }
  return out;
}

const repeated = (values: readonly string[]): number[] =>
  values.flatMap((value, i) => (values.indexOf(value) < i ? [i] : []));

/** Annotations in place of the fields of a container's security. */
function profileWarnings(
  at: string,
  annotations: Annotations,
  { container: { name, securityContext } }: PlacedContainer,
  spec: Spec,
): string[] {
  const out: string[] = [];
  const seccomp = `${SECCOMP_OF_CONTAINER}${text(name)}`;
  if (securityContext?.seccompProfile === undefined && annotations[seccomp] !== undefined)
    out.push(`${at}metadata.annotations[${seccomp}]: ${SECCOMP_FIELD}`);
  // A pod's own are told of when they are taken over into fields.
  if (at === "" || securityContext?.appArmorProfile !== undefined) return out;
  const key = appArmorAnnotationOf(text(name));
  const annotation = annotations[key];
  if (annotation !== undefined && !isAppArmorProfile(annotation, spec.securityContext?.appArmorProfile))
    out.push(appArmorWarning(`${at}metadata.annotations`, key));
  return out;
}

function affinityWarnings(path: string, affinity: Decoded<Affinity> | undefined): string[] {
  const out: string[] = [];
  const check = (at: string, term: Decoded<PodAffinityTerm> | undefined): void => {
    if (term?.labelSelector === undefined) out.push(`${at}.labelSelector: ${NO_SELECTOR}`);
  };
  for (const which of ["podAffinity", "podAntiAffinity"] as const) {
    const terms = affinity?.[which];
    terms?.requiredDuringSchedulingIgnoredDuringExecution?.forEach((term, i) =>
      check(`${path}.${which}.requiredDuringSchedulingIgnoredDuringExecution[${i}]`, term),
    );
    terms?.preferredDuringSchedulingIgnoredDuringExecution?.forEach(({ podAffinityTerm }, i) =>
      check(`${path}.${which}.preferredDuringSchedulingIgnoredDuringExecution[${i}].podAffinityTerm`, podAffinityTerm),
    );
  }
  return out;
}
