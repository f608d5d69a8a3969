import { rm } from "node:fs/promises";
import {
  Server,
  ServerCredentials,
  status as grpcStatus,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { loadCriCodec } from "@coracle/api";
import type { ContainerEventResponse, ImageServiceMethods, RuntimeServiceMethods } from "@coracle/api/cri";
import type { Logger } from "@coracle/base";
import { CriError, messageOf } from "../cri-error.ts";
import type { UnaryMethods } from "./runtime-service.ts";

/** Where listeners of container events come from. */
export interface EventSource {
  /** Calls back for each event until disposed. */
  subscribe(listener: (event: ContainerEventResponse) => void): Disposable;
}

export interface CriServerOptions {
  readonly socketPath: string;
  readonly runtime: UnaryMethods<RuntimeServiceMethods>;
  readonly images: UnaryMethods<ImageServiceMethods>;
  readonly events: EventSource;
  /** Adds the images of an archive; answers with their names. */
  readonly importImage: (file: string) => Promise<readonly string[]>;
  readonly logger: Logger;
}

/** Path of the one method that CRI lacks: adding the images of an archive on this machine. JSON in, JSON out. */
export const IMPORT_IMAGE_PATH = "/coracle.runtime.v1.ImageArchive/Import";

const LARGEST_MESSAGE = 16 * 1024 * 1024;
/** A listener this far behind is let go; it will list anew. */
const MOST_WAITING_EVENTS = 10_000;

type Handler = (call: ServerUnaryCall<object, object>, callback: sendUnaryData<object>) => void;

/** Serves CRI v1 on a unix socket; disposing ends it, calls that wait included. */
export async function startCriServer(options: CriServerOptions): Promise<AsyncDisposable> {
  const { logger, events } = options;
  const server = new Server({
    "grpc.max_receive_message_length": LARGEST_MESSAGE,
    "grpc.max_send_message_length": LARGEST_MESSAGE,
  });
  const codec = loadCriCodec();
  const unary =
    (name: string, method: (request: never, signal: AbortSignal) => unknown): Handler =>
    (call, callback) => {
      const cancelled = new AbortController();
      call.on("cancelled", () => cancelled.abort(new DOMException("the caller is gone", "AbortError")));
      (async () => (await method(call.request as never, cancelled.signal)) as object)().then(
        (answer) => callback(null, answer),
        (error: unknown) => {
          const code = error instanceof CriError ? grpcStatus[error.code] : grpcStatus.UNKNOWN;
          if (!(error instanceof CriError)) logger.error("call failed", { method: name, error });
          else logger.debug("call refused", { method: name, error: error.message });
          callback({ code, details: messageOf(error) });
        },
      );
    };
  const implement = (
    methods: Readonly<Record<string, (request: never, signal: AbortSignal) => unknown>>,
  ): UntypedServiceImplementation =>
    Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, unary(name, method)]));

  const streams = new Set<ServerWritableStream<object, ContainerEventResponse>>();
  const getContainerEvents = (call: ServerWritableStream<object, ContainerEventResponse>): void => {
    let waiting = 0;
    streams.add(call);
    const subscription = events.subscribe((event) => {
      waiting++;
      call.write(event, () => waiting--);
      if (waiting > MOST_WAITING_EVENTS) call.destroy();
    });
    const end = (): void => {
      subscription[Symbol.dispose]();
      streams.delete(call);
    };
    call.on("cancelled", end);
    call.on("close", end);
    call.on("error", end);
    // The caller knows by the headers that nothing is missed from here on.
    call.sendMetadata(call.metadata.clone());
  };

  server.addService(codec.service("runtime.v1.RuntimeService"), {
    ...implement(options.runtime as unknown as Parameters<typeof implement>[0]),
    GetContainerEvents: getContainerEvents as never,
  });
  server.addService(
    codec.service("runtime.v1.ImageService"),
    implement(options.images as unknown as Parameters<typeof implement>[0]),
  );
  const json = {
    serialize: (value: object) => Buffer.from(JSON.stringify(value)),
    deserialize: (bytes: Buffer) => JSON.parse(bytes.toString("utf8")) as object,
  };
  server.addService(
    {
      Import: {
        path: IMPORT_IMAGE_PATH,
        requestStream: false,
        responseStream: false,
        requestSerialize: json.serialize,
        requestDeserialize: json.deserialize,
        responseSerialize: json.serialize,
        responseDeserialize: json.deserialize,
      },
    },
    {
      Import: unary("ImportImage", async (request: { readonly file: string }) => ({
        names: await options.importImage(request.file),
      })) as never,
    },
  );

  // A socket that a killed predecessor left would make binding fail.
  await rm(options.socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix://${options.socketPath}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
  return {
    async [Symbol.asyncDispose]() {
      for (const call of streams) call.end();
      server.forceShutdown();
      await rm(options.socketPath, { force: true });
    },
  };
}
