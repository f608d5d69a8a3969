import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { IMPORT_IMAGE_PATH } from "./cri-server.ts";

/** Asks a running runtime to add the images of an archive (OCI layout or `docker save`); gives their names. */
export async function importImage(socketPath: string, file: string): Promise<readonly string[]> {
  const client = new Client(`unix://${socketPath}`, credentials.createInsecure());
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        IMPORT_IMAGE_PATH,
        (value: { readonly file: string }) => Buffer.from(JSON.stringify(value)),
        (bytes: Buffer) => JSON.parse(bytes.toString("utf8")) as { readonly names: readonly string[] },
        { file },
        (error: ServiceError | null, answer) =>
          error === null ? resolve(answer?.names ?? []) : reject(new Error(error.details, { cause: error })),
      );
    });
  } finally {
    client.close();
  }
}
