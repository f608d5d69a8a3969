import type { APIService } from "@coracle/api/apiregistration/v1";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { ResourceRef } from "../registry/registry-reader.ts";

/** The resource itself. */
export const API_SERVICES: ResourceRef = { group: "apiregistration.k8s.io", version: "v1", plural: "apiservices" };

/** Where the server behind a group and version is. */
export interface ServiceReference {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

/** An APIService as routing, discovery and checks look at it. */
export interface RegisteredService {
  /** `VERSION.GROUP`. */
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly groupPriority: number;
  readonly versionPriority: number;
  /** Undefined: this server answers itself. */
  readonly service: ServiceReference | undefined;
  /** PEM. */
  readonly ca: string | undefined;
  readonly skipsVerification: boolean;
  readonly isAvailable: boolean;
  readonly object: ApiObject;
}

/** A service that is somebody else. */
export type RemoteService = RegisteredService & { readonly service: ServiceReference };

/** Whether another server answers for it. */
export const isRemote = (registered: RegisteredService | undefined): registered is RemoteService =>
  registered?.service !== undefined;

const DEFAULT_PORT = 443;

/** Reads an object; its fields were validated when it was stored. */
export function registeredService(object: ApiObject): RegisteredService {
  const { metadata, spec, status } = object as unknown as APIService;
  const { service, caBundle = "" } = spec;
  const available = status?.conditions?.find(({ type }) => type === "Available");
  return {
    name: metadata.name ?? "",
    group: spec.group ?? "",
    version: spec.version ?? "",
    groupPriority: spec.groupPriorityMinimum,
    versionPriority: spec.versionPriority,
    service:
      service === undefined
        ? undefined
        : { namespace: service.namespace ?? "", name: service.name ?? "", port: service.port ?? DEFAULT_PORT },
    ca: caBundle === "" ? undefined : Buffer.from(caBundle, "base64").toString("utf8"),
    skipsVerification: spec.insecureSkipTLSVerify === true,
    isAvailable: available?.status === "True",
    object,
  };
}

/** `v2`, `v10beta3` taken apart; undefined for what is no version of Kubernetes' kind. */
function versionParts(version: string): readonly [number, number, number] | undefined {
  const match = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/.exec(version);
  if (match === null) return undefined;
  const [, major, stage, minor] = match;
  return [stage === undefined ? 2 : stage === "beta" ? 1 : 0, Number(major), Number(minor ?? 0)];
}

/** Order of versions that have the same priority: stable before beta before alpha, higher before lower, others by name. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [versionParts(a), versionParts(b)];
  if (left === undefined || right === undefined) {
    if (left !== undefined) return -1;
    if (right !== undefined) return 1;
    return a < b ? -1 : a > b ? 1 : 0;
  }
  for (const i of [0, 1, 2] as const) if (left[i] !== right[i]) return right[i] - left[i];
  return 0;
}

type Ranked = Pick<RegisteredService, "name" | "group" | "version" | "groupPriority" | "versionPriority">;

/** Groups by the highest priority any of their versions asks for, then by name; versions by theirs. */
export function sortedGroups<T extends Ranked>(services: Iterable<T>): readonly (readonly T[])[] {
  const ranked = [...services].toSorted(
    (a, b) => b.groupPriority - a.groupPriority || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const groups = new Map<string, T[]>();
  for (const service of ranked) {
    const group = groups.get(service.group);
    if (group === undefined) groups.set(service.group, [service]);
    else group.push(service);
  }
  return [...groups.values()].map((versions) =>
    versions.toSorted((a, b) => b.versionPriority - a.versionPriority || compareVersions(a.version, b.version)),
  );
}
