import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { HeaderDecoder } from "./decoder.ts";
import { HeaderEncoder } from "./encoder.ts";
import { decodeHuffman, encodeHuffman, huffmanLength } from "./huffman.ts";
import { readInteger, writeInteger } from "./integer.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
const limits = { tableBytes: 4096, listBytes: 1 << 20, listFields: 2000 };
type Pairs = readonly (readonly [string, string])[];
const decode = (decoder: HeaderDecoder, bytes: Buffer): Pairs =>
  decoder.decode(bytes).fields.map(({ name, value }) => [name, value] as const);

function encode(encoder: HeaderEncoder, fields: Pairs): Buffer {
  encoder.begin();
  for (const [name, value] of fields) encoder.field(name, value);
  return Buffer.from(encoder.block.subarray(0, encoder.length));
}

describe("integers (RFC 7541, C.1)", () => {
  it.each([
    [10, 5, "0a"],
    [1337, 5, "1f9a0a"],
    [42, 8, "2a"],
  ])("%d with a prefix of %d bits is %s", (value, bits, bytes) => {
    const target = Buffer.alloc(8);
    const end = writeInteger(target, 0, 0, bits, value);
    expect(target.toString("hex", 0, end)).toBe(bytes);
    expect(readInteger({ bytes: hex(bytes), at: 0 }, bits)).toBe(value);
  });

  it.each(["1f", "1f80", "1fffffffff0f", "1f8080808001"])("%s is refused", (bytes) => {
    expect(() => readInteger({ bytes: hex(bytes), at: 0 }, 5)).toThrow(/a number is/);
  });
});

describe("Huffman code (RFC 7541, section 5.2)", () => {
  it.each([
    ["www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"],
    ["no-cache", "a8eb10649cbf"],
    ["custom-value", "25a849e95bb8e8b4bf"],
    ["Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"],
    [
      "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
      "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ],
  ])("%s", (text, bytes) => {
    expect(decodeHuffman(hex(bytes), 0, bytes.length / 2)).toBe(text);
    const target = Buffer.alloc(200);
    expect(target.toString("hex", 0, encodeHuffman(text, target, 0))).toBe(bytes);
    expect(huffmanLength(text)).toBe(bytes.length / 2);
  });

  it("brings back every octet, in any neighbourhood", () => {
    const random = createSeededRandom(7);
    for (let round = 0; round < 2000; round++) {
      const size = Math.floor(random.next() * 40);
      const text = String.fromCharCode(...Array.from({ length: size }, () => Math.floor(random.next() * 256)));
      const target = Buffer.alloc(size * 4 + 1);
      const end = encodeHuffman(text, target, 0);
      expect(end).toBe(huffmanLength(text));
      expect(decodeHuffman(target, 0, end)).toBe(text);
    }
  });

  it.each([
    ["padding that is not ones", "f1e3c2e5f23a6ba0ab90f4fe"],
    ["padding of a whole octet", "f1e3c2e5f23a6ba0ab90f4ffff"],
    ["the end itself", "ffffffff"],
    ["nothing but padding of a whole octet", "ff"],
  ])("%s is refused", (_, bytes) => {
    expect(() => decodeHuffman(hex(bytes), 0, bytes.length / 2)).toThrow(/string/);
  });
});

const REQUESTS: readonly (readonly [Pairs, plain: string, huffman: string])[] = [
  [
    [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
      [":authority", "www.example.com"],
    ],
    "828684410f7777772e6578616d706c652e636f6d",
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
  ],
  [
    [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
      [":authority", "www.example.com"],
      ["cache-control", "no-cache"],
    ],
    "828684be58086e6f2d6361636865",
    "828684be5886a8eb10649cbf",
  ],
  [
    [
      [":method", "GET"],
      [":scheme", "https"],
      [":path", "/index.html"],
      [":authority", "www.example.com"],
      ["custom-key", "custom-value"],
    ],
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
  ],
];
const DATE = ["date", "Mon, 21 Oct 2013 20:13:21 GMT"] as const;
const PLACE = ["location", "https://www.example.com"] as const;
const ANSWERS: readonly (readonly [Pairs, plain: string, huffman: string, tableBytes: number])[] = [
  [
    [[":status", "302"], ["cache-control", "private"], DATE, PLACE],
    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    222,
  ],
  [[[":status", "307"], ["cache-control", "private"], DATE, PLACE], "4803333037c1c0bf", "4883640effc1c0bf", 222],
  [
    [
      [":status", "200"],
      ["cache-control", "private"],
      ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
      PLACE,
      ["content-encoding", "gzip"],
      ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
    ],
    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    215,
  ],
];

describe("header blocks", () => {
  it.each([1, 2] as const)("the requests of RFC 7541, C.3 and C.4, are read in turn (%d)", (form) => {
    const decoder = new HeaderDecoder(limits);
    for (const request of REQUESTS) expect(decode(decoder, hex(request[form]))).toEqual(request[0]);
    expect(decoder.tableBytes).toBe(164);
  });

  it.each([1, 2] as const)("the answers of C.5 and C.6, with eviction (%d)", (form) => {
    const decoder = new HeaderDecoder({ ...limits, tableBytes: 256 });
    for (const answer of ANSWERS) {
      expect(decode(decoder, hex(answer[form]))).toEqual(answer[0]);
      expect(decoder.tableBytes).toBe(answer[3]);
    }
  });

  it.each([
    ["index 0", "80"],
    ["an index that nothing is at", "be"],
    ["a name that is not there", "7f80"],
    ["a value that is cut off", "400a637573746f6d"],
    ["a name without a value", "4001"],
    ["a table larger than was allowed (section 6.3)", "3fe21f"],
    ["a change of the table's size inside a block (section 4.2)", "8220"],
  ])("%s is an error of compression", (_, bytes) => {
    expect(() => decode(new HeaderDecoder(limits), hex(bytes))).toThrow(expect.objectContaining({ code: 9 }));
  });

  it("an entry larger than the table empties it, and is no error (section 4.4)", () => {
    const decoder = new HeaderDecoder({ ...limits, tableBytes: 60 });
    expect(decode(decoder, hex(REQUESTS[0]![1]))).toEqual(REQUESTS[0]![0]);
    expect(decode(decoder, Buffer.concat([hex("400130"), Buffer.from([40]), Buffer.alloc(40, 0x78)]))).toHaveLength(1);
    expect(decoder.tableBytes).toBe(0);
  });

  it("a list that is too long is read to its end and not kept", () => {
    const decoder = new HeaderDecoder({ tableBytes: 4096, listBytes: 1 << 20, listFields: 3 });
    const list = decoder.decode(hex("8286848282"));
    expect([list.fields.length, list.isTooLarge]).toEqual([3, true]);
    const small = new HeaderDecoder({ tableBytes: 4096, listBytes: 100, listFields: 100 });
    expect(small.decode(hex("828684")).isTooLarge).toBe(true);
  });
});

describe("the encoder", () => {
  const fields: Pairs = [
    [":status", "200"],
    ["content-type", "application/json"],
    ["audit-id", "7a4ce2a4-1111-4a3e-b9c5-35a2d1c0b1aa"],
    ["x-some-name", "some value"],
    ["content-length", "17"],
    ["set-cookie", "a=b"],
  ];

  it("writes what comes again as an index, and what changes each time as it is", () => {
    const encoder = new HeaderEncoder();
    const decoder = new HeaderDecoder(limits);
    const first = encode(encoder, fields);
    const second = encode(encoder, fields);
    expect(decode(decoder, first)).toEqual(fields);
    expect(decode(decoder, second)).toEqual(fields);
    expect(second.length).toBeLessThan(first.length - 25);
    expect(second.includes("7a4ce2a4-1111-4a3e-b9c5-35a2d1c0b1aa")).toBe(true);
    // Cookies are marked as never to be kept (section 6.2.3).
    expect(second.subarray(-6).toString("hex")).toBe("1f2803613d62");
  });

  it("tells the smallest and the last size of its table at the next block (section 4.2)", () => {
    const encoder = new HeaderEncoder();
    const decoder = new HeaderDecoder(limits);
    decode(decoder, encode(encoder, fields));
    encoder.setTableLimit(0);
    encoder.setTableLimit(100);
    const block = encode(encoder, fields);
    expect(block.toString("hex").startsWith("203f45")).toBe(true);
    expect(decode(decoder, block)).toEqual(fields);
    expect(decoder.tableBytes).toBeLessThanOrEqual(100);
    encoder.setTableLimit(1 << 20);
    expect(decode(decoder, encode(encoder, fields))).toEqual(fields);
  });

  it("leaves out fields of HTTP/1.1's connections, and writes names in lower case", () => {
    const list = [
      ["Connection", "close"],
      ["Transfer-Encoding", "chunked"],
      ["Content-Type", "text/plain"],
      ["X-Odd", "a\r\nb: c\0 é €"],
    ] as const;
    const [type, odd, ...rest] = decode(new HeaderDecoder(limits), encode(new HeaderEncoder(), list));
    expect(type).toEqual(["content-type", "text/plain"]);
    expect([odd![0], Buffer.from(odd![1], "latin1").toString("utf8"), rest]).toEqual(["x-odd", "a  b: c  é €", []]);
  });

  it("stays in step with a decoder over thousands of lists and changes of size", () => {
    const random = createSeededRandom(11);
    const pick = (count: number): number => Math.floor(random.next() * count);
    const encoder = new HeaderEncoder();
    const decoder = new HeaderDecoder(limits);
    for (let round = 0; round < 3000; round++) {
      if (pick(50) === 0) encoder.setTableLimit(pick(6000));
      const list = Array.from(
        { length: pick(12) },
        () => [`x-${pick(20)}`, "v".repeat(pick(60)) + String(pick(30))] as const,
      );
      expect(decode(decoder, encode(encoder, list))).toEqual(list);
    }
  });
});
