import { loadEtcdCodec } from "@coracle/api";
import type * as etcd from "@coracle/api/etcd";
import type { CallContext, GrpcHandler } from "../grpc/grpc-server.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";

type Names = keyof etcd.EtcdMessages;

/** A method with one message each way, in terms of messages instead of bytes. */
export function unary<Request extends Names, Response extends Names>(
  request: Request,
  response: Response,
  handle: (message: etcd.EtcdMessages[Request], call: CallContext) => Promise<etcd.EtcdMessages[Response]>,
): GrpcHandler {
  return {
    type: "unary",
    async handle(bytes, call) {
      const message = decode(request, bytes);
      return loadEtcdCodec().encode(response, await handle(message, call));
    },
  };
}

/** Reads a message; what is none is INTERNAL, as gRPC libraries answer. */
export function decode<Name extends Names>(name: Name, bytes: Buffer): etcd.EtcdMessages[Name] {
  try {
    return loadEtcdCodec().decode(name, bytes);
  } catch (error) {
    throw new GrpcError(grpcCode.internal, `grpc: failed to unmarshal the received message: ${String(error)}`);
  }
}
