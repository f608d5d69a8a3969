/** The Kubernetes API as data. Types live under `@coracle/api/GROUP/VERSION`. */
export { apiVersionOf, groupVersionPath, resourcePath, type KubeObject, type ResourceType } from "./resource-type.ts";
export {
  loadCriCodec,
  loadCsiCodec,
  loadEtcdCodec,
  loadKubeletGrpcCodec,
  type CriCodec,
  type CsiCodec,
  type EtcdCodec,
  type KubeletGrpcCodec,
} from "./proto/contracts.ts";
export { createGrpcCodec, type GrpcCodec, type GrpcMethod, type GrpcService } from "./proto/grpc-codec.ts";
export { ProtoError, ProtoReader, ProtoWriter } from "./proto/wire.ts";
export { openLineTable, parseTable, readTable, type LineTable, type TableName } from "./tables.ts";
export {
  decodeKubernetes,
  decodeWatchFrame,
  encodeKubernetes,
  encodeKubernetesMessage,
  encodeWatchFrame,
  hasKubernetesMessage,
  isKubernetesProtobuf,
  joinKubernetesList,
  KUBERNETES_PROTOBUF,
  wrapKubernetesMessage,
} from "./proto/kubernetes-codec.ts";
export { formatDuration, formatMicroTime, formatTime, parseDuration, parseTime, type WireTime } from "./time/time.ts";
export { LONGEST_RARE_YAML, parseYaml, parseYamlDocument, YamlError, yamlDuplicates } from "./yaml/yaml.ts";
export { writeYaml } from "./yaml/write-yaml.ts";
export { builtInOpenApiResources, type OpenApiResource } from "./openapi/openapi-resource.ts";
export { createOpenApi, type OpenApi, type OpenApiDocument } from "./openapi/openapi.ts";
export { encodeOpenApiV2 } from "./openapi/v2-protobuf.ts";
export { COMPONENT_VERSION, KUBERNETES_VERSION } from "./kubernetes-version.ts";
