import type { WireCodecs, YamlCodec } from "./wire-codec.ts";

let yaml: Promise<YamlCodec> | undefined;

/** The encodings that the foundation offers. YAML is loaded when it is first asked for. */
export function loadWireCodecs(): WireCodecs {
  return {
    yaml: () =>
      (yaml ??= import("yaml").then(({ parse, stringify }) => ({
        parse: (text: string): unknown => parse(text, { version: "1.1", uniqueKeys: false }),
        print: (value: unknown): string => stringify(value, { lineWidth: 0 }),
      }))),
  };
}
