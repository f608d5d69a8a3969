import { parseYamlDocument } from "@coracle/api";
import { UsageError } from "@coracle/base";

/** Parts of the file whose names lack what the flags' names begin with. */
const SECTIONS: Readonly<Record<string, string>> = {
  "client-transport-security": "",
  "peer-transport-security": "peer-",
};

/** The flags that a configuration file of etcd stands for. Throws UsageError when it is not one. */
export async function configFileArguments(text: string): Promise<string[]> {
  let config: unknown;
  try {
    config = (await parseYamlDocument(text)) ?? {};
  } catch (error) {
    throw new UsageError(`config-file: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isMap(config)) throw new UsageError("config-file: want a map of flags to values");
  return Object.entries(config).flatMap(([name, value]) => {
    const prefix = SECTIONS[name];
    if (prefix === undefined) return argument(name, value);
    if (value === null) return [];
    if (!isMap(value)) throw new UsageError(`config-file: ${name}: want a map`);
    return Object.entries(value).flatMap(([inner, each]) => argument(prefix + inner, each));
  });
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function argument(name: string, value: unknown): string[] {
  if (value === null) return [];
  const parts: readonly unknown[] = Array.isArray(value) ? value : [value];
  const texts = parts.map((part) => {
    if (typeof part === "string" || typeof part === "number" || typeof part === "boolean") return String(part);
    throw new UsageError(`config-file: ${name}: want a text, a number, a switch or a list of these`);
  });
  return [`--${name}=${texts.join(",")}`];
}
