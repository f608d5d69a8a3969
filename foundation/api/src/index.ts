/** The Kubernetes API as data. Types live under `@coracle/api/GROUP/VERSION`. */
export { apiVersionOf, groupVersionPath, resourcePath, type KubeObject, type ResourceType } from "./resource-type.ts";
