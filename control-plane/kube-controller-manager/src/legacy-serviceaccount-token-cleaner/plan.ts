import type { Pod, Secret, ServiceAccount } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { instantOf } from "../time/timestamp.ts";

const LAST_USED = "kubernetes.io/legacy-token-last-used";
export const INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since";
export const TOKEN_TYPE = "kubernetes.io/service-account-token";
const ACCOUNT = "kubernetes.io/service-account.name";
const ACCOUNT_UID = "kubernetes.io/service-account.uid";
const DAY_MS = 86_400_000;

/** A day as labels carry it. */
export const dayOf = (at: Instant): string => new Date(at).toISOString().slice(0, 10);

/** The beginning of a day; undefined for what is none. */
export function startOfDay(text: string | undefined): Instant | undefined {
  if (text === undefined || !/^\d{4}-\d\d-\d\d$/.test(text)) return undefined;
  const at = Date.parse(`${text}T00:00:00Z`);
  return Number.isNaN(at) || dayOf(at) !== text ? undefined : at;
}

/** What is to be done about a token that nobody uses. */
export type TokenPlan =
  | { readonly action: "keep" }
  /** From now on whoever presents it is refused; should nobody ask for it, it goes after another period. */
  | { readonly action: "invalidate"; readonly since: string }
  | { readonly action: "delete" };

/** What decides about a token. */
export interface TokenFacts {
  readonly secret: Secret;
  /** The account that it names, if there is one. */
  readonly account: ServiceAccount | undefined;
  /** Names of the secrets that pods of its namespace use. */
  readonly used: ReadonlySet<string>;
  readonly periodMs: number;
  readonly now: Instant;
}

/** Only tokens that were made for their account, by itself, are touched. */
export function planToken({ secret, account, used, periodMs, now }: TokenFacts): TokenPlan {
  const keep = { action: "keep" } as const;
  const { name = "", labels = {}, annotations = {}, creationTimestamp, deletionTimestamp } = secret.metadata;
  const from = now - periodMs;
  const day = dayOf(from);
  if (secret.type !== TOKEN_TYPE || deletionTimestamp !== undefined) return keep;
  if ((instantOf(creationTimestamp) ?? now) >= from) return keep;
  const lastUsed = labels[LAST_USED];
  if (lastUsed !== undefined && (startOfDay(lastUsed) === undefined || lastUsed >= day)) return keep;
  const uid = annotations[ACCOUNT_UID] ?? "";
  if (account === undefined || (uid !== "" && uid !== account.metadata.uid)) return keep;
  if (!(account.secrets ?? []).some((each) => each.name === name) || used.has(name)) return keep;
  const since = labels[INVALID_SINCE];
  if (since === undefined || startOfDay(since) === undefined) return { action: "invalidate", since: dayOf(now) };
  return since >= day ? keep : { action: "delete" };
}

/** The name of the account that a token is for. */
export const accountNameOf = ({ metadata }: Secret): string | undefined => metadata.annotations?.[ACCOUNT];

/** From when on tokens can be judged: uses were written down for a whole period. */
export const judgedFrom = (trackedSince: Instant, periodMs: number): Instant => trackedSince + DAY_MS + periodMs;

/** Names of the secrets that a pod refers to itself. */
export function secretsOf({ spec }: Pod): readonly string[] {
  const names: (string | undefined)[] = (spec.imagePullSecrets ?? []).map(({ name }) => name);
  for (const container of [...spec.containers, ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])]) {
    for (const { secretRef } of container.envFrom ?? []) names.push(secretRef?.name);
    for (const { valueFrom } of container.env ?? []) names.push(valueFrom?.secretKeyRef?.name);
  }
  for (const volume of spec.volumes ?? []) {
    names.push(volume.secret?.secretName, volume.azureFile?.secretName);
    for (const { secret } of volume.projected?.sources ?? []) names.push(secret?.name);
    const { cephfs, cinder, flexVolume, rbd, scaleIO, iscsi, storageos, csi } = volume;
    for (const source of [cephfs, cinder, flexVolume, rbd, scaleIO, iscsi, storageos])
      names.push(source?.secretRef?.name);
    names.push(csi?.nodePublishSecretRef?.name);
  }
  return names.filter((name) => name !== undefined);
}
