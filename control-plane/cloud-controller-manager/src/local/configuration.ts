import { parseYamlDocument } from "@coracle/api";
import { parseRange, type AddressRange } from "../addresses/ranges.ts";

/** A node within reach: this machine itself, or a network namespace on it. */
export interface LocalMachine {
  /** Name of its node; undefined: the node of this machine, whatever it is called. */
  readonly name: string | undefined;
  /** Path of its network namespace; undefined: that of this process. */
  readonly networkNamespace: string | undefined;
}

/** What `--cloud-config` may say to `local`, with every default filled in. */
export interface LocalConfiguration {
  /** Addresses of the network outside for load balancers; none: they are reached at the nodes' own ports. */
  readonly addressPool: readonly AddressRange[];
  /** The link that gets them; undefined: the one whose network they are of, or that leads outside. */
  readonly interface: string | undefined;
  readonly machines: readonly LocalMachine[];
  /** Undefined: this machine's name. */
  readonly zone: string | undefined;
  readonly region: string | undefined;
}

const KNOWN = new Set(["addressPool", "interface", "machines", "zone", "region"]);

/** Reads the configuration, YAML or JSON; absent: all defaults. Throws an Error for people. */
export async function parseLocalConfiguration(text: string | undefined): Promise<LocalConfiguration> {
  const wrong = (why: string): Error => new Error(`configuration of the cloud provider "local": ${why}`);
  const read = text === undefined || text.trim() === "" ? {} : ((await parseYamlDocument(text)) ?? {});
  if (typeof read !== "object" || read === null || Array.isArray(read)) throw wrong("must be an object");
  const file = read as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(file)) if (!KNOWN.has(name)) throw wrong(`unknown field ${JSON.stringify(name)}`);
  const textOf = (name: string): string | undefined => {
    const value = file[name];
    if (value !== undefined && typeof value !== "string") throw wrong(`${name} must be a text`);
    return value;
  };
  const list = (name: string): readonly unknown[] => {
    const value = file[name] ?? [];
    if (!Array.isArray(value)) throw wrong(`${name} must be a list`);
    return value as readonly unknown[];
  };
  const machines = list("machines").map((each): LocalMachine => {
    const { name, networkNamespace } = (each ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof name !== "string" || (networkNamespace !== undefined && typeof networkNamespace !== "string"))
      throw wrong("each of machines needs a name, and may have a networkNamespace");
    return { name, networkNamespace };
  });
  const addressPool = list("addressPool").map((each) => {
    try {
      return parseRange(String(each));
    } catch (error) {
      throw wrong(`addressPool: ${(error as Error).message}`);
    }
  });
  return {
    addressPool,
    interface: textOf("interface"),
    machines: machines.length > 0 ? machines : [{ name: undefined, networkNamespace: undefined }],
    zone: textOf("zone"),
    region: textOf("region"),
  };
}
