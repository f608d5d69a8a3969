import type { Lease } from "@coracle/api/coordination/v1";
import type {
  ServerStorageVersion,
  StorageVersion,
  StorageVersionCondition,
} from "@coracle/api/apiserverinternal/v1alpha1";
import type { Instant } from "@coracle/base";
import { timestamp } from "../time/timestamp.ts";

const EQUAL = "AllEncodingVersionsEqual";

/** What is to be done about what servers that are gone said. */
export type StoragePlan =
  | { readonly action: "none" }
  | { readonly action: "delete" }
  | { readonly action: "update"; readonly status: StorageVersion["status"] };

/** A lease by which an API server says that it lives. */
export const isServerLease = (lease: Lease | undefined): boolean =>
  lease?.metadata.labels?.["apiserver.kubernetes.io/identity"] === "kube-apiserver";

/** Forgets what the servers said that do not live; with nothing left, the whole object goes. */
export function planStorageVersion(
  version: StorageVersion,
  isAlive: (server: string) => boolean,
  now: Instant,
): StoragePlan {
  const { storageVersions: said = [], conditions = [], commonEncodingVersion: former } = version.status;
  const left = said.filter(({ apiServerID = "" }) => isAlive(apiServerID));
  if (left.length === said.length) return { action: "none" };
  if (left.length === 0) return { action: "delete" };
  const common = commonVersion(left);
  const old = conditions.find(({ type }) => type === EQUAL);
  const isEqual = common !== undefined;
  const status = isEqual ? "True" : "False";
  const isOtherVersion = former !== undefined && isEqual && former !== common;
  const { generation } = version.metadata;
  const condition: StorageVersionCondition = {
    type: EQUAL,
    status,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    lastTransitionTime: old?.status === status && !isOtherVersion ? old.lastTransitionTime : timestamp(now),
    reason: isEqual ? "CommonEncodingVersionSet" : "CommonEncodingVersionUnset",
    message: isEqual ? "Common encoding version set" : "Common encoding version unset",
  };
  return {
    action: "update",
    status: {
      ...(isEqual ? { commonEncodingVersion: common } : {}),
      conditions:
        old === undefined ? [...conditions, condition] : conditions.map((each) => (each === old ? condition : each)),
      storageVersions: left,
    },
  };
}

function commonVersion([first, ...others]: readonly ServerStorageVersion[]): string | undefined {
  return others.every(({ encodingVersion }) => encodingVersion === first?.encodingVersion)
    ? first?.encodingVersion
    : undefined;
}
