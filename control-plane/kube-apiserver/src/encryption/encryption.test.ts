import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cleanup, createFakeClock, createSeededRandom, silentLogger, systemClock } from "@coracle/base";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readBuiltInValue } from "../registry/built-in-types.ts";
import { aesCbc, aesGcm, aesGcmFromSeed } from "./aes.ts";
import { readEncryptionConfig } from "./config.ts";
import { startTestKms, type TestKms } from "./kms/kms-fixture.ts";
import { openEncryption, type Encryption } from "./open-encryption.ts";
import { secretbox } from "./secretbox.ts";

const KEY_32 = Buffer.from("0123456789abcdef0123456789abcdef").toString("base64");
const KEY_16 = Buffer.from("0123456789abcdef").toString("base64");

let cleanup: Cleanup;
let dir: string;
let base: Store;
let kms: TestKms;

beforeEach(async () => {
  cleanup = new Cleanup();
  dir = mkdtempSync(join(tmpdir(), "cor-encryption-"));
  cleanup.add(() => rmSync(dir, { recursive: true, force: true }));
  base = cleanup.use(createMemoryStore({ clock: systemClock }));
  kms = cleanup.use(await startTestKms(join(dir, "kms.sock")));
});
afterEach(() => cleanup[Symbol.asyncDispose]());

const configOf = (resources: readonly object[]): string =>
  JSON.stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "EncryptionConfiguration", resources });

async function open(resources: readonly object[], reloads = false, readable: string[] = []): Promise<Encryption> {
  const configFile = join(dir, "encryption.yaml");
  writeFileSync(configFile, configOf(resources));
  return cleanup.use(
    await openEncryption({
      configFile,
      reloads,
      store: base,
      clock: systemClock,
      logger: silentLogger,
      onReadable: (keys) => void readable.push(...keys),
    }),
  );
}

const kmsProvider = (): object => ({ kms: { apiVersion: "v2", name: "vault", endpoint: kms.endpoint } });
const cbc = (name: string, secret = KEY_32): object => ({ aescbc: { keys: [{ name, secret }] } });

async function put(store: Store, key: string, value: string | Buffer): Promise<void> {
  await store.txn({ compare: [], success: [{ type: "put", key, value: Buffer.from(value) }] });
}

async function get(store: Store, key: string): Promise<string | undefined> {
  return (await store.range({ key })).kvs[0]?.value.toString("latin1");
}

const SECRET = "/registry/secrets/default/one";

describe("what upstream's server wrote", () => {
  it("is read with the same configuration, whatever the provider", async () => {
    const text = readFileSync(new URL("testdata/upstream-values.json", import.meta.url), "utf8");
    const { values } = JSON.parse(text) as { values: Record<string, { key: string; value: string }> };
    const encryption = await open([
      { resources: ["secrets"], providers: [cbc("k1"), { identity: {} }] },
      { resources: ["configmaps"], providers: [{ aesgcm: { keys: [{ name: "g1", secret: KEY_16 }] } }] },
      { resources: ["limitranges"], providers: [{ secretbox: { keys: [{ name: "s1", secret: KEY_32 }] } }] },
      { resources: ["podtemplates"], providers: [kmsProvider()] },
    ]);
    for (const { key, value } of Object.values(values)) {
      await put(base, key, Buffer.from(value, "base64"));
      const [kv] = (await encryption.store.range({ key })).kvs;
      const object = readBuiltInValue(kv!.value);
      expect(JSON.stringify(object)).toMatch(/from upstream|ZnJvbSB1cHN0cmVhbQ==/);
      expect(encryption.store.isStale(key)).toBe(false);
    }
    expect(kms.calls).toEqual(["Status", "Encrypt", "Decrypt"]);
  });
});

describe("the first provider writes, all read", () => {
  it.each([
    ["aescbc", cbc("a"), "k8s:enc:aescbc:v1:a:"],
    ["aesgcm", { aesgcm: { keys: [{ name: "b", secret: KEY_16 }] } }, "k8s:enc:aesgcm:v1:b:"],
    ["secretbox", { secretbox: { keys: [{ name: "c", secret: KEY_32 }] } }, "k8s:enc:secretbox:v1:c:"],
    ["identity", { identity: {} }, "plain"],
  ])("%s", async (_name, provider, prefix) => {
    const { store } = await open([{ resources: ["secrets"], providers: [provider, { identity: {} }] }]);
    await put(store, SECRET, "plain text");
    expect((await get(base, SECRET))!.startsWith(prefix)).toBe(true);
    expect(await get(store, SECRET)).toBe("plain text");
    await put(store, "/registry/configmaps/default/one", "plain text");
    expect(await get(base, "/registry/configmaps/default/one")).toBe("plain text");
  });

  it("kms, whose key changes when the KMS names another", async () => {
    const { store, healthChecks } = await open([{ resources: ["secrets"], providers: [kmsProvider()] }]);
    await put(store, SECRET, "plain text");
    expect((await get(base, SECRET))!.startsWith("k8s:enc:kms:v2:vault:")).toBe(true);
    expect(await get(store, SECRET)).toBe("plain text");
    expect(store.isStale(SECRET)).toBe(false);
    expect(healthChecks.map(({ name }) => name)).toEqual(["kms-providers"]);
    expect(await healthChecks[0]!.check()).toBeUndefined();
  });

  it("what another wrote is stale until it is written anew", async () => {
    await put(base, SECRET, "plain text");
    const { store } = await open([{ resources: ["secrets"], providers: [cbc("a"), { identity: {} }] }]);
    expect(await get(store, SECRET)).toBe("plain text");
    expect(store.isStale(SECRET)).toBe(true);
    await put(store, SECRET, "plain text");
    expect(await get(store, SECRET)).toBe("plain text");
    expect(store.isStale(SECRET)).toBe(false);
  });

  it("events come decrypted and in order, also when a key has to be asked for", async () => {
    const writer = await open([{ resources: ["secrets"], providers: [kmsProvider()] }]);
    const reader = await open([{ resources: ["secrets"], providers: [kmsProvider()] }]);
    const seen: string[] = [];
    let done = (): void => {};
    const all = new Promise<void>((resolve) => (done = resolve));
    using _watch = await reader.store.watch(
      { key: "/registry/", end: "/registry0" },
      {
        events(events) {
          for (const event of events) seen.push(event.type === "put" ? event.kv.value.toString() : event.type);
          if (seen.length === 4) done();
        },
        closed() {},
      },
    );
    await put(writer.store, SECRET, "one");
    await put(base, "/registry/configmaps/default/one", "two");
    await put(writer.store, SECRET, "three");
    await base.txn({ compare: [], success: [{ type: "delete", key: SECRET }] });
    await all;
    expect(seen).toEqual(["one", "two", "three", "delete"]);
  });
});

describe("what cannot be read", () => {
  it.each([
    ["another key of the same name", cbc("a", KEY_16), /^(invalid PKCS7 data|invalid padding)/],
    ["no such key", cbc("b"), /^no matching key was found for the provided AES transformer$/],
    ["no such provider", { identity: {} }, /^no matching prefix found$/],
  ])("is known with its reason: %s", async (_name, provider, message) => {
    const before = await open([{ resources: ["secrets"], providers: [cbc("a")] }]);
    // Long enough that no wrong key makes a proper padding by chance.
    const long = "plain text ".repeat(2);
    let after: Encryption;
    do {
      await put(before.store, SECRET, long);
      after = await open([{ resources: ["secrets"], providers: [provider] }]);
    } while ((await get(after.store, SECRET)) !== undefined);
    expect(after.store.failureOf(SECRET)).toMatch(message);
    expect(after.store.failureOf(SECRET)).not.toContain("plain");
    expect(after.store.failureWithin("/registry/secrets/", "/registry/secrets0")?.key).toBe(SECRET);
    expect(after.store.failureWithin("/registry/pods/", "/registry/pods0")).toBeUndefined();
  });

  it("becomes readable with a configuration that has the key, while the server runs", async () => {
    const before = await open([{ resources: ["secrets"], providers: [cbc("a")] }]);
    await put(before.store, SECRET, "plain text");
    const readable: string[] = [];
    const after = await open([{ resources: ["secrets"], providers: [cbc("b")] }], true, readable);
    expect(await get(after.store, SECRET)).toBeUndefined();
    writeFileSync(
      join(dir, "encryption.yaml"),
      configOf([{ resources: ["secrets"], providers: [cbc("b"), cbc("a")] }]),
    );
    await expect.poll(() => readable, { timeout: 20_000 }).toEqual([SECRET]);
    expect(await get(after.store, SECRET)).toBe("plain text");
    expect(after.store.isStale(SECRET)).toBe(true);
  });

  it("is an encrypted value at another key, where the cipher binds it", async () => {
    const { store } = await open([{ resources: ["*.*"], providers: [kmsProvider()] }]);
    await put(store, SECRET, "plain text");
    const value = Buffer.from((await get(base, SECRET))!, "latin1");
    await put(base, "/registry/secrets/default/two", value);
    expect(await get(store, "/registry/secrets/default/two")).toBeUndefined();
    expect(store.failureOf("/registry/secrets/default/two")).toBe("cipher: message authentication failed");
  });
});

describe("a KMS that is not well", () => {
  it("fails its health check with upstream's words, and writes; reads and writes go on when it is well again", async () => {
    kms.broken.add("Encrypt");
    const { store, healthChecks } = await open([{ resources: ["secrets"], providers: [kmsProvider()] }]);
    expect(await healthChecks[0]!.check()).toMatch(
      /^kms-provider-0: kmsv2 Provider vault is not healthy, error: failed to rotate DEK uid=.*errGen=failed to encrypt DEK, error: rpc error: code = FailedPrecondition desc = the vault is closed/,
    );
    await expect(put(store, SECRET, "plain text")).rejects.toMatchObject({ code: 500 });
    expect(await get(base, SECRET)).toBeUndefined();
  });

  it.each([
    [{ healthz: "sealed" }, "got unexpected healthz status: sealed"],
    [{ version: "v1" }, "expected KMSv2 API version v2, got v1"],
    [{ keyId: "" }, 'got invalid KMSv2 KeyID hash "": keyID is empty'],
  ])("%j", async (state, message) => {
    Object.assign(kms, state);
    const { healthChecks } = await open([{ resources: ["secrets"], providers: [kmsProvider()] }]);
    expect(await healthChecks[0]!.check()).toContain(message);
  });
});

describe("ciphers", () => {
  it("secretbox is NaCl's", () => {
    // The test vector of NaCl's own distribution (tests/secretbox.c).
    const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
    const key = hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    const nonce = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
    const sealed = hex(
      `f3ffc7703f9400e52a7dfb4b3d3305d9 8e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5`,
    );
    const plain = secretbox(key).open(Buffer.concat([nonce, sealed]), "");
    expect(plain.subarray(0, 16).toString("hex")).toBe("be075fc53c81f2d5cf141316ebeb0c7b");
    expect(plain.length).toBe(131);
  });

  it("damaged values fail and say nothing of their content", () => {
    const random = createSeededRandom(7);
    const secret = Buffer.from("0123456789abcdef0123456789abcdef");
    const ciphers = {
      aesCbc: aesCbc(secret),
      aesGcm: aesGcm(secret),
      seed: aesGcmFromSeed(secret),
      box: secretbox(secret),
    };
    const value = Buffer.from("the very secret content ".repeat(3));
    for (const [name, cipher] of Object.entries(ciphers)) {
      for (let i = 0; i < 300; i++) {
        const sealed = cipher.seal(value, "/registry/key");
        expect(cipher.open(sealed, "/registry/key").equals(value)).toBe(true);
        const at = Math.floor(random.next() * sealed.length);
        const cut = random.next() < 0.5 ? sealed.subarray(0, at) : Buffer.from(sealed);
        if (cut.length === sealed.length) cut[at]! ^= 1 + Math.floor(random.next() * 255);
        try {
          const opened = cipher.open(cut, "/registry/key");
          // CBC proves nothing: it may give something else.
          expect([name, opened.equals(value)]).toEqual(["aesCbc", false]);
        } catch (error) {
          expect((error as Error).message).not.toContain("secret content");
        }
      }
    }
  });
});

describe("configurations", () => {
  const keys = (...list: object[]): object => ({ aescbc: { keys: list } });
  const kmsOf = (more: object): object => ({ kms: { apiVersion: "v2", name: "v", endpoint: "unix:///k", ...more } });
  it.each<[string, readonly object[], string]>([
    ["no resources at all", [], "resources: Required value: at least one resources is required"],
    [
      "no kind of resource",
      [{ resources: [], providers: [{ identity: {} }] }],
      "resources[0].resources: Required value: at least one resources[0].resources is required",
    ],
    [
      "no provider",
      [{ resources: ["secrets"], providers: [] }],
      "resources[0].providers: Required value: at least one resources[0].providers is required",
    ],
    [
      "two providers in one",
      [{ resources: ["secrets"], providers: [{ identity: {}, ...keys({ name: "a", secret: KEY_32 }) }] }],
      "more than one provider specified in a single element, should split into different list elements",
    ],
    [
      "a key of a wrong length, which is not quoted",
      [{ resources: ["secrets"], providers: [keys({ name: "a", secret: "c2VjcmV0" })] }],
      'resources[0].providers[0].aescbc.keys[0].secret: Invalid value: "REDACTED": secret is not of the expected length, got 6, expected one of [16 24 32]',
    ],
    [
      "a key that is not base64",
      [{ resources: ["secrets"], providers: [keys({ name: "a", secret: "?" })] }],
      'resources[0].providers[0].aescbc.keys[0].secret: Invalid value: "REDACTED": secrets must be base64 encoded',
    ],
    [
      "a key without a name",
      [{ resources: ["secrets"], providers: [keys({ secret: KEY_32 })] }],
      "resources[0].providers[0].aescbc.keys[0].name: Required value: name is a mandatory field for a key",
    ],
    [
      "an endpoint that is no socket",
      [{ resources: ["secrets"], providers: [kmsOf({ endpoint: "tcp://x" })] }],
      'resources[0].providers[0].kms.endpoint: Invalid value: "tcp://x": unsupported scheme "tcp" for KMS provider, only unix is supported',
    ],
    [
      "a star alone",
      [{ resources: ["*"], providers: [{ identity: {} }] }],
      `resources[0].resources[0]: Invalid value: "*": use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources`,
    ],
    [
      "what masks another",
      [{ resources: ["secrets", "*."], providers: [{ identity: {} }] }],
      "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked",
    ],
    [
      "one twice",
      [{ resources: ["secrets", "secrets"], providers: [{ identity: {} }] }],
      "the same resource cannot be specified multiple times",
    ],
  ])("are refused with %s", async (_name, resources, message) => {
    await expect(readEncryptionConfig(configOf(resources), false)).rejects.toThrow(message);
  });

  it("that are masked by earlier ones are refused", async () => {
    const resources = [
      { resources: ["*."], providers: [{ identity: {} }] },
      { resources: ["secrets"], providers: [{ identity: {} }] },
    ];
    await expect(open(resources)).rejects.toThrow('resource "secrets" is masked by earlier rule "*."');
  });

  it("with KMS v1 are refused", async () => {
    const v1 = { kms: { apiVersion: "v1", name: "v", endpoint: "unix:///k" } };
    await expect(open([{ resources: ["secrets"], providers: [v1] }])).rejects.toThrow("KMSv1 is deprecated");
  });

  it("of any shape fail with a message, and never with their secrets", async () => {
    const random = createSeededRandom(3);
    const text = configOf([{ resources: ["secrets"], providers: [cbc("a"), kmsProvider(), { identity: {} }] }]);
    for (let i = 0; i < 2_000; i++) {
      const at = Math.floor(random.next() * text.length);
      const byte = String.fromCharCode(32 + Math.floor(random.next() * 95));
      const mutated = text.slice(0, at) + byte + text.slice(at + Math.floor(random.next() * 3));
      await readEncryptionConfig(mutated, false).catch((error: unknown) => {
        expect(error).toBeInstanceOf(Error);
        expect((error as Error).message).not.toContain(KEY_32.slice(0, 30));
      });
    }
  });
});

describe("keys of a KMS", () => {
  it("are not written with any longer when the KMS has been silent for 3 minutes", async () => {
    const clock = createFakeClock();
    const configFile = join(dir, "encryption.yaml");
    writeFileSync(configFile, configOf([{ resources: ["secrets"], providers: [kmsProvider()] }]));
    const { store } = cleanup.use(
      await openEncryption({ configFile, reloads: false, store: base, clock, logger: silentLogger, onReadable() {} }),
    );
    await put(store, SECRET, "plain text");
    kms.broken.add("Status");
    await clock.advance(3 * 60_000 + 1);
    await expect(put(store, SECRET, "plain text")).rejects.toThrow(/expired at .* \(current time is /);
    expect(await get(store, SECRET)).toBe("plain text");
  });
});
