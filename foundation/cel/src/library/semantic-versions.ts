import type { FunctionDeclaration } from "../check/environment.ts";
import { BOOL, INT, STRING, objectType } from "../types/cel-type.ts";
import { CelError, CelOpaque, normalInt, UINT_MAX, type CelValue } from "../values/value.ts";
import { define, member, overload } from "./define.ts";

const SEMVER = objectType("kubernetes.Semver");

interface Version {
  readonly numbers: readonly [bigint, bigint, bigint];
  readonly prerelease: readonly (bigint | string)[];
}

class VersionValue extends CelOpaque {
  readonly type = SEMVER;
  readonly version: Version;
  constructor(version: Version) {
    super();
    this.version = version;
  }
  equals(other: CelOpaque): boolean {
    return other instanceof VersionValue && compare(this.version, other.version) === 0;
  }
}

const WORDS = ["Major", "Minor", "Patch"];

/** The version of a text, or why it has none. */
function parse(text: string): Version | string {
  if (text === "") return "Version string empty";
  const parts = splitIntoThree(text);
  if (parts.length !== 3) return "No Major.Minor.Patch elements found";
  const plus = parts[2]!.indexOf("+");
  const build = plus === -1 ? undefined : parts[2]!.slice(plus + 1).split(".");
  let patch = plus === -1 ? parts[2]! : parts[2]!.slice(0, plus);
  const dash = patch.indexOf("-");
  const prerelease = dash === -1 ? [] : patch.slice(dash + 1).split(".");
  if (dash !== -1) patch = patch.slice(0, dash);
  const numbers: bigint[] = [];
  for (const [index, number] of [parts[0]!, parts[1]!, patch].entries()) {
    const word = WORDS[index]!;
    {
      if (!/^[0-9]*$/.test(number))
        return `Invalid character(s) found in ${word.toLowerCase()} number ${JSON.stringify(number)}`;
      if (number.length > 1 && number.startsWith("0"))
        return `${word} number must not contain leading zeroes ${JSON.stringify(number)}`;
      if (number === "" || BigInt(number) > UINT_MAX)
        return `strconv.ParseUint: parsing ${JSON.stringify(number)}: ${number === "" ? "invalid syntax" : "value out of range"}`;
    }
    numbers.push(BigInt(number));
  }
  const identifiers: (bigint | string)[] = [];
  for (const identifier of prerelease) {
    if (identifier === "") return "Prerelease is empty";
    if (/^[0-9]+$/.test(identifier)) {
      if (identifier.length > 1 && identifier.startsWith("0")) {
        return `Numeric PreRelease version must not contain leading zeroes ${JSON.stringify(identifier)}`;
      }
      identifiers.push(BigInt(identifier));
    } else if (/^[0-9A-Za-z-]+$/.test(identifier)) identifiers.push(identifier);
    else return `Invalid character(s) found in prerelease ${JSON.stringify(identifier)}`;
  }
  for (const identifier of build ?? []) {
    if (identifier === "") return "Build meta data is empty";
    if (!/^[0-9A-Za-z-]+$/.test(identifier))
      return `Invalid character(s) found in build meta data ${JSON.stringify(identifier)}`;
  }
  return { numbers: numbers as [bigint, bigint, bigint], prerelease: identifiers };
}

function splitIntoThree(text: string): string[] {
  const first = text.indexOf(".");
  const second = first === -1 ? -1 : text.indexOf(".", first + 1);
  if (second === -1) return first === -1 ? [text] : [text.slice(0, first), text.slice(first + 1)];
  return [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)];
}

/** The version of `v1.02` and the like, as people write them. */
function parseNormalized(text: string): Version | string {
  const parts = splitIntoThree(text.replace(/^v/, "")).map((part) => {
    if (part.length <= 1) return part;
    const trimmed = part.replace(/^0+/, "");
    return /^[0-9]/.test(trimmed) ? trimmed : `0${trimmed}`;
  });
  if (parts.length < 3) {
    if (/[+-]/.test(parts.at(-1)!)) return "short version cannot contain PreRelease/Build meta data";
    while (parts.length < 3) parts.push("0");
  }
  return parse(parts.join("."));
}

function compare(a: Version, b: Version): number {
  for (const [index, number] of a.numbers.entries()) {
    const other = b.numbers[index]!;
    if (number !== other) return number > other ? 1 : -1;
  }
  if (a.prerelease.length === 0 || b.prerelease.length === 0) {
    return Math.sign(b.prerelease.length - a.prerelease.length);
  }
  for (const [index, identifier] of a.prerelease.entries()) {
    const other = b.prerelease[index];
    if (other === undefined) return 1;
    if (identifier === other) continue;
    if (typeof identifier === typeof other) return identifier > other ? 1 : -1;
    return typeof identifier === "bigint" ? -1 : 1;
  }
  return a.prerelease.length === b.prerelease.length ? 0 : -1;
}

function read([text, normalize = false]: readonly CelValue[]): Version | string {
  return normalize === true ? parseNormalized(text as string) : parse(text as string);
}

function toVersion(args: readonly CelValue[]): CelValue {
  const version = read(args);
  return typeof version === "string" ? new CelError(version) : new VersionValue(version);
}

function isVersion(args: readonly CelValue[]): CelValue {
  return typeof read(args) !== "string";
}

function of(value: CelValue | undefined): Version {
  return (value as VersionValue).version;
}

/** The functions of semantic versions. */
export const SEMANTIC_VERSIONS: readonly FunctionDeclaration[] = [
  define(
    "semver",
    overload("string_to_semver", [STRING], SEMVER, toVersion),
    overload("string_bool_to_semver", [STRING, BOOL], SEMVER, toVersion),
  ),
  define(
    "isSemver",
    overload("is_semver_string", [STRING], BOOL, isVersion),
    overload("is_semver_string_bool", [STRING, BOOL], BOOL, isVersion),
  ),
  define(
    "isGreaterThan",
    member("semver_is_greater_than", [SEMVER, SEMVER], BOOL, ([a, b]) => compare(of(a), of(b)) > 0),
  ),
  define(
    "isLessThan",
    member("semver_is_less_than", [SEMVER, SEMVER], BOOL, ([a, b]) => compare(of(a), of(b)) < 0),
  ),
  define(
    "compareTo",
    member("semver_compare_to", [SEMVER, SEMVER], INT, ([a, b]) => compare(of(a), of(b))),
  ),
  ...["major", "minor", "patch"].map((name, index) =>
    define(
      name,
      member(`semver_${name}`, [SEMVER], INT, ([value]) => normalInt(BigInt.asIntN(64, of(value).numbers[index]!))),
    ),
  ),
];
