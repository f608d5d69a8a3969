import { connect, type ClientHttp2Session } from "node:http2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAccessServer, type AccessServer } from "../access-fixture.ts";

let server: AccessServer;
let session: ClientHttp2Session;

beforeAll(async () => {
  server = await startAccessServer(() => ({ tokens: `t,admin,u1,"system:masters"\n` }));
  session = connect(`https://127.0.0.1:${server.server.port}`, { ca: server.pki.ca.cert });
});
afterAll(async () => {
  session.destroy();
  await server[Symbol.asyncDispose]();
});

interface Answer {
  readonly code: number;
  readonly text: string;
}

function send(method: string, path: string, type: string, body: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": method,
      ":path": path,
      authorization: "Bearer t",
      "content-type": type,
    });
    let code = 0;
    const parts: Buffer[] = [];
    stream.on("response", (head) => (code = head[":status"] ?? 0));
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => resolve({ code, text: Buffer.concat(parts).toString("utf8") }));
    stream.on("error", reject);
    if (method === "GET") stream.end();
    else stream.end(body);
  });
}

const MAPS = "/api/v1/namespaces/default/configmaps";
const apply = (body: string | Buffer): Promise<Answer> =>
  send("PATCH", `${MAPS}/applied?fieldManager=m&dryRun=All`, "application/apply-patch+yaml", body);
const post = (type: string, body: string | Buffer): Promise<Answer> => send("POST", `${MAPS}?dryRun=All`, type, body);

const DEEP = 990;
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
const NAMED = '"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"applied"}';

describe("bodies made to break the server", () => {
  it.each([
    ["braces that are no JSON, with a quote that stays open", '{a: b"}'],
    ["a text that stays open", `{${NAMED},"data":{"a":"b`],
    ["a text that ends with an escape", `{${NAMED},"data":{"a":"\\`],
    ["a name twice, and no JSON", `{${NAMED}, data: {a: "b", a: "c", d: e"f}}`],
    ["escapes that only YAML has", String.raw`{${NAMED},"data":{"a":"\e\x41\N"}}`],
    ["escapes that nothing has", String.raw`{${NAMED},"data":{"a":"\q"}}`],
    ["half a character", String.raw`{${NAMED},"data":{"a":"\ud800"}}`],
    ["members deep in each other", `{${NAMED},"unheardOf":${nested(DEEP)}}`],
    ["members too deep in each other", `{${NAMED},"data":${nested(2 * DEEP)}}`],
    ["lists deep in each other", `data: ${"- ".repeat(DEEP)}a`],
    ["an anchor that holds itself", "a: &x [*x]"],
    [
      "references to references",
      ["a0: &a0 [x]", ...Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i},*a${i}]`)].join("\n"),
    ],
    ["a tag of a programming language", "!!python/object/apply:os.system [ls]"],
    ["binary that is none", "data: !!binary x"],
    ["a directive", "%YAML 9.9\n---\na: 1"],
    ["nothing", ""],
    ["a null", "null"],
    ["bytes that are no text", "\u0000\u0001"],
  ])("applied: %s", async (_name, body) => {
    const { code, text } = await apply(body);
    // Upstream's own word for what its schema does not have.
    if (text.includes("failed to create typed patch object")) return;
    expect([200, 201, 400, 415, 422], text.slice(0, 200)).toContain(code);
  });

  it.each<[why: string, body: string | Buffer]>([
    [
      "invalid leading UTF-8 octet",
      Buffer.concat([Buffer.from(`{${NAMED},"data":{"a`), Buffer.from([0xff]), Buffer.from('":"b"}}')]),
    ],
    ["control characters are not allowed", `{${NAMED},"data":{"a\u007f":"b"}}`],
    ["found invalid Unicode character escape code", String.raw`{${NAMED},"data":{"a":"\ud800"}}`],
  ])("applied: %s", async (why, body) => {
    const { code, text } = await apply(body);
    expect(code).toBe(400);
    expect(text).toContain(`error decoding YAML: error converting YAML to JSON: yaml: ${why}`);
  });

  it("an escape of YAML in an applied body means what YAML says", async () => {
    const { code, text } = await apply(String.raw`{${NAMED},"data":{"a":"\x41\u00e9"}}`);
    expect(code).toBe(201);
    expect(JSON.parse(text)).toMatchObject({ data: { a: "Aé" } });
  });

  it.each([
    ["JSON", "application/json", `{${NAMED},"data":${nested(DEEP)}}`],
    ["JSON in what is unknown", "application/json", `{${NAMED},"unheardOf":${nested(DEEP)}}`],
    ["YAML", "application/yaml", `data: ${"- ".repeat(DEEP)}a`],
    [
      "protobuf of groups in groups",
      "application/vnd.kubernetes.protobuf",
      Buffer.concat([Buffer.from("k8s\0"), Buffer.alloc(100_000, 0x0b)]),
    ],
    [
      "protobuf with a length past its end",
      "application/vnd.kubernetes.protobuf",
      Buffer.from("6b38730012ffffffff0f0a", "hex"),
    ],
    [
      "protobuf with a length of 2^64",
      "application/vnd.kubernetes.protobuf",
      Buffer.from("6b38730012ffffffffffffffffff01", "hex"),
    ],
    ["an indefinite map of CBOR", "application/cbor", Buffer.from("d9d9f7bf", "hex")],
    ["deep CBOR", "application/cbor", Buffer.concat([Buffer.from("d9d9f7", "hex"), Buffer.alloc(100_000, 0x81)])],
    ["CBOR with a length of 2^64", "application/cbor", Buffer.from("d9d9f79bffffffffffffffff", "hex")],
  ])("posted: %s", async (_name, type, body) => {
    const { code, text } = await post(type, body);
    expect([200, 201, 400, 415, 422], text.slice(0, 200)).toContain(code);
  });

  // One after the other, these kept a server busy for minutes; the others wait no longer than for a body of JSON.
  it.each([
    ["members", Array.from({ length: 150_000 }, (_, i) => `key-${i}: value`).join("\n")],
    ["the same member", "a: 1\n".repeat(600_000)],
    ["anchors", "- &a x\n".repeat(400_000)],
    ["merges", `a: &a {x: 1}\n${"<<: *a\n".repeat(400_000)}`],
    ["tags", "- !!str x\n".repeat(300_000)],
    ["open brackets", "[".repeat(3_000_000)],
    ["documents", "---\n".repeat(700_000)],
  ])(
    "3 MB of YAML with nothing but %s are refused in time",
    async (_name, body) => {
      const { code } = await post("application/yaml", body);
      expect([400, 422]).toContain(code);
    },
    60_000,
  );

  it("is there afterwards", async () => {
    expect((await send("GET", "/readyz", "application/json", "")).code).toBe(200);
  });
});
