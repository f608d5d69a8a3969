/**
 * The API server. Everything a client may rely on is Kubernetes' own contract: paths, verbs, encodings, status codes
 * and messages. An acknowledged write is in the store; a watch delivers every change in order, or ends.
 */
export { parseApiServerFlags, readApiServerConfig, type ApiServerFlags } from "./flags.ts";
export { runApiServer, startApiServer, type ApiServerOptions, type RunningApiServer } from "./run-api-server.ts";
export type { AuthorizationMode } from "./authorization/settings.ts";
export type { ApiServerConfig } from "./server/api-server.ts";
export type { MemoryIdentity } from "./server/memory-exchange.ts";
