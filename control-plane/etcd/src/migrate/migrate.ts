import { mkdtemp, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { silentLogger, type Clock } from "@coracle/base";
import { openEmbeddedStore } from "../engine/embedded-store.ts";
import type { ChannelTls } from "../grpc/grpc-channel.ts";
import { createRemoteStore } from "../remote/remote-store.ts";
import { restoreSnapshot } from "../snapshot/restore-snapshot.ts";
import { openSnapshot, saveSnapshot } from "../snapshot/snapshot-file.ts";
import { StoreError } from "../store/store.ts";
import { contentHash } from "./content-hash.ts";
import { copyStore, type Copied } from "./copy-store.ts";
import { RemoteMember } from "./remote-extras.ts";

/** One end of a migration: a directory of the embedded store, or the client URLs of a cluster. */
export type StorePlace =
  | { readonly dataDir: string }
  | { readonly endpoints: readonly string[]; readonly tls?: ChannelTls | undefined };

/** Reads a directory, or URLs with commas between them. */
export function parseStorePlace(text: string, tls: ChannelTls | undefined): StorePlace {
  return /^https?:\/\//.test(text) ? { endpoints: text.split(","), tls } : { dataDir: text };
}

/**
 * Moves what an embedded store holds to an etcd cluster, or back, and verifies it by hash. To a cluster, keys are copied and get revisions
 * of its own; from a cluster, revisions and history come along. The source stays as it is.
 */
export async function migrateStore(options: {
  readonly from: StorePlace;
  readonly to: StorePlace;
  readonly clock: Clock;
}): Promise<Copied> {
  const { from, to, clock } = options;
  if ("dataDir" in from && "endpoints" in to) return toCluster(from, to, clock);
  if ("endpoints" in from && "dataDir" in to) return fromCluster(from, to, clock);
  throw new StoreError("invalidRequest", "one end of a migration is a directory, the other one the URLs of a cluster");
}

type Cluster = StorePlace & { readonly endpoints: readonly string[] };
type Directory = StorePlace & { readonly dataDir: string };

async function toCluster(from: Directory, to: Cluster, clock: Clock): Promise<Copied> {
  await using source = await openEmbeddedStore({ dataDir: from.dataDir, clock, logger: silentLogger });
  await using target = createRemoteStore({ ...to, clock });
  const secondsLeft = async (lease: number | bigint): Promise<number | undefined> =>
    source.leaseState(lease)?.remainingSeconds;
  return await copyStore({ from: source, to: target, secondsLeft });
}

async function fromCluster(from: Cluster, to: Directory, clock: Clock): Promise<Copied> {
  const folder = await mkdtemp(join(dirname(to.dataDir), ".migration-"));
  try {
    const file = join(folder, "snapshot");
    {
      using member = new RemoteMember(from.endpoints[0] ?? "", { ...from, clock });
      await saveSnapshot(file, member.snapshot());
    }
    await using snapshot = await openSnapshot(file);
    await restoreSnapshot({ snapshot, dataDir: to.dataDir, clock });
    const leases = (await snapshot.leases()).length;
    await using source = createRemoteStore({ ...from, clock });
    await using target = await openEmbeddedStore({ dataDir: to.dataDir, clock, logger: silentLogger });
    const [there, here] = await Promise.all([contentHash(source), contentHash(target)]);
    if (there.hash !== here.hash) {
      throw new StoreError(
        "unavailable",
        `the copy differs from the cluster (${there.keys} and ${here.keys} keys): was something written meanwhile?`,
      );
    }
    return { keys: here.keys, leases, hash: here.hash };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
