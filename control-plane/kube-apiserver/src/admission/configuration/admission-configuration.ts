import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { isObject, type Draft } from "@coracle/apimachinery";
import { parseYamlOrJson } from "../../outbound/client-identity.ts";

/** What a file says to each plugin that it names: values as they were written, not yet looked at. */
export type PluginTexts = ReadonlyMap<string, Draft>;

const VERSIONS = new Set(["apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"]);
/** Plugins whose own files may stand in the place of the whole. */
const LEGACY: Readonly<Record<string, string>> = {
  imagePolicy: "ImagePolicyWebhook",
  podNodeSelectorPluginConfig: "PodNodeSelector",
};

const MEMBERS = new Set(["name", "path", "configuration"]);

async function readObject(file: string, what: string): Promise<Draft> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const why = `open ${file}: ${reasonOf(error)}`;
    throw new Error(`unable to read ${what} from ${JSON.stringify(file)} [${why}]`, { cause: error });
  }
  const value = await parseYamlOrJson(text);
  if (!isObject(value)) throw new Error(`couldn't get version/kind; json parse error: ${file} holds no object`);
  return value;
}

const reasonOf = (error: unknown): string =>
  (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file or directory" : (error as Error).message;

/** Reads `--admission-control-config-file`. Throws an Error that says what is wrong with it. */
export async function readAdmissionConfiguration(file: string): Promise<PluginTexts> {
  const value = await readObject(file, "admission control configuration");
  const { apiVersion, kind } = value;
  if (kind === undefined || apiVersion === undefined) return readLegacy(value, file);
  if (typeof apiVersion !== "string" || !VERSIONS.has(apiVersion) || kind !== "AdmissionConfiguration") {
    throw new Error(
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "k8s.io/apiserver/pkg/server/options/admission.go"`,
    );
  }
  const unknown = Object.keys(value).filter((member) => !["apiVersion", "kind", "plugins"].includes(member));
  if (unknown.length > 0) throw new Error(`strict decoding error: ${unknownFields(unknown)}`);
  const out = new Map<string, Draft>();
  for (const [i, plugin] of ((value.plugins ?? []) as unknown[]).entries()) {
    if (!isObject(plugin) || typeof plugin.name !== "string") throw new Error(`plugins[${i}].name: Required value`);
    const strange = Object.keys(plugin).filter((member) => !MEMBERS.has(member));
    if (strange.length > 0) {
      throw new Error(`strict decoding error: ${unknownFields(strange.map((one) => `plugins[${i}].${one}`))}`);
    }
    // The first that names a plugin counts.
    if (out.has(plugin.name)) continue;
    if (isObject(plugin.configuration)) out.set(plugin.name, plugin.configuration);
    else if (typeof plugin.path === "string" && plugin.path !== "") {
      const path = isAbsolute(plugin.path) ? plugin.path : join(dirname(file), plugin.path);
      out.set(plugin.name, await readObject(path, "admission plugin configuration"));
    }
  }
  return out;
}

const unknownFields = (names: readonly string[]): string =>
  names.map((name) => `unknown field ${JSON.stringify(name)}`).join(", ");

function readLegacy(value: Draft, file: string): PluginTexts {
  const out = new Map<string, Draft>();
  for (const [member, plugin] of Object.entries(LEGACY)) if (value[member] !== undefined) out.set(plugin, value);
  if (out.size > 0) return out;
  throw new Error(`Object 'Kind' is missing in '${JSON.stringify(value)}' (${file})`);
}
