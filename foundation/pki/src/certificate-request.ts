import { createPublicKey, verify, type KeyObject } from "node:crypto";

/** What somebody asks to be certified (PKCS #10, RFC 2986), with a signature that was found to be theirs. */
export interface SigningRequest {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly uris: readonly string[];
  readonly publicKey: KeyObject;
}

interface Value {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly raw: Buffer;
}

const COMMON_NAME = "550403";
const ORGANIZATION = "55040a";
const EXTENSION_REQUEST = "2a864886f70d01090e";
const SUBJECT_ALT_NAME = "551d11";
/** Signature algorithms by the hexadecimal form of their identifier: the digest; null where the key says all. */
const DIGESTS: Readonly<Record<string, string | null>> = {
  "2a864886f70d01010b": "sha256",
  "2a864886f70d01010c": "sha384",
  "2a864886f70d01010d": "sha512",
  "2a8648ce3d040302": "sha256",
  "2a8648ce3d040303": "sha384",
  "2a8648ce3d040304": "sha512",
  "2b6570": null,
};

/** Reads a PEM request. Throws when it is malformed or not signed by its own key. */
export function parseSigningRequest(pem: string): SigningRequest {
  const body = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([\s\S]+?)-----END/.exec(pem)?.[1];
  if (body === undefined) throw new Error("PEM block type must be CERTIFICATE REQUEST");
  const [info, algorithm, signature] = membersOf(valueAt(Buffer.from(body, "base64"), 0));
  if (info === undefined || algorithm === undefined || signature === undefined) throw malformed();
  const [, subject, keyInfo, ...attributes] = membersOf(info);
  if (subject === undefined || keyInfo === undefined) throw malformed();
  const publicKey = createPublicKey({ key: keyInfo.raw, format: "der", type: "spki" });
  const digest = DIGESTS[membersOf(algorithm)[0]?.content.toString("hex") ?? ""];
  if (digest === undefined) throw new Error("unsupported signature algorithm");
  if (!verify(digest, info.raw, publicKey, signature.content.subarray(1)))
    throw new Error("the request's signature is not that of its key");

  const inSubject = (type: string): string[] =>
    membersOf(subject).flatMap((set) =>
      membersOf(set).flatMap((pair) => {
        const [kind, text] = membersOf(pair);
        return kind?.content.toString("hex") === type && text !== undefined ? [text.content.toString("utf8")] : [];
      }),
    );
  const names = alternativeNames(attributes.find((each) => each.tag === 0xa0));
  const texts = (tag: number): string[] =>
    names.filter((each) => each.tag === tag).map(({ content }) => content.toString("latin1"));
  return {
    commonName: inSubject(COMMON_NAME).at(-1) ?? "",
    organizations: inSubject(ORGANIZATION),
    emailAddresses: texts(0x81),
    dnsNames: texts(0x82),
    uris: texts(0x86),
    ipAddresses: names.filter((each) => each.tag === 0x87).map(({ content }) => addressText(content)),
    publicKey,
  };
}

const malformed = (): Error => new Error("malformed certificate request");

function valueAt(buffer: Buffer, at: number): Value {
  const first = buffer[at + 1];
  if (first === undefined) throw malformed();
  let start = at + 2;
  let size = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4 || start + count > buffer.length) throw malformed();
    size = buffer.readUIntBE(start, count);
    start += count;
  }
  if (start + size > buffer.length) throw malformed();
  return {
    tag: buffer[at] ?? 0,
    content: buffer.subarray(start, start + size),
    raw: buffer.subarray(at, start + size),
  };
}

function membersOf({ content }: Value): Value[] {
  const members: Value[] = [];
  for (let at = 0; at < content.length;) {
    const member = valueAt(content, at);
    members.push(member);
    at += member.raw.length;
  }
  return members;
}

/** The names of the extension that the request asks for. */
function alternativeNames(attributes: Value | undefined): Value[] {
  if (attributes === undefined) return [];
  for (const attribute of membersOf(attributes)) {
    const [type, values] = membersOf(attribute);
    if (type?.content.toString("hex") !== EXTENSION_REQUEST || values === undefined) continue;
    for (const extension of membersOf(values).flatMap(membersOf)) {
      const members = membersOf(extension);
      const value = members.at(-1);
      if (members[0]?.content.toString("hex") === SUBJECT_ALT_NAME && value !== undefined)
        return membersOf(valueAt(value.content, 0));
    }
  }
  return [];
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join(".");
  return Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(":");
}
