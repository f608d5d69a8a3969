/** Objects of a kind are much alike: what one shares with the template takes no memory of its own. */
interface Template {
  readonly json: Buffer;
  /** Hash of four bytes → one more than where they are in the template. */
  readonly places: Uint16Array;
}

/** The JSON of an object, as what is other in it than in a template. */
export interface PackedJson {
  readonly template: Buffer;
  /**
   * One char for each byte: length of the JSON, then in turn how many bytes are its own, those bytes, how many are the
   * template's, and from where. Numbers have seven bits in a char, lowest first, and a high bit where more follow.
   */
  readonly text: string;
}

const HASH_BITS = 12;
/** Places have 16 bits. */
const MAX_TEMPLATE_BYTES = 65_535;
/** Larger ones are few, and not alike. */
const MAX_JSON_BYTES = 65_536;
/** A shorter match costs more than it saves. */
const MIN_MATCH = 8;
/** Bytes that are compared at once. */
const CHUNK = 192;
/** So many are packed with a template, however badly, before another takes its place. */
const TRIES = 256;
/** Kinds that are remembered. */
const MAX_KINDS = 512;

/** What objects of one kind are compared to. */
class Packer {
  #template: Template;
  #uses = 0;

  constructor(json: Buffer) {
    this.#template = createTemplate(json);
  }

  /** Undefined: there is not enough to gain. */
  pack(json: Buffer): PackedJson | undefined {
    const template = this.#template;
    const bytes = difference(json, template);
    this.#uses += 1;
    if (this.#uses > TRIES && bytes * 2 > json.length) {
      this.#template = createTemplate(json);
      this.#uses = 0;
    }
    return bytes * 5 > json.length * 4
      ? undefined
      : { template: template.json, text: scratch.toString("latin1", 0, bytes) };
  }
}

const packers = new Map<string, Packer>();
/** Holds any difference: one that grows longer than its JSON is given up. */
const scratch = Buffer.allocUnsafeSlow(MAX_JSON_BYTES + 64);

/** Packs JSON of a kind; undefined when it is not like the others. */
export function packJson(kind: string, json: Buffer): PackedJson | undefined {
  if (json.length > MAX_JSON_BYTES) return undefined;
  const packer = packers.get(kind);
  if (packer !== undefined) return packer.pack(json);
  if (packers.size >= MAX_KINDS) packers.clear();
  const first = new Packer(json);
  packers.set(kind, first);
  return first.pack(json);
}

/** The bytes that were packed. */
export function unpackJson({ template, text }: PackedJson): Buffer {
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const code = text.charCodeAt(at++);
      value |= (code & 0x7f) << shift;
      if (code < 0x80) return value;
    }
  };
  const json = Buffer.allocUnsafeSlow(next());
  for (let to = 0; to < json.length;) {
    for (let own = next(); own > 0; own--) json[to++] = text.charCodeAt(at++);
    const shared = next();
    if (shared === 0) continue;
    const from = next();
    template.copy(json, to, from, from + shared);
    to += shared;
  }
  return json;
}

function hashOf(word: number): number {
  return Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
}

const wordAt = (bytes: Buffer, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

function createTemplate(source: Buffer): Template {
  // A copy: the source may be a part of something larger.
  const json = Buffer.allocUnsafeSlow(Math.min(source.length, MAX_TEMPLATE_BYTES));
  source.copy(json);
  const places = new Uint16Array(1 << HASH_BITS);
  for (let at = json.length - 4; at >= 0; at--) places[hashOf(wordAt(json, at))] = at + 1;
  return { json, places };
}

/** Writes the difference to `scratch`; answers its length. */
function difference(json: Buffer, { json: template, places }: Template): number {
  const end = json.length;
  const limit = template.length;
  let out = writeNumber(0, end);
  /** Where what is not written yet begins. */
  let own = 0;
  /** Where the template goes on if the bytes since the last match replace as many of its own. */
  let aligned = 0;
  let at = 0;
  while (at + 4 <= end) {
    const word = wordAt(json, at);
    let from = aligned + at - own;
    if (from + 4 > limit || wordAt(template, from) !== word) {
      from = (places[hashOf(word)] as number) - 1;
      if (from < 0 || wordAt(template, from) !== word) {
        at += 1;
        continue;
      }
    }
    const length = matchLength(json, at, template, from);
    if (length < MIN_MATCH) {
      at += 1;
      continue;
    }
    out = writeOwn(out, json, own, at);
    out = writeNumber(out, length);
    out = writeNumber(out, from);
    if (out > end) return end;
    at += length;
    own = at;
    aligned = from + length;
  }
  if (own === end) return out;
  if (out + end - own > end) return end;
  out = writeOwn(out, json, own, end);
  return writeNumber(out, 0);
}

/** How many bytes are the same; four are known to be. */
function matchLength(json: Buffer, at: number, template: Buffer, from: number): number {
  const limit = Math.min(json.length - at, template.length - from);
  let length = 4;
  for (let to = length + CHUNK; to <= limit; to += CHUNK) {
    if (json.compare(template, from + length, from + to, at + length, at + to) !== 0) break;
    length = to;
  }
  while (length < limit && json[at + length] === template[from + length]) length += 1;
  return length;
}

function writeOwn(out: number, json: Buffer, from: number, to: number): number {
  const start = writeNumber(out, to - from);
  json.copy(scratch, start, from, to);
  return start + to - from;
}

function writeNumber(out: number, value: number): number {
  let rest = value;
  let at = out;
  for (; rest >= 0x80; rest >>>= 7) scratch[at++] = (rest & 0x7f) | 0x80;
  scratch[at++] = rest;
  return at;
}
