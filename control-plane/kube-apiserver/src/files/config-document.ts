import { isObject } from "@coracle/apimachinery";
import { parseYamlOrJson } from "../outbound/client-identity.ts";

const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** `1h30m`, `10s`, `0`, `500ms` in milliseconds; undefined when it is no duration. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^([+-]?)(0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text);
  if (match === null) return undefined;
  let total = 0;
  for (const [, count, unit] of match[2]!.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    total += Number(count) * (UNITS_MS[unit!] ?? 0);
  }
  return match[1] === "-" ? -total : total;
}

/** `1m30s`: a duration as upstream prints it. */
export function printDuration(ms: number): string {
  const sign = ms < 0 ? "-" : "";
  const whole = Math.abs(ms);
  if (whole === 0) return "0s";
  if (whole < 1000) return `${sign}${whole}ms`;
  const [hours, minutes] = [Math.floor(whole / 3_600_000), Math.floor(whole / 60_000) % 60];
  const seconds = (whole % 60_000) / 1000;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`;
}

/** One object of a configuration file, read field by field. What nobody asked for is an error in the end. */
export class ConfigNode {
  readonly path: string;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #errors: string[];
  readonly #asked = new Set<string>();

  constructor(value: unknown, path: string, errors: string[]) {
    this.path = path;
    this.#errors = errors;
    if (!isObject(value)) errors.push(`${path === "" ? "the document" : path}: expected an object`);
    this.#fields = isObject(value) ? value : {};
  }

  #at(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }

  #take(name: string): unknown {
    this.#asked.add(name);
    const value = Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
    return value === null ? undefined : value;
  }

  #wrong(name: string, expected: string): undefined {
    this.#errors.push(`${this.#at(name)}: expected ${expected}`);
    return undefined;
  }

  optionalText(name: string): string | undefined {
    const value = this.#take(name);
    return value === undefined || typeof value === "string" ? value : this.#wrong(name, "a string");
  }

  text(name: string): string {
    return this.optionalText(name) ?? "";
  }

  flag(name: string): boolean | undefined {
    const value = this.#take(name);
    return value === undefined || typeof value === "boolean" ? value : this.#wrong(name, "true or false");
  }

  integer(name: string): number | undefined {
    const value = this.#take(name);
    return value === undefined || Number.isSafeInteger(value) ? (value as number) : this.#wrong(name, "an integer");
  }

  durationMs(name: string): number | undefined {
    const text = this.optionalText(name);
    return text === undefined ? undefined : (parseDurationMs(text) ?? this.#wrong(name, "a duration"));
  }

  node(name: string): ConfigNode | undefined {
    const value = this.#take(name);
    return value === undefined ? undefined : new ConfigNode(value, this.#at(name), this.#errors);
  }

  nodes(name: string): ConfigNode[] {
    const value = this.#take(name);
    if (value === undefined) return [];
    if (!Array.isArray(value)) return this.#wrong(name, "a list") ?? [];
    return value.map((item, i) => new ConfigNode(item, `${this.#at(name)}[${i}]`, this.#errors));
  }

  texts(name: string): string[] {
    const value = this.#take(name);
    if (value === undefined) return [];
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    return this.#wrong(name, "a list of strings") ?? [];
  }

  /** Says that no other field is known here. */
  close(): void {
    for (const name of Object.keys(this.#fields)) {
      if (!this.#asked.has(name)) this.#errors.push(`unknown field ${JSON.stringify(this.#at(name))}`);
    }
  }
}

/**
 * Reads a configuration file (YAML or JSON) of a kind of `apiserver.config.k8s.io`. Throws, naming all of them, for
 * fields that are not known or of the wrong type.
 */
export async function readConfigDocument<T>(
  content: string,
  kind: string,
  versions: readonly string[],
  read: (root: ConfigNode) => T,
): Promise<T> {
  const value = await parseYamlOrJson(content);
  if (!isObject(value)) throw new Error(`expected ${kind}, got something else`);
  const errors: string[] = [];
  const root = new ConfigNode(value, "", errors);
  const [apiVersion, foundKind] = [root.text("apiVersion"), root.text("kind")];
  if (foundKind === "") throw new Error("Object 'Kind' is missing");
  if (apiVersion === "") throw new Error("Object 'apiVersion' is missing");
  if (foundKind !== kind || !versions.some((version) => apiVersion === `apiserver.config.k8s.io/${version}`)) {
    throw new Error(`no kind ${JSON.stringify(foundKind)} is registered for version ${JSON.stringify(apiVersion)}`);
  }
  const result = read(root);
  root.close();
  if (errors.length > 0) throw new Error(`strict decoding error: ${errors.join(", ")}`);
  return result;
}
