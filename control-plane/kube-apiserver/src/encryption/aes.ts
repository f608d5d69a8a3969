import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";

const BLOCK_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const INFO_BYTES = 32;

/** Encrypts and decrypts; `bound`: what must be the same both times. */
export interface Cipher {
  open(data: Buffer, bound: string): Buffer;
  seal(value: Buffer, bound: string): Buffer;
}

const tooShort = (): Error => new Error("the stored data was shorter than the required size");

/** AES-CBC with PKCS #7 padding; the initialisation vector comes first. Nothing is bound. */
export function aesCbc(key: Buffer): Cipher {
  const algorithm = `aes-${key.length * 8}-cbc`;
  return {
    open(data) {
      if (data.length < BLOCK_BYTES) throw tooShort();
      const sealed = data.subarray(BLOCK_BYTES);
      if (sealed.length % BLOCK_BYTES !== 0) throw new Error("the stored data is not a multiple of the block size");
      if (sealed.length === 0) throw new Error("invalid PKCS7 data (empty or not padded)");
      const decipher = createDecipheriv(algorithm, key, data.subarray(0, BLOCK_BYTES)).setAutoPadding(false);
      const padded = Buffer.concat([decipher.update(sealed), decipher.final()]);
      const padding = padded.at(-1)!;
      if (padding === 0 || padding > padded.length) throw new Error("invalid PKCS7 data (empty or not padded)");
      const end = padded.length - padding;
      if (padded.subarray(end).some((byte) => byte !== padding)) throw new Error("invalid padding on input");
      return padded.subarray(0, end);
    },
    seal(value) {
      const iv = randomBytes(BLOCK_BYTES);
      const cipher = createCipheriv(algorithm, key, iv);
      return Buffer.concat([iv, cipher.update(value), cipher.final()]);
    },
  };
}

/** AES-GCM; the nonce comes first, the tag last. */
export function aesGcm(key: Buffer): Cipher {
  const algorithm = `aes-${key.length * 8}-gcm` as "aes-256-gcm";
  return {
    open(data, bound) {
      if (data.length < NONCE_BYTES) throw tooShort();
      const failed = "cipher: message authentication failed";
      const end = data.length - TAG_BYTES;
      if (end < NONCE_BYTES) throw new Error(failed);
      const decipher = createDecipheriv(algorithm, key, data.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(bound)).setAuthTag(data.subarray(end));
      const value = decipher.update(data.subarray(NONCE_BYTES, end));
      try {
        decipher.final();
      } catch {
        // OpenSSL's reason says less.
        throw new Error(failed);
      }
      return value;
    },
    seal(value, bound) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(Buffer.from(bound));
      return Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
    },
  };
}

/** A key for every value, derived from a seed and 32 random bytes that come first (RFC 5869, expand only). */
export function aesGcmFromSeed(seed: Buffer): Cipher {
  if (seed.length < INFO_BYTES) throw new Error(`invalid seed length ${seed.length} used for key generation`);
  const derive = (info: Buffer): Cipher =>
    aesGcm(createHmac("sha256", seed).update(info).update(Buffer.of(1)).digest());
  return {
    open(data, bound) {
      if (data.length < INFO_BYTES) throw tooShort();
      return derive(data.subarray(0, INFO_BYTES)).open(data.subarray(INFO_BYTES), bound);
    },
    seal(value, bound) {
      const info = randomBytes(INFO_BYTES);
      return Buffer.concat([info, derive(info).seal(value, bound)]);
    },
  };
}
