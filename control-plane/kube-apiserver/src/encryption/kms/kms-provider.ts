import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Clock, Instant, Logger, Timer } from "@coracle/base";
import { aesGcm, aesGcmFromSeed, type Cipher } from "../aes.ts";
import { joinMessages, type Transformer } from "../transformer.ts";
import {
  checkKeySource,
  decodeEncryptedObject,
  encodeEncryptedObject,
  keyIdProblem,
  SEED,
  sourceFingerprint,
  type EncryptedObject,
  type KeySource,
} from "./encrypted-object.ts";
import type { KeyService, KeyServiceStatus } from "./key-service.ts";

const SEED_BYTES = 32;
/** A key is written with for so long after the KMS was last well. */
const WRITE_LIFE_MS = 3 * 60_000;
const POLL_MS = 60_000;
const POLL_AFTER_FAILURE_MS = 10_000;
const GOOD_NEWS_MS = 20_000;
const BAD_NEWS_MS = 3_000;
const VERSIONS = ["v2", "v2beta1"];

/** What values are written with at the moment. */
interface WriteKey {
  readonly cipher: Cipher;
  readonly source: KeySource;
  expiresAt: Instant;
}

const hashOf = (text: string): string =>
  text === "" ? "" : `sha256:${createHash("sha256").update(text).digest("hex")}`;

const printTime = (at: Instant): string => new Date(at).toISOString().replace(/\.\d+Z$/, "Z");

/**
 * Values with keys that a KMS keeps: each is encrypted with a key derived from a seed that only the KMS can decrypt.
 * While the KMS is well and names the same key, the seed stays.
 */
export class KmsProvider implements Transformer, Disposable {
  readonly name: string;
  readonly #service: KeyService;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onRecovery: () => void;
  readonly #ciphers = new Map<string, Cipher>();
  readonly #asking = new Map<string, Promise<Cipher>>();
  #writeKey: WriteKey | undefined;
  #version = "";
  #checked: { readonly failure: string | undefined; readonly until: number } | undefined;
  #checking: Promise<string | undefined> | undefined;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(options: {
    readonly name: string;
    readonly service: KeyService;
    readonly clock: Clock;
    readonly logger: Logger;
    /** Told when the KMS is well again after it was not. */
    readonly onRecovery: () => void;
  }) {
    this.name = options.name;
    this.#service = options.service;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onRecovery = options.onRecovery;
  }

  /** Asks the KMS how it is, now and from time to time. */
  async start(): Promise<void> {
    const failure = await this.check();
    if (!this.#isOver) this.#schedule(failure);
  }

  #schedule(failure: string | undefined): void {
    this.#timer = this.#clock.after(failure === undefined ? POLL_MS : POLL_AFTER_FAILURE_MS, () => {
      void this.start();
    });
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    this.#service.close();
  }

  /** What is wrong with the KMS; undefined when nothing. Answers of the last seconds are given again. */
  check(): Promise<string | undefined> {
    const known = this.#checked;
    if (known !== undefined && this.#clock.monotonicMs() < known.until) return Promise.resolve(known.failure);
    this.#checking ??= this.#ask().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  async #ask(): Promise<string | undefined> {
    const failure = await this.#problem();
    const hadFailed = this.#checked?.failure !== undefined;
    const until = this.#clock.monotonicMs() + (failure === undefined ? GOOD_NEWS_MS : BAD_NEWS_MS);
    this.#checked = { failure, until };
    if (this.#isOver) return failure;
    if (failure !== undefined) this.#logger.error("the KMS is not well", { provider: this.name, error: failure });
    else if (hadFailed) this.#onRecovery();
    return failure;
  }

  async #problem(): Promise<string | undefined> {
    let status: KeyServiceStatus;
    try {
      status = await this.#service.status();
    } catch (error) {
      const why = (error as Error).message;
      return `failed to perform status section of the healthz check for KMS Provider ${this.name}, error: ${why}`;
    }
    const messages: string[] = [];
    if (status.healthz !== "ok") messages.push(`got unexpected healthz status: ${status.healthz}`);
    if (!VERSIONS.includes(status.version)) {
      messages.push(`expected KMSv2 API version v2, got ${status.version}`);
    } else {
      this.#version ||= status.version;
      if (this.#version !== status.version) {
        messages.push(
          `KMSv2 API version should not change after the initial status response version ${this.#version}, got ${status.version}`,
        );
      }
    }
    const keyIdFault = keyIdProblem(status.keyId);
    if (keyIdFault !== undefined) {
      messages.push(`got invalid KMSv2 KeyID hash ${JSON.stringify(hashOf(status.keyId))}: ${keyIdFault}`);
    } else {
      const failure = await this.#renewKey(status.keyId);
      if (failure !== undefined) messages.push(failure);
    }
    if (messages.length === 0) return undefined;
    return `kmsv2 Provider ${this.name} is not healthy, error: ${joinMessages(messages)}`;
  }

  /** Keeps the seed while the KMS names the same key; makes another when it names another. */
  async #renewKey(keyId: string): Promise<string | undefined> {
    const expiresAt = this.#clock.now() + WRITE_LIFE_MS;
    const known = this.#writeKey;
    if (known?.source.keyId === keyId) {
      known.expiresAt = expiresAt;
      return undefined;
    }
    const uid = randomUUID();
    let failure = "<nil>";
    let found = "";
    try {
      const seed = randomBytes(SEED_BYTES);
      const answer = await this.#service.encrypt(uid, seed).catch((error: unknown) => {
        throw new Error(`failed to encrypt DEK, error: ${(error as Error).message}`, { cause: error });
      });
      found = answer.keyId;
      const { ciphertext, annotations } = answer;
      const source: KeySource = { keyId: found, source: ciphertext, sourceType: SEED, annotations };
      checkKeySource(source);
      if (found === keyId) {
        const cipher = aesGcmFromSeed(seed);
        this.#ciphers.set(sourceFingerprint(source), cipher);
        this.#writeKey = { cipher, source, expiresAt };
        return undefined;
      }
    } catch (error) {
      failure = (error as Error).message;
    }
    const state = known === undefined ? "got unexpected nil transformer" : "<nil>";
    const hashes = `statusKeyIDHash=${JSON.stringify(hashOf(keyId))}, encryptKeyIDHash=${JSON.stringify(hashOf(found))}, stateKeyIDHash=${JSON.stringify(hashOf(known?.source.keyId ?? ""))}`;
    const until = known === undefined ? "0001-01-01T00:00:00Z" : printTime(known.expiresAt);
    return `failed to rotate DEK uid=${JSON.stringify(uid)}, useSeed=true, errState=${state}, errGen=${failure}, ${hashes}, expirationTimestamp=${until}`;
  }

  #requireWriteKey(): WriteKey {
    if (this.#writeKey === undefined) throw new Error("got unexpected nil transformer");
    return this.#writeKey;
  }

  get sealsAs(): string {
    return this.#writeKey === undefined ? "" : this.#noteOf(this.#writeKey.source);
  }

  #noteOf({ sourceType, keyId }: KeySource): string {
    return `kms:${this.name}:${sourceType}:${keyId}`;
  }

  open(data: Buffer, key: string): ReturnType<Transformer["open"]> {
    const object = decodeEncryptedObject(data);
    this.#requireWriteKey();
    const sealedBy = this.#noteOf(object);
    const fingerprint = sourceFingerprint(object);
    const cipher = this.#ciphers.get(fingerprint);
    if (cipher !== undefined) return { value: cipher.open(object.data, key), sealedBy };
    return this.#cipherOf(object, fingerprint).then((found) => ({ value: found.open(object.data, key), sealedBy }));
  }

  #cipherOf(object: EncryptedObject, fingerprint: string): Promise<Cipher> {
    let asking = this.#asking.get(fingerprint);
    if (asking !== undefined) return asking;
    asking = this.#service
      .decrypt(randomUUID(), object)
      .then(
        (plaintext) => {
          const cipher = object.sourceType === SEED ? aesGcmFromSeed(plaintext) : keyCipher(plaintext);
          this.#ciphers.set(fingerprint, cipher);
          return cipher;
        },
        (error: unknown) => {
          throw new Error(`failed to decrypt DEK, error: ${(error as Error).message}`, { cause: error });
        },
      )
      .finally(() => this.#asking.delete(fingerprint));
    this.#asking.set(fingerprint, asking);
    return asking;
  }

  seal(value: Buffer, key: string): Buffer {
    const { cipher, source, expiresAt } = this.#requireWriteKey();
    const now = this.#clock.now();
    if (now > expiresAt) {
      const hash = JSON.stringify(hashOf(source.keyId));
      throw new Error(
        `encryptedDEKSource with keyID hash ${hash} expired at ${printTime(expiresAt)} (current time is ${printTime(now)})`,
      );
    }
    return encodeEncryptedObject({ ...source, data: cipher.seal(value, key) });
  }
}

function keyCipher(key: Buffer): Cipher {
  if (![16, 24, 32].includes(key.length)) throw new Error(`crypto/aes: invalid key size ${key.length}`);
  return aesGcm(key);
}
