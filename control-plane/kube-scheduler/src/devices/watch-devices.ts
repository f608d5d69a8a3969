import type { KubeObject } from "@coracle/api";
import { Pod } from "@coracle/api/core/v1";
import { DeviceClass, ResourceClaim, ResourceSlice } from "@coracle/api/resource/v1";
import { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import { dropManagedFields, type ApiClient, type Informer, type InformerFactory } from "@coracle/client";
import type { ClusterChange, ClusterEvent } from "../framework/plugin.ts";
import { Changes } from "../informers/changes.ts";
import type { InformerDeps } from "../informers/informer-deps.ts";
import type { DeviceView } from "../plugins/dynamic-resources.ts";
import { FINALIZER, type ClaimWriter } from "./bind-claim.ts";
import type { DeviceFeatures } from "./device-features.ts";
import { DeviceSelectors } from "./device-selectors.ts";
import { AllocatedDevices } from "./devices-in-use.ts";
import { withRules } from "./device-taint-rules.ts";
import { ownerOfExtended } from "./extended-claim.ts";
import { DevicesByResource } from "./extended-resources.ts";

/** Devices and claims to them as the API server has them, kept up to date. */
export interface DeviceWatch {
  readonly view: DeviceView;
  readonly writer: ClaimWriter;
  /** Tells of every change that may help a pod. */
  follow(notify: (change: ClusterChange) => void): void;
}

/** Asks for the informers of devices and claims. */
export function watchDevices(
  factory: InformerFactory,
  { client, clock, signal }: InformerDeps,
  { deviceTaintRules }: DeviceFeatures,
): DeviceWatch {
  const claims = factory.informer(ResourceClaim, {
    transform: dropManagedFields,
    indexes: { extended: (claim) => [ownerOfExtended(claim)].filter((uid) => uid !== undefined) },
  });
  const slices = factory.informer(ResourceSlice, { transform: dropManagedFields });
  const classes = factory.informer(DeviceClass, { transform: dropManagedFields });
  const rules = deviceTaintRules ? factory.informer(DeviceTaintRule, { transform: dropManagedFields }) : undefined;
  const changes = new Changes();
  changes.follow(claims as Informer<KubeObject>);
  const allocated = new AllocatedDevices();
  const byResource = new DevicesByResource(() => classes.lister.list());
  const onClass = (): void => byResource.changed();
  classes.addHandlers({ added: onClass, updated: onClass, deleted: onClass });
  let selectors: DeviceSelectors | undefined;
  let isLoading = false;
  let notify = (_change: ClusterChange): void => undefined;
  /** The language is large: it is loaded once somebody may need it. */
  const load = async (): Promise<void> => {
    selectors = await DeviceSelectors.load();
    notify({ event: "device-class-changed" });
  };
  claims.addHandlers({
    added(claim) {
      allocated.add(claim);
      if (isLoading) return;
      isLoading = true;
      load().catch(() => (isLoading = false)); // the next claim tries again
    },
    updated(old, claim) {
      allocated.remove(old);
      allocated.add(claim);
    },
    deleted: (claim) => allocated.remove(claim),
  });
  const settle = (work: Promise<unknown>): void => void work.catch(() => undefined); // the next attempt does it again
  return {
    view: {
      claim: (namespace, name) => claims.lister.get(namespace, name),
      deviceClass: (name) => classes.lister.get(undefined, name),
      classOfResource: (name) => byResource.classOf(name),
      classesVersion: () => byResource.version,
      extendedClaim: (podUid) => claims.lister.byIndex("extended", podUid)[0],
      slices: () => withRules(slices.lister.list(), rules?.lister.list() ?? []),
      inUse: () => allocated,
      selectors: () => selectors,
    },
    writer: {
      get: ({ metadata }) =>
        client.get(ResourceClaim, { namespace: metadata.namespace, name: metadata.name ?? "" }, { signal }),
      create: (claim) => client.create(ResourceClaim, claim, { signal }),
      remove: (claim) => settle(remove(client, claim, signal)),
      noteExtended: async ({ metadata: { namespace, name = "" } }, extendedResourceClaimStatus) => {
        const patch = { status: { extendedResourceClaimStatus } };
        await client.patch(Pod, { namespace, name }, "strategic", patch, { subresource: "status", signal });
      },
      nowMs: () => clock.monotonicMs(),
      update: (claim) => client.update(ResourceClaim, claim, { signal }),
      updateStatus: (claim) => client.update(ResourceClaim, claim, { subresource: "status", signal }),
      deallocate: (claim) =>
        settle(client.update(ResourceClaim, { ...claim, status: {} }, { subresource: "status", signal })),
      changed: (maxWaitMs) => changes.next(clock, maxWaitMs, signal),
      giveUp: (claim, pod) => settle(giveUp(client, claim, pod, signal)),
    },
    follow(tell) {
      notify = tell;
      const on = (each: Informer<KubeObject>, event: ClusterEvent): void => {
        each.addHandlers({
          added: (current) => tell({ event, current }),
          updated: (old, current) => tell({ event, old, current }),
        });
      };
      on(claims as Informer<KubeObject>, "resource-claim-changed");
      // Those for resources go with their devices.
      claims.addHandlers({
        deleted(old) {
          if (old.status?.allocation !== undefined) tell({ event: "resource-claim-changed", old });
        },
      });
      on(slices as Informer<KubeObject>, "resource-slice-changed");
      on(classes as Informer<KubeObject>, "device-class-changed");
      // As if the slices had other taints.
      const onRule = (): void => tell({ event: "resource-slice-changed" });
      rules?.addHandlers({ added: onRule, updated: onRule, deleted: onRule });
    },
  };
}

async function remove(client: ApiClient, claim: ResourceClaim, signal: AbortSignal): Promise<void> {
  const { namespace, name = "", uid } = claim.metadata;
  const patch = { metadata: { uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER] } };
  await client.patch(ResourceClaim, { namespace, name }, "strategic", patch, { signal });
  await client.delete(ResourceClaim, { namespace, name }, { preconditions: { uid }, signal });
}

async function giveUp(client: ApiClient, { metadata }: ResourceClaim, pod: Pod, signal: AbortSignal): Promise<void> {
  const { namespace, name = "", uid } = metadata;
  const reservedFor = [{ $patch: "delete", uid: pod.metadata.uid }];
  const patch = { metadata: { uid }, status: { reservedFor } };
  await client.patch(ResourceClaim, { namespace, name }, "strategic", patch, { subresource: "status", signal });
}
