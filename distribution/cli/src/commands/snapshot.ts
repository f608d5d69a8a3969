import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { systemClock } from "@coracle/base";
import { readState } from "@coracle/cluster";
import type { ChannelTls } from "@coracle/etcd";
import type { Command } from "commander";
import { CliError } from "../exit.ts";

interface TlsOptions {
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
}

interface SaveOptions extends TlsOptions {
  readonly name: string;
  readonly dataDir?: string;
  readonly endpoint?: string;
}

/** Adds `coracle snapshot save|restore|status`. The file is that of etcd: each reads the other's. */
export function addSnapshot(root: Command): void {
  const snapshot = root.command("snapshot").description("one file with all data of a store: save, restore, status");
  snapshot
    .command("save")
    .description("save the store of a cluster (or of --data-dir, or of --endpoint), also while it runs")
    .argument("<file>")
    .option("--name <name>", "name of the cluster", "coracle")
    .option("--data-dir <dir>", "directory of an embedded store")
    .option("--endpoint <url>", "client URL of a member of an etcd cluster")
    .option("--cacert <file>", "who signed the member's certificate")
    .option("--cert <file>", "certificate to show to the member")
    .option("--key <file>", "its key")
    .action((file: string, options: SaveOptions) => save(resolve(file), options));
  snapshot
    .command("restore")
    .description("make a store of a snapshot; the directory must not hold one yet")
    .argument("<file>")
    .requiredOption("--data-dir <dir>", "directory of the new store")
    .option("--skip-hash-check", "take a data file of etcd, which has no checksum", false)
    .action((file: string, options: { readonly dataDir: string; readonly skipHashCheck: boolean }) =>
      restore(file, options),
    );
  snapshot
    .command("status")
    .description("check a snapshot and tell what is in it")
    .argument("<file>")
    .option("--json", "for programs", false)
    .action((file: string, { json }: { readonly json: boolean }) => tellStatus(file, json));
}

/** Adds `coracle migrate`, which `coracle etcd migrate` is, too. */
export function addMigrate(root: Command): void {
  root
    .command("migrate")
    .description("move an embedded store to an etcd cluster, or back, verified by hash")
    .requiredOption("--from <place>", "directory of an embedded store, or client URLs of a cluster")
    .requiredOption("--to <place>", "the same; must be empty")
    .option("--cacert <file>", "who signed the members' certificates")
    .option("--cert <file>", "certificate to show to the members")
    .option("--key <file>", "its key")
    .action(async ({ from, to, ...files }: TlsOptions & { readonly from: string; readonly to: string }) => {
      const { migrateStore, parseStorePlace } = await import("@coracle/etcd");
      const tls = readTls(files);
      const place = (text: string): ReturnType<typeof parseStorePlace> => parseStorePlace(text, tls);
      const { keys, leases, hash } = await migrateStore({ from: place(from), to: place(to), clock: systemClock });
      console.log(`migrated ${keys} keys and ${leases} leases; both ends have the hash ${hash.slice(0, 16)}`);
    });
}

async function save(file: string, options: SaveOptions): Promise<void> {
  const { openSnapshot, RemoteMember, saveDirectory, saveSnapshot } = await import("@coracle/etcd");
  if (options.endpoint === undefined) {
    await saveDirectory({ dataDir: options.dataDir ?? dataDirOf(options.name), path: file, clock: systemClock });
  } else {
    using member = new RemoteMember(options.endpoint, { clock: systemClock, tls: readTls(options) });
    await saveSnapshot(file, member.snapshot());
  }
  await using snapshot = await openSnapshot(file);
  const { revision, totalKeys } = await snapshot.status();
  console.log(`saved ${file}: revision ${revision}, ${totalKeys} entries`);
}

async function restore(
  file: string,
  { dataDir, skipHashCheck }: { readonly dataDir: string; readonly skipHashCheck: boolean },
): Promise<void> {
  const { openSnapshot, restoreSnapshot } = await import("@coracle/etcd");
  await using snapshot = await openFile(() => openSnapshot(file, { skipHashCheck }), file);
  const { revision, rows } = await restoreSnapshot({ snapshot, dataDir, clock: systemClock });
  console.log(`restored ${rows} versions up to revision ${revision} into ${dataDir}`);
}

async function tellStatus(file: string, json: boolean): Promise<void> {
  const { openSnapshot } = await import("@coracle/etcd");
  await using snapshot = await openFile(() => openSnapshot(file), file);
  const { hash, revision, totalKeys, totalBytes } = await snapshot.status();
  const hex = hash.toString(16).padStart(8, "0");
  console.log(
    json
      ? JSON.stringify({ hash, revision, totalKey: totalKeys, totalSize: totalBytes })
      : [`hash      ${hex}`, `revision  ${revision}`, `entries   ${totalKeys}`, `bytes     ${totalBytes}`].join("\n"),
  );
}

async function openFile<T>(open: () => Promise<T>, file: string): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new CliError(`${file} does not exist`, 1, { cause: error });
    }
    throw error;
  }
}

function dataDirOf(name: string): string {
  const state = readState(name);
  if (state === undefined) throw new CliError(`no cluster named ${name} is running; say --data-dir or --endpoint`);
  return join(state.dataDir, "etcd");
}

function readTls({ cacert, cert, key }: TlsOptions): ChannelTls | undefined {
  if (cacert === undefined && cert === undefined) return undefined;
  const read = (file: string | undefined): { readonly text?: string } =>
    file === undefined ? {} : { text: readFileSync(file, "utf8") };
  const [ca, own, secret] = [read(cacert).text, read(cert).text, read(key).text];
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(own === undefined ? {} : { cert: own }),
    ...(secret === undefined ? {} : { key: secret }),
  };
}
