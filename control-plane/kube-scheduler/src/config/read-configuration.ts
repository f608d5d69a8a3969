import { readFile } from "node:fs/promises";
import { parseYamlDocument, writeYaml, yamlDuplicates } from "@coracle/api";
import { isObject, type FieldError } from "@coracle/apimachinery";
import type { DeviceFeatures } from "../devices/device-features.ts";
import type { SchedulerConfiguration } from "./configuration.ts";
import { CONFIG_VERSION } from "./configuration.ts";
import { withDefaults, type WrittenConfiguration } from "./defaults.ts";
import { ARGS_SHAPES, CONFIGURATION_SHAPE } from "./shapes.ts";
import { checkShape, strictError } from "./strict-decoding.ts";
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
  if (!isObject(value) || typeof value.kind !== "string" || value.kind === "")
    throw new Error(`Object 'Kind' is missing in '${text}'`);
  if (value.apiVersion !== CONFIG_VERSION || value.kind !== KIND)
    throw new Error(
      `no kind ${JSON.stringify(value.kind)} is registered for version ${JSON.stringify(value.apiVersion ?? "")} in scheme "pkg/runtime/scheme.go:111"`,
    );
  const repeated = await yamlDuplicates(text);
  if (repeated !== undefined) throw new Error(`strict decoding error: ${repeated}`);
  const problems: string[] = [];
  const unknown: string[] = [];
  checkShape(value, CONFIGURATION_SHAPE, KIND, unknown);
  const strict = strictError(unknown);
  if (strict !== undefined) problems.push(strict);
  const written = withoutNulls(value) as WrittenConfiguration;
  for (const [i, profile] of (written.profiles ?? []).entries())
    for (const [j, { name, args }] of (profile.pluginConfig ?? []).entries())
      problems.push(...argsProblems(name, args).map((why) => `decoding .profiles[${i}].pluginConfig[${j}]: ${why}`));
  if (problems.length > 0) throw new Error(problems.join(", "));
  return written;
}

/** With all that was not written. Throws an Error that says what is wrong with it. */
export function completed(written: WrittenConfiguration, features?: DeviceFeatures): SchedulerConfiguration {
  const config = withDefaults(written, features);
  const errors = validateConfiguration(config, features);
  if (errors.length > 0) throw new Error(errorText(errors));
  return config;
}

function argsProblems(name: string, args: unknown): string[] {
  const shape = ARGS_SHAPES[name];
  if (shape === undefined || args === undefined) return [];
  const decoding = `decoding args for plugin ${name}: `;
  if (!isObject(args)) return [`${decoding}args must be an object`];
  const { apiVersion = CONFIG_VERSION, kind = `${name}Args` } = args;
  if (kind !== `${name}Args` || apiVersion !== CONFIG_VERSION)
    return [`args for plugin ${name} were not of type ${CONFIG_VERSION.replace("/", "/, Kind=")} ${name}Args`];
  const unknown: string[] = [];
  try {
    checkShape(args, shape, `${name}Args`, unknown);
  } catch (error) {
    return [`${decoding}${(error as Error).message}`];
  }
  const strict = strictError(unknown);
  return strict === undefined ? [] : [`strict decoding error: ${decoding}${strict}`];
}

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
