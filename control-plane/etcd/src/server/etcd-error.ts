import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import { StoreError, type StoreErrorCode } from "../store/store.ts";

/** The status codes that etcd answers with; clients decide by them whether to try again. */
const CODES: Readonly<Record<StoreErrorCode, number>> = {
  compacted: grpcCode.outOfRange,
  futureRevision: grpcCode.outOfRange,
  leaseNotFound: grpcCode.notFound,
  leaseExists: grpcCode.failedPrecondition,
  keyNotFound: grpcCode.invalidArgument,
  noSpace: grpcCode.resourceExhausted,
  closed: grpcCode.unavailable,
  corrupt: grpcCode.dataLoss,
  unavailable: grpcCode.unavailable,
  tooLarge: grpcCode.invalidArgument,
  duplicateKey: grpcCode.invalidArgument,
  invalidRequest: grpcCode.invalidArgument,
};

/** What a handler threw, as etcd tells it. */
export function toStatus(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  if (error instanceof StoreError) {
    if (error.code === "closed") return new GrpcError(CODES.closed, "etcdserver: server stopped");
    if (error.code === "noSpace") return new GrpcError(CODES.noSpace, "etcdserver: mvcc: database space exceeded");
    return new GrpcError(CODES[error.code], error.message);
  }
  return new GrpcError(grpcCode.internal, error instanceof Error ? error.message : String(error));
}
