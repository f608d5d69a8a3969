import type { Clock } from "@coracle/base";
import { ProtoWriter } from "@coracle/api";
import { GrpcChannel, GrpcError } from "@coracle/etcd";
import {
  forEachField,
  readAnnotation,
  writeAnnotations,
  type Annotations,
  type KeySource,
} from "./encrypted-object.ts";

/** What a KMS says of itself. */
export interface KeyServiceStatus {
  readonly version: string;
  readonly healthz: string;
  readonly keyId: string;
}

/** A key as the KMS gives it out. */
export interface EncryptedKey {
  readonly ciphertext: Buffer;
  readonly keyId: string;
  readonly annotations: Annotations;
}

/** The service `v2.KeyManagementService` of a KMS. */
export interface KeyService {
  status(): Promise<KeyServiceStatus>;
  encrypt(uid: string, plaintext: Buffer): Promise<EncryptedKey>;
  decrypt(uid: string, key: Pick<KeySource, "source" | "keyId" | "annotations">): Promise<Buffer>;
  close(): void;
}

const CODES =
  "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied ResourceExhausted FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable DataLoss Unauthenticated".split(
    " ",
  );

/** A failed call in the words that clients of gRPC know. */
function grpcText(error: unknown): Error {
  if (!(error instanceof GrpcError)) return error as Error;
  const code = CODES[error.code] ?? `Code(${error.code})`;
  return new Error(`rpc error: code = ${code} desc = ${error.message}`, { cause: error });
}

/** `unix:///run/kms.sock`; a name after `@` is abstract. */
function socketPathOf(endpoint: string): string {
  const { host, pathname } = new URL(endpoint);
  const path = decodeURIComponent(host + pathname);
  return path.startsWith("/@") ? `\0${path.slice(2)}` : path;
}

/** Speaks to a KMS over its Unix socket. The connection is opened by the first call, and again when it was lost. */
export function createKeyService(options: {
  readonly endpoint: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
}): KeyService {
  const { clock, timeoutMs } = options;
  const channel = new GrpcChannel(new URL("http://localhost"), { clock, socketPath: socketPathOf(options.endpoint) });
  const call = async (method: string, request: Buffer): Promise<Buffer> => {
    try {
      return await channel.unary(`/v2.KeyManagementService/${method}`, request, { timeoutMs });
    } catch (error) {
      throw grpcText(error);
    }
  };
  return {
    async status() {
      const status = { version: "", healthz: "", keyId: "" };
      forEachField(await call("Status", Buffer.alloc(0)), {
        1: (reader) => void (status.version = reader.string()),
        2: (reader) => void (status.healthz = reader.string()),
        3: (reader) => void (status.keyId = reader.string()),
      });
      return status;
    },
    async encrypt(uid, plaintext) {
      const writer = new ProtoWriter();
      writer.uint32(10);
      writer.view(plaintext);
      writer.uint32(18);
      writer.string(uid);
      const answer = { ciphertext: Buffer.alloc(0) as Buffer, keyId: "", annotations: {} };
      forEachField(await call("Encrypt", writer.finish()), {
        1: (reader) => void (answer.ciphertext = Buffer.from(reader.view())),
        2: (reader) => void (answer.keyId = reader.string()),
        3: (reader) => readAnnotation(reader.view(), answer.annotations),
      });
      return answer;
    },
    async decrypt(uid, { source, keyId, annotations }) {
      const writer = new ProtoWriter();
      writer.uint32(10);
      writer.view(source);
      writer.uint32(18);
      writer.string(uid);
      writer.uint32(26);
      writer.string(keyId);
      writeAnnotations(writer, 4, annotations);
      let plaintext: Buffer = Buffer.alloc(0);
      forEachField(await call("Decrypt", writer.finish()), {
        1: (reader) => void (plaintext = Buffer.from(reader.view())),
      });
      return plaintext;
    },
    close: () => channel.disconnect(),
  };
}
