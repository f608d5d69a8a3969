import { loadCriCodec, type GrpcMethod } from "@coracle/api";
import type { ContainerEventResponse, ImageServiceMethods, RuntimeServiceMethods } from "@coracle/api/cri";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";

/** Methods of both CRI services by name. */
type Methods = Omit<RuntimeServiceMethods, "GetContainerEvents"> & ImageServiceMethods;

/** Requests to a container runtime. Failures are gRPC `ServiceError`s (see `criCode`). */
export interface CriClient {
  call<Name extends keyof Methods>(
    method: Name,
    request: Methods[Name]["request"],
    options?: { readonly timeoutMs?: number },
  ): Promise<Methods[Name]["response"]>;
  /** The runtime's container events until the stream breaks. */
  events(onEvent: (event: ContainerEventResponse) => void, signal: AbortSignal): Promise<void>;
  close(): void;
}

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const UNIMPLEMENTED = 12;
const NOT_FOUND = 5;

/** Connects to `endpoint` (`unix:///path`). `requestTimeoutMs` bounds calls that set no limit of their own. */
export function createCriClient(endpoint: string, requestTimeoutMs: number): CriClient {
  const codec = loadCriCodec();
  const runtime = codec.service("runtime.v1.RuntimeService");
  const image = codec.service("runtime.v1.ImageService");
  const client = new Client(endpoint.includes("://") ? endpoint : `unix://${endpoint}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 1000,
  });
  return {
    call(method, request, options) {
      const definition = (runtime[method] ?? image[method]) as GrpcMethod;
      const timeoutMs = options?.timeoutMs ?? requestTimeoutMs;
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          definition.path,
          definition.requestSerialize,
          definition.responseDeserialize,
          request,
          new Metadata({ waitForReady: true }),
          { deadline: timeoutMs === 0 ? Infinity : new Date(Date.now() + timeoutMs) },
          (error, response) => {
            if (error !== null) reject(error);
            else resolve((response ?? {}) as never);
          },
        );
      });
    },
    events(onEvent, signal) {
      const definition = runtime["GetContainerEvents"] as GrpcMethod;
      return new Promise((resolve, reject) => {
        const stream = client.makeServerStreamRequest(
          definition.path,
          definition.requestSerialize,
          definition.responseDeserialize,
          {},
        );
        const cancel = (): void => stream.cancel();
        signal.addEventListener("abort", cancel, { once: true });
        const done = (): void => signal.removeEventListener("abort", cancel);
        stream.on("data", (event: ContainerEventResponse) => onEvent(event));
        stream.once("end", () => {
          done();
          resolve();
        });
        stream.once("error", (error) => {
          done();
          reject(error);
        });
      });
    },
    close: () => client.close(),
  };
}

const codeOf = (error: unknown): number | undefined =>
  error instanceof Error && "code" in error ? (error as ServiceError).code : undefined;

/** The runtime does not know what was asked for. */
export const isCriNotFound = (error: unknown): boolean => codeOf(error) === NOT_FOUND;
/** The runtime does not have the method. */
export const isCriUnimplemented = (error: unknown): boolean => codeOf(error) === UNIMPLEMENTED;

/** The runtime's own words. */
export function criMessage(error: unknown): string {
  if (error instanceof Error && "details" in error && typeof error.details === "string") {
    return `rpc error: code = ${GRPC_CODES[codeOf(error) ?? 2] ?? "Unknown"} desc = ${error.details}`;
  }
  return error instanceof Error ? error.message : String(error);
}

const GRPC_CODES = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
];
