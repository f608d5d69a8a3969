import type { JsonObject } from "@coracle/apimachinery";

/** `GROUP/VERSION` and kind of a message. */
export interface WireType {
  readonly apiVersion: string;
  readonly kind: string;
}

/** The protobuf form of API objects. Absent members of a server: it then speaks JSON and YAML only. */
export interface ProtobufCodec {
  /** Whether the kind has a protobuf form (custom resources have none). */
  supports(type: WireType): boolean;
  /** The message alone, without the envelope that names its type. */
  encodeMessage(object: JsonObject): Buffer;
  /** Message in its envelope (`k8s\0` and runtime.Unknown). */
  wrap(type: WireType, message: Buffer): Buffer;
  /** An enveloped list, of items that are encoded already, in pieces. */
  joinList(type: WireType, metadata: JsonObject, items: readonly Buffer[]): readonly Uint8Array[];
  /** Takes an enveloped object apart. Throws on malformed input. */
  decode(body: Buffer): JsonObject;
}

/** YAML, loaded only when someone asks for it. */
export interface YamlCodec {
  parse(text: string): Promise<unknown>;
  print(value: unknown): string;
}

/** The encodings beside JSON. */
export interface WireCodecs {
  readonly protobuf?: ProtobufCodec | undefined;
  yaml(): Promise<YamlCodec>;
}

/** Field number 1..15 with a length-delimited value. */
function lengthDelimited(field: number, value: Buffer): Buffer {
  const head = Buffer.allocUnsafe(11);
  let at = 0;
  head[at++] = (field << 3) | 2;
  let length = value.length;
  while (length > 0x7f) {
    head[at++] = (length & 0x7f) | 0x80;
    length >>>= 7;
  }
  head[at++] = length;
  return Buffer.concat([head.subarray(0, at), value]);
}

/** One event of a protobuf watch: length, then the WatchEvent with the enveloped object. */
export function protobufWatchFrame(type: string, enveloped: Buffer): Buffer {
  const event = Buffer.concat([
    lengthDelimited(1, Buffer.from(type)),
    lengthDelimited(2, lengthDelimited(1, enveloped)),
  ]);
  const head = Buffer.allocUnsafe(4);
  head.writeUInt32BE(event.length);
  return Buffer.concat([head, event]);
}
