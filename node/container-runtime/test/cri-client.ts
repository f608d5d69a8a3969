import { Client, credentials, type ClientReadableStream, type ServiceError } from "@grpc/grpc-js";
import { loadCriCodec } from "@coracle/api";
import type { ContainerEventResponse, ImageServiceMethods, RuntimeServiceMethods } from "@coracle/api/cri";

type Methods = RuntimeServiceMethods & ImageServiceMethods;

/** A CRI client for tests. */
export interface CriClient extends Disposable {
  call<Name extends keyof Methods>(name: Name, request: Methods[Name]["request"]): Promise<Methods[Name]["response"]>;
  events(): ClientReadableStream<ContainerEventResponse>;
}

/** Connects to a runtime's socket. */
export function connectCri(socketPath: string): CriClient {
  const codec = loadCriCodec();
  const methods = { ...codec.service("runtime.v1.RuntimeService"), ...codec.service("runtime.v1.ImageService") };
  const client = new Client(`unix://${socketPath}`, credentials.createInsecure());
  return {
    call(name, request) {
      const method = methods[name];
      if (method === undefined) throw new Error(`no method ${name}`);
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request as object,
          (error: ServiceError | null, answer) => (error === null ? resolve(answer as never) : reject(error)),
        );
      });
    },
    events() {
      const method = methods["GetContainerEvents"];
      if (method === undefined) throw new Error("no events");
      return client.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        {},
      ) as ClientReadableStream<ContainerEventResponse>;
    },
    [Symbol.dispose]: () => client.close(),
  };
}
