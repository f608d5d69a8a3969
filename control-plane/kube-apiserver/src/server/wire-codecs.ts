import {
  decodeKubernetes,
  encodeKubernetesMessage,
  hasKubernetesMessage,
  joinKubernetesList,
  LONGEST_RARE_YAML,
  parseYamlDocument,
  writeYaml,
  wrapKubernetesMessage,
} from "@coracle/api";
import type { JsonObject } from "@coracle/apimachinery";
import type { WireCodecs } from "./wire-codec.ts";

/** The encodings that the foundation offers. YAML's parser is loaded when it is first asked for. */
export function loadWireCodecs(): WireCodecs {
  return {
    protobuf: {
      supports: ({ apiVersion, kind }) => hasKubernetesMessage(apiVersion, kind),
      encodeMessage(object) {
        const message = encodeKubernetesMessage(object as Parameters<typeof encodeKubernetesMessage>[0]);
        if (message === undefined) throw new Error(`no protobuf form of ${JSON.stringify(object["kind"])}`);
        return message;
      },
      wrap: ({ apiVersion, kind }, message) => wrapKubernetesMessage(apiVersion, kind, message),
      joinList: ({ apiVersion, kind }, metadata, items) =>
        joinKubernetesList(apiVersion, kind, metadata as Parameters<typeof joinKubernetesList>[2], items),
      decode: (body) => decodeKubernetes(body) as JsonObject,
    },
    yaml: () =>
      Promise.resolve({
        parse: (text) => parseYamlDocument(text, { longestRare: LONGEST_RARE_YAML }),
        print: writeYaml,
      }),
  };
}
