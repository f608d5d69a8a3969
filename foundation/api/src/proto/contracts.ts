import type { CriMessages } from "../types/cri.ts";
import type { CsiMessages } from "../types/csi.ts";
import type { EtcdMessages } from "../types/etcd.ts";
import type { KubeletGrpcMessages } from "../types/kubelet-grpc.ts";
import { createGrpcCodec, type GrpcCodec } from "./grpc-codec.ts";

/** The container runtime interface, v1. 64-bit integers are numbers: nanosecond times lose their last digits. */
export type CriCodec = GrpcCodec<CriMessages>;
/** The container storage interface, v1. 64-bit integers are numbers. */
export type CsiCodec = GrpcCodec<CsiMessages>;
/** The etcd v3 API. 64-bit integers are bigints: revisions and lease ids use all 64 bits. */
export type EtcdCodec = GrpcCodec<EtcdMessages>;
/** The kubelet's plugin services: devices, dynamic resources, registration, pod resources. 64-bit integers are numbers. */
export type KubeletGrpcCodec = GrpcCodec<KubeletGrpcMessages>;

let cri: CriCodec | undefined;
let csi: CsiCodec | undefined;
let etcd: EtcdCodec | undefined;
let kubelet: KubeletGrpcCodec | undefined;

/** Reads the CRI table on the first call; later calls return the same codec. */
export const loadCriCodec = (): CriCodec => (cri ??= createGrpcCodec<CriMessages>("cri", { int64: "number" }));
/** Reads the CSI table on the first call; later calls return the same codec. */
export const loadCsiCodec = (): CsiCodec => (csi ??= createGrpcCodec<CsiMessages>("csi", { int64: "number" }));
/** Reads the etcd table on the first call; later calls return the same codec. */
export const loadEtcdCodec = (): EtcdCodec => (etcd ??= createGrpcCodec<EtcdMessages>("etcd", { int64: "bigint" }));
/** Reads the plugin services' table on the first call; later calls return the same codec. */
export const loadKubeletGrpcCodec = (): KubeletGrpcCodec =>
  (kubelet ??= createGrpcCodec<KubeletGrpcMessages>("kubelet-grpc", { int64: "number" }));
