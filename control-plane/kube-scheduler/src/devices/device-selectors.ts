import type { Device, DeviceAttribute, DeviceSelector } from "@coracle/api/resource/v1";
import type * as CelModule from "@coracle/cel";
import type { CelMap, CelValue, Program } from "@coracle/cel";

/** Whether selectors choose a device, or why that cannot be told. */
export type SelectorAnswer = boolean | { readonly problem: string };

type Cel = typeof CelModule;

interface Compiled {
  readonly program: Program | undefined;
  readonly problem: string | undefined;
  /** Devices are never changed: an answer stays. */
  readonly answers: WeakMap<Device, SelectorAnswer>;
}

/** Expressions are kept compiled up to so many. */
const MAX_COMPILED = 500;
const MAX_COST = 1_000_000;

/** Asks expressions about devices. The language is loaded when the first expression comes. */
export class DeviceSelectors {
  readonly #cel: Cel;
  readonly #compiled = new Map<string, Compiled>();
  readonly #describe: (device: Device, driver: string) => CelValue;
  readonly #environment: ReturnType<Cel["createCelEnvironment"]>;

  constructor(cel: Cel, hasSharing: boolean) {
    this.#cel = cel;
    const attributes = cel.mapType(cel.STRING, cel.mapType(cel.STRING, cel.ANY));
    const capacity = cel.mapType(cel.STRING, cel.mapType(cel.STRING, cel.objectType("kubernetes.Quantity")));
    const fields = new Map([
      ["driver", cel.STRING],
      ["attributes", attributes],
      ["capacity", capacity],
      ...(hasSharing ? ([["allowMultipleAllocations", cel.BOOL]] as const) : []),
    ]);
    const type = { name: "kubernetes.DRADevice", field: (name: string) => fields.get(name) };
    this.#environment = cel.createCelEnvironment({
      variables: { device: cel.objectType(type.name) },
      objects: [type],
      macros: new Map(cel.BIND_MACROS),
    });
    this.#describe = describer(cel, hasSharing);
  }

  static async load(hasSharing = false): Promise<DeviceSelectors> {
    return new DeviceSelectors(await import("@coracle/cel"), hasSharing);
  }

  /** Whether all selectors choose the device; `owner` names who has them, where one has a problem. */
  matches(
    selectors: readonly DeviceSelector[] | undefined,
    device: Device,
    driver: string,
    owner: string,
  ): SelectorAnswer {
    for (const [i, { cel }] of (selectors ?? []).entries()) {
      if (cel === undefined)
        return { problem: `${owner}, selector #${i}: CEL expression empty (unsupported selector type?)` };
      const answer = this.#ask(cel.expression, device, driver);
      if (typeof answer !== "boolean") return { problem: `${owner}: selector #${i}: ${answer.problem}` };
      if (!answer) return false;
    }
    return true;
  }

  #ask(expression: string, device: Device, driver: string): SelectorAnswer {
    const { program, problem, answers } = this.#compile(expression);
    if (program === undefined) return { problem: `CEL compile error: ${problem}` };
    const known = answers.get(device);
    if (known !== undefined) return known;
    const answer = this.#evaluate(program, device, driver);
    answers.set(device, answer);
    return answer;
  }

  #evaluate(program: Program, device: Device, driver: string): SelectorAnswer {
    const described = this.#describe(device, driver);
    const result = program.evaluate({ device: described }, { costLimit: MAX_COST });
    if (!result.ok) return { problem: `CEL runtime error: ${result.error}` };
    if (typeof result.value === "boolean") return result.value;
    return { problem: `CEL runtime error: CEL result of type ${typeof result.value} could not be converted to bool` };
  }

  #compile(expression: string): Compiled {
    const known = this.#compiled.get(expression);
    if (known !== undefined) return known;
    const made = { ...this.#tryCompile(expression), answers: new WeakMap<Device, SelectorAnswer>() };
    const [oldest] = this.#compiled.keys();
    if (this.#compiled.size >= MAX_COMPILED && oldest !== undefined) this.#compiled.delete(oldest);
    this.#compiled.set(expression, made);
    return made;
  }

  #tryCompile(expression: string): Pick<Compiled, "program" | "problem"> {
    try {
      const program = this.#environment.compile(expression);
      const { kind, name } = program.resultType;
      if (kind === "bool" || kind === "any" || kind === "dyn") return { program, problem: undefined };
      return { program: undefined, problem: `must evaluate to bool or the unknown type, not ${name}` };
    } catch (error) {
      if (!(error instanceof this.#cel.CompileError)) throw error;
      return { program: undefined, problem: `compilation failed: ${error.message}` };
    }
  }
}

/** How expressions see a device: attributes and capacities by domain and name; a domain that is not there is empty. */
function describer(cel: Cel, hasSharing: boolean): (device: Device, driver: string) => CelValue {
  const { EntryMap, CelError } = cel;
  const environment = cel.createCelEnvironment({ variables: { text: cel.STRING } });
  const toQuantity = environment.compile("quantity(text)");
  const toVersion = environment.compile("semver(text)");
  const parse = (program: Program, text: string): CelValue => {
    const result = program.evaluate({ text });
    return result.ok ? result.value : (new CelError(result.error) as unknown as CelValue);
  };
  const EMPTY = new EntryMap();
  class Domains extends EntryMap {
    override find(key: CelValue): CelValue | undefined {
      return super.find(key) ?? EMPTY;
    }
    override has(key: CelValue): boolean {
      return super.find(key) !== undefined;
    }
  }
  const valueOf = ({ bool, int, string, version }: DeviceAttribute): CelValue => {
    if (int !== undefined) return BigInt(int);
    if (version !== undefined) return parse(toVersion, version);
    return bool ?? string ?? null;
  };
  const byDomain = <T>(
    entries: Readonly<Record<string, T>> | undefined,
    driver: string,
    toValue: (entry: T) => CelValue,
  ): CelMap => {
    const domains = new Domains();
    for (const [name, entry] of Object.entries(entries ?? {})) {
      const slash = name.indexOf("/");
      const domain = slash < 0 ? driver : name.slice(0, slash);
      let inner = domains.has(domain) ? domains.find(domain) : undefined;
      if (!(inner instanceof EntryMap)) domains.set(domain, (inner = new EntryMap()));
      if (inner instanceof EntryMap) inner.set(name.slice(slash + 1), toValue(entry));
    }
    return domains;
  };
  return (device, driver) => {
    const described = new EntryMap();
    described.set("driver", driver);
    described.set("attributes", byDomain(device.attributes, driver, valueOf));
    described.set(
      "capacity",
      byDomain(device.capacity, driver, ({ value }) => parse(toQuantity, value)),
    );
    if (hasSharing) described.set("allowMultipleAllocations", device.allowMultipleAllocations === true);
    return described;
  };
}
