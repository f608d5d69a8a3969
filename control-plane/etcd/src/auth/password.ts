import { scrypt, timingSafeEqual } from "node:crypto";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";

const KEY_BYTES = 32;
/** bcrypt looks at no more. */
const MAX_BYTES = 72;
const DEFAULT_COST = 10;

/** A bcrypt hash of a password, as etcd keeps them. */
export async function hashPassword(password: string, cost = DEFAULT_COST): Promise<string> {
  if (Buffer.byteLength(password) > MAX_BYTES) {
    throw new GrpcError(grpcCode.unknown, "bcrypt: password length exceeds 72 bytes");
  }
  const { hash } = await import("bcryptjs");
  const hashed = await hash(password, isCost(cost) ? cost : DEFAULT_COST);
  // The same algorithm under the name that Go's library knows.
  return hashed.replace(/^\$2[by]\$/, "$2a$");
}

/** Whether a hash is of this password: etcd's, or one that an older version of ours made. */
export async function isPassword(password: string, hash: string): Promise<boolean> {
  if (hash.startsWith("$2")) {
    const { compare } = await import("bcryptjs");
    return await compare(password, hash);
  }
  const [, salt = "", key = ""] = hash.split("$");
  const expected = Buffer.from(key, "base64");
  const actual = await derive(password, Buffer.from(salt, "base64"));
  return actual.length === expected.length && timingSafeEqual(actual, expected);
}

/** As etcd: a cost that is none counts as the default. */
const isCost = (cost: number): boolean => Number.isInteger(cost) && cost >= 4 && cost <= 31;

function derive(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}
