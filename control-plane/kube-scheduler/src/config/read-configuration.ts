import { readFile } from "node:fs/promises";
import { parseYamlDocument, writeYaml, yamlDuplicates } from "@coracle/api";
import { isObject, type FieldError } from "@coracle/apimachinery";
import type { DeviceFeatures } from "../devices/device-features.ts";
import type { SchedulerConfiguration } from "./configuration.ts";
import { CONFIG_VERSION } from "./configuration.ts";
import { withDefaults, type WrittenConfiguration } from "./defaults.ts";
import { ARGS_SHAPES, CONFIGURATION_SHAPE } from "./shapes.ts";
import { checkShape, kindOf } from "./strict-decoding.ts";
import { validateConfiguration } from "./validation.ts";

const KIND = "KubeSchedulerConfiguration";

/** What the scheduler does when nothing is configured. */
export const defaultConfiguration = (): SchedulerConfiguration => withDefaults({});

/** Reads what a file says. Throws an Error that says what is wrong with its form, as upstream does. */
export async function readWritten(file: string): Promise<WrittenConfiguration> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file or directory" : String(error);
    throw new Error(`open ${file}: ${why}`, { cause: error });
  }
  return await parseWritten(text);
}

/** Reads a KubeSchedulerConfiguration v1, YAML or JSON, and checks it. */
export const parseConfiguration = async (text: string): Promise<SchedulerConfiguration> =>
  completed(await parseWritten(text));

async function parseWritten(text: string): Promise<WrittenConfiguration> {
  const value = await parseYamlDocument(text);
  const missing = (what: string): Error => new Error(`Object '${what}' is missing in '${text}'`);
  if (!isObject(value)) throw missing("Kind");
  for (const name of ["apiVersion", "kind"] as const)
    if (value[name] !== undefined && typeof value[name] !== "string")
      throw new Error(
        `couldn't get version/kind; json parse error: json: cannot unmarshal ${kindOf(value[name])} into Go struct field .${name} of type string`,
      );
  if ((value.kind ?? "") === "") throw missing("Kind");
  if ((value.apiVersion ?? "") === "") throw missing("apiVersion");
  if (value.apiVersion !== CONFIG_VERSION || value.kind !== KIND)
    throw new Error(notRegistered(value.kind, value.apiVersion));
  const repeated = await yamlDuplicates(text);
  if (repeated !== undefined) throw new Error(`strict decoding error: ${repeated}`);
  const unknown: string[] = [];
  checkShape(value, CONFIGURATION_SHAPE, unknown);
  const problems = unknownFields(unknown);
  const written = withoutNulls(value) as WrittenConfiguration;
  for (const [i, profile] of (written.profiles ?? []).entries())
    for (const [j, { name = "", args }] of (profile.pluginConfig ?? []).entries())
      problems.push(...problemsOfArgs(name, args, `decoding .profiles[${i}].pluginConfig[${j}]: `));
  if (problems.length > 0) throw new Error(`${STRICT}${problems.join(", ")}`);
  return written;
}

/** With all that was not written. Throws an Error that says what is wrong with it. */
export function completed(written: WrittenConfiguration, features?: DeviceFeatures): SchedulerConfiguration {
  const config = withDefaults(written, features);
  const errors = validateConfiguration(config, features);
  if (errors.length > 0) throw new Error(errorText(errors));
  return config;
}

const STRICT = "strict decoding error: ";
const notRegistered = (kind: unknown, version: unknown): string =>
  `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(version)} in scheme "pkg/runtime/scheme.go:111"`;
const unknownFields = (paths: readonly string[]): string[] =>
  paths.map((path) => `unknown field ${JSON.stringify(path)}`);

/** Fields of arguments that nobody knows. Throws, after `where`, what is wrong with arguments otherwise. */
function problemsOfArgs(name: string, args: unknown, where: string): string[] {
  const own = `${name}Args`;
  if (ARGS_SHAPES[own] === undefined || args === undefined) return [];
  const decoding = `decoding args for plugin ${name}: `;
  const refuse = (why: string): never => {
    throw new Error(`${where}${why}`);
  };
  if (!isObject(args))
    return refuse(
      `${decoding}couldn't get version/kind; json parse error: json: cannot unmarshal ${kindOf(args)} into Go value of type ${TYPE_META}`,
    );
  const { apiVersion = CONFIG_VERSION, kind = own } = args;
  const shape = ARGS_SHAPES[String(kind)];
  if (shape === undefined || apiVersion !== CONFIG_VERSION)
    return refuse(`${decoding}${notRegistered(kind, apiVersion)}`);
  const unknown: string[] = [];
  try {
    checkShape(args, shape, unknown);
  } catch (error) {
    return refuse(`${decoding}${(error as Error).message}`);
  }
  const group = CONFIG_VERSION.replace(/\/.*/, "");
  if (kind !== own) refuse(`args for plugin ${name} were not of type ${own}.${group}, got ${String(kind)}.${group}`);
  return unknown.length === 0 ? [] : [`${where}${STRICT}${decoding}${STRICT}${unknownFields(unknown).join(", ")}`];
}

/** Go's print of where version and kind are looked for. */
const TYPE_META = String.raw`struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }`;

/** An explicit null is as good as nothing. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const out: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) if (member !== null) out[name] = withoutNulls(member);
  return out;
}

/** Several in brackets, one without. */
export function errorText(errors: readonly FieldError[]): string {
  const texts = [...new Set(errors.map(({ field, message }) => `${field}: ${message}`))];
  return texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`;
}

/** The configuration as a file that would say the same, as `--write-config-to` writes it. */
export function printConfiguration(config: SchedulerConfiguration): string {
  return writeYaml({ apiVersion: CONFIG_VERSION, kind: KIND, ...config });
}
