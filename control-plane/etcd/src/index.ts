/** The store: etcd's semantics behind a narrow port. */
export { runCompactor } from "./compactor/compactor.ts";
export { GrpcChannel, type ChannelTls } from "./grpc/grpc-channel.ts";
export { GrpcError, grpcCode } from "./grpc/grpc-error.ts";
export { openEmbeddedStore } from "./engine/embedded-store.ts";
export { createMemoryStore } from "./engine/memory-store.ts";
export { parseEtcdFlags, readEtcdFlags, type EtcdFlags } from "./server/flags.ts";
export { runEtcd } from "./server/run-etcd.ts";
export { startEtcdServer, type EtcdServer, type EtcdServerOptions } from "./server/etcd-server.ts";
export { createRemoteStore, type RemoteStoreOptions } from "./remote/remote-store.ts";
export { migrateStore, parseStorePlace, type StorePlace } from "./migrate/migrate.ts";
export { RemoteMember } from "./migrate/remote-extras.ts";
export { saveDirectory } from "./snapshot/save-directory.ts";
export { restoreSnapshot } from "./snapshot/restore-snapshot.ts";
export { openSnapshot, saveSnapshot, type Snapshot, type SnapshotStatus } from "./snapshot/snapshot-file.ts";
export {
  CompactedError,
  prefixEnd,
  StoreError,
  type Compare,
  type KeyValue,
  type LeaseId,
  type Op,
  type OpResult,
  type RangeRequest,
  type RangeResult,
  type Revision,
  type Store,
  type StoreErrorCode,
  type StoreEvent,
  type TxnRequest,
  type TxnResult,
  type WatchHandle,
  type WatchRequest,
  type WatchSink,
} from "./store/store.ts";
