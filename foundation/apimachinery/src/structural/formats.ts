import { parseDuration } from "@coracle/api";
import { parseCidr, parseIp } from "../validation/addresses.ts";
import { compilePattern } from "./patterns.ts";

type Check = (text: string) => boolean;

/** What a string format asks, under the format's name without dashes; undefined for formats that ask nothing. */
export function formatCheck(format: string): Check | undefined {
  return CHECKS[format.replaceAll("-", "")];
}

/** Whether the API server knows the format: others are ignored, with a warning when the CRD is written. */
export const isKnownFormat = (format: string): boolean => Object.hasOwn(CHECKS, format.replaceAll("-", ""));

const matches =
  (pattern: RegExp): Check =>
  (text) =>
    pattern.test(text);

const HOSTNAME =
  "^([a-zA-Z0-9\\p{S}\\p{L}]((-?[a-zA-Z0-9\\p{S}\\p{L}]{0,62})?)|([a-zA-Z0-9\\p{S}\\p{L}](([a-zA-Z0-9-\\p{S}\\p{L}]{0,61}[a-zA-Z0-9\\p{S}\\p{L}])?)(\\.)){1,}([a-zA-Z\\p{L}]){2,63})$";
const byteLength = (text: string): number => Buffer.byteLength(text);

function isHostname(text: string): boolean {
  // What is too long cannot match in a useful time either.
  if (byteLength(text) > 255) return false;
  return compilePattern(HOSTNAME)(text) && text.split(".").every((label) => byteLength(label) <= 63);
}

/** A date of the calendar. */
function isDate(text: string): boolean {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  if (match === null) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (month < 1 || month > 12 || day < 1) return false;
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return day <= (month === 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31);
}

function isDateTime(text: string): boolean {
  if (text.length < 4) return false;
  const [date = "", time = ""] = text.toLowerCase().split("t");
  if (!isDate(date)) return false;
  const match = /^(\d\d):(\d\d):(\d\d)(.\d+)?(z|[+-]\d\d:\d\d)$/.exec(time);
  return match !== null && Number(match[1]) <= 23 && Number(match[2]) <= 59 && Number(match[3]) <= 59;
}

const UNITS: readonly (readonly string[])[] = [
  ["ns", "nano"],
  ["us", "µs", "micro"],
  ["ms", "milli"],
  ["s", "sec"],
  ["m", "min"],
  ["h", "hr", "hour"],
  ["d", "day"],
  ["w", "wk", "week"],
];

/** Go's durations, and words: `3 days`. */
function isDuration(text: string): boolean {
  if (parseDuration(text) !== undefined) return true;
  let isFound = false;
  for (const match of text.matchAll(/((\d+)\s*([A-Za-zµ]+))/g)) {
    const unit = (match[3] ?? "").toLowerCase();
    if (Number(match[2]) > Number.MAX_SAFE_INTEGER) return false;
    isFound ||= UNITS.some((names) => names.includes(unit) || unit.startsWith(names.at(-1) as string));
  }
  return isFound;
}

/** The octets, decimal with leading zeros allowed. */
function withoutLeadingZeros(text: string): string {
  return text.replace(/(?<![0-9a-fA-F:])0+(?=\d+(?:\.|$|\/))|(?<=\.)0+(?=\d)/g, "");
}

const isIpv4: Check = (text) => text.includes(".") && parseIp(withoutLeadingZeros(text)) !== undefined;
const isIpv6: Check = (text) => text.includes(":") && !text.includes("%") && parseIp(text) !== undefined;

const MAC =
  /^(?:[0-9a-f]{2}(?:([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}(?:(?:\1[0-9a-f]{2}){2}|(?:\1[0-9a-f]{2}){14})?)|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?:\.[0-9a-f]{4}|(?:\.[0-9a-f]{4}){7})?)$/i;

function isIsbn10(text: string): boolean {
  const digits = text.replaceAll(/[\s-]+/g, "");
  if (!/^(?:\d{9}X|\d{10})$/.test(digits)) return false;
  const sum = Array.from(digits).reduce((total, digit, i) => total + (i + 1) * (digit === "X" ? 10 : Number(digit)), 0);
  return sum % 11 === 0;
}

function isIsbn13(text: string): boolean {
  const digits = text.replaceAll(/[\s-]+/g, "");
  if (!/^\d{13}$/.test(digits)) return false;
  const sum = Array.from(digits).reduce((total, digit, i) => total + (i % 2 === 0 ? 1 : 3) * Number(digit), 0);
  return sum % 10 === 0;
}

const CARD =
  /^(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11})$/;

function isCreditCard(text: string): boolean {
  const digits = text.replaceAll(/[^0-9]+/g, "");
  if (!CARD.test(digits)) return false;
  const sum = Array.from(digits)
    .reverse()
    .reduce((total, digit, i) => {
      const value = Number(digit) * (i % 2 === 0 ? 1 : 2);
      return total + (value >= 10 ? (value % 10) + 1 : value);
    }, 0);
  return sum % 10 === 0;
}

const hasControl = (text: string): boolean => /\p{Cc}/u.test(text);

/** An absolute URI or path, as HTTP requests name their target. */
function isRequestUri(text: string): boolean {
  if (text === "" || hasControl(text) || /%(?![0-9a-fA-F]{2})/.test(text.split("?")[0] as string)) return false;
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(text);
  const rest = scheme === null ? text : text.slice(scheme[0].length);
  if (scheme === null && !text.startsWith("/")) return false;
  if (!rest.startsWith("/")) return scheme !== null;
  if (!rest.startsWith("//") || (scheme === null && rest.startsWith("///"))) return true;
  const authority = (/^\/\/([^/?]*)/.exec(rest)?.[1] ?? "").replace(/^[^@]*@/, "");
  const port = authority.slice(authority.startsWith("[") ? authority.indexOf("]") + 1 : authority.lastIndexOf(":"));
  const host = authority.startsWith("[") ? "" : authority;
  if (authority.startsWith("[") && !/^\[[0-9a-fA-F:.%A-Za-z]+\]/.test(authority)) return false;
  return !/[[\]\s<>"`{}|\\^]/.test(host) && (!authority.includes(":") || /^(?::\d*)?$/.test(port));
}

/** `a@b.c`, `Name <a@b.c>`. */
function isEmail(text: string): boolean {
  const trimmed = text.trim();
  const angled = /^(?:"(?:[^"\\]|\\.)*"|[^<>@,;:\\"[\]]*)\s*<([^<>]+)>$/.exec(trimmed);
  const address = angled === null ? trimmed : (angled[1] as string);
  const at = address.lastIndexOf("@");
  if (at <= 0 || at === address.length - 1) return false;
  const local = address.slice(0, at);
  const domain = address.slice(at + 1);
  const isAtom = /^[^\s()<>[\]:;@\\,."]+(?:\.[^\s()<>[\]:;@\\,."]+)*$/;
  const isQuoted = /^"(?:[^"\\]|\\.)+"$/;
  if (hasControl(address)) return false;
  return (isAtom.test(local) || isQuoted.test(local)) && (isAtom.test(domain) || /^\[[^\]]*\]$/.test(domain));
}

const LABEL = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";

const CHECKS: Readonly<Record<string, Check | undefined>> = {
  bsonobjectid: matches(/^[0-9a-fA-F]{24}$/),
  uri: isRequestUri,
  email: isEmail,
  hostname: isHostname,
  ipv4: isIpv4,
  ipv6: isIpv6,
  cidr: (text) => parseCidr(withoutLeadingZeros(text)) !== undefined,
  mac: matches(MAC),
  uuid: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid3: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid4: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  uuid5: matches(/^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  isbn: (text) => isIsbn10(text) || isIsbn13(text),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  creditcard: isCreditCard,
  ssn: (text) => text.length === 11 && /^\d{3}[- ]?\d{2}[- ]?\d{4}$/.test(text),
  hexcolor: matches(/^#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  rgbcolor: matches(
    /^rgb\(\s*(?:0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(?:0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(?:0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$/,
  ),
  byte: (text) => text !== "" && text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text),
  password: () => true,
  date: isDate,
  duration: isDuration,
  datetime: isDateTime,
  k8sshortname: (text) => text.length <= 63 && new RegExp(`^${LABEL}$`).test(text),
  k8slongname: (text) => text.length <= 253 && new RegExp(`^${LABEL}(?:\\.${LABEL})*$`).test(text),
};
