import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { createServer, type ServerHttp2Session } from "node:http2";
import { ProtoWriter } from "@coracle/api";
import { forEachField, readAnnotation } from "./encrypted-object.ts";

/** A KMS for tests: keeps no keys but derives them from their names. */
export interface TestKms extends AsyncDisposable {
  readonly endpoint: string;
  /** Which key it encrypts with. */
  keyId: string;
  healthz: string;
  version: string;
  /** Fails calls of these methods. */
  readonly broken: Set<string>;
  /** Methods called, in order. */
  readonly calls: string[];
}

const keyOf = (keyId: string): Buffer => createHash("sha256").update(`kms ${keyId}`).digest();

function encrypt(keyId: string, plaintext: Buffer): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", keyOf(keyId), nonce);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(keyId: string, ciphertext: Buffer): Buffer {
  const decipher = createDecipheriv("aes-256-gcm", keyOf(keyId), ciphertext.subarray(0, 12));
  decipher.setAuthTag(ciphertext.subarray(-16));
  return Buffer.concat([decipher.update(ciphertext.subarray(12, -16)), decipher.final()]);
}

function text(writer: ProtoWriter, field: number, value: string | Buffer): void {
  writer.uint32((field << 3) | 2);
  if (typeof value === "string") writer.string(value);
  else writer.view(value);
}

function answer(kms: TestKms, method: string, request: Buffer): Buffer {
  const writer = new ProtoWriter();
  const fields: { bytes: Buffer; keyId: string } = { bytes: Buffer.alloc(0), keyId: "" };
  const annotations: Record<string, Buffer> = {};
  forEachField(request, {
    1: (reader) => void (fields.bytes = Buffer.from(reader.view())),
    3: (reader) => void (fields.keyId = reader.string()),
    4: (reader) => readAnnotation(reader.view(), annotations),
  });
  if (method === "Status") {
    text(writer, 1, kms.version);
    text(writer, 2, kms.healthz);
    text(writer, 3, kms.keyId);
  } else if (method === "Encrypt") {
    text(writer, 1, encrypt(kms.keyId, fields.bytes));
    text(writer, 2, kms.keyId);
    const entry = writer.open.bind(writer);
    writer.uint32(26);
    const start = entry();
    text(writer, 1, "note.kms.example");
    text(writer, 2, Buffer.from("1"));
    writer.close(start);
  } else {
    if (annotations["note.kms.example"]?.toString() !== "1") throw new Error("the annotation is missing");
    text(writer, 1, decrypt(fields.keyId, fields.bytes));
  }
  return writer.finish();
}

/** Serves `v2.KeyManagementService` on a Unix socket at `path`. */
export async function startTestKms(path: string): Promise<TestKms> {
  const server = createServer();
  const sessions = new Set<ServerHttp2Session>();
  const kms: TestKms = {
    endpoint: `unix://${path}`,
    keyId: "key-1",
    healthz: "ok",
    version: "v2",
    broken: new Set(),
    calls: [],
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    const method = (headers[":path"] ?? "").split("/").at(-1)!;
    const parts: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => parts.push(chunk));
    stream.on("end", () => {
      kms.calls.push(method);
      let trailers: Record<string, string> = { "grpc-status": "0" };
      let body: Buffer | undefined;
      try {
        if (kms.broken.has(method)) throw new Error("the vault is closed");
        const message = answer(kms, method, Buffer.concat(parts).subarray(5));
        body = Buffer.concat([Buffer.alloc(5), message]);
        body.writeUInt32BE(message.length, 1);
      } catch (error) {
        trailers = { "grpc-status": "9", "grpc-message": (error as Error).message };
      }
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers(trailers));
      stream.end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return kms;
}
