import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { loadCriCodec } from "@coracle/api";
import type { Image, ImageServiceMethods } from "@coracle/api/cri";
import { IMPORT_IMAGE_PATH } from "./cri-server.ts";

/** One call to a runtime, from a client that is closed afterwards. */
async function call<Q, A>(
  socketPath: string,
  path: string,
  request: Q,
  encode: (value: Q) => Buffer,
  decode: (bytes: Buffer) => A,
): Promise<A | undefined> {
  const client = new Client(`unix://${socketPath}`, credentials.createInsecure());
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, encode, decode, request, (error: ServiceError | null, answer) =>
        error === null ? resolve(answer) : reject(new Error(error.details, { cause: error })),
      );
    });
  } finally {
    client.close();
  }
}

/** Asks a running runtime to add the images of an archive (OCI layout or `docker save`); gives their names. */
export async function importImage(socketPath: string, file: string): Promise<readonly string[]> {
  const answer = await call(
    socketPath,
    IMPORT_IMAGE_PATH,
    { file },
    (value) => Buffer.from(JSON.stringify(value)),
    (bytes) => JSON.parse(bytes.toString("utf8")) as { readonly names: readonly string[] },
  );
  return answer?.names ?? [];
}

/** The images of any CRI runtime. */
export async function listImages(socketPath: string): Promise<readonly Image[]> {
  type Method = ImageServiceMethods["ListImages"];
  const method = loadCriCodec().service("runtime.v1.ImageService")["ListImages"];
  if (method === undefined) throw new Error("the CRI table lacks ListImages");
  const answer = await call(
    socketPath,
    method.path,
    {} as Method["request"],
    (value) => method.requestSerialize(value),
    (bytes) => method.responseDeserialize(bytes) as Method["response"],
  );
  return answer?.images ?? [];
}
