/** Talking to an API server: requests, caches that follow it, queues, events, leader election. */
export type {
  ApiClient,
  ListOptions,
  ListResult,
  ObjectKey,
  PatchType,
  ReadOptions,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "./api-client.ts";
export type { CacheKey, Informer, InformerFactory, InformerHandlers, InformerOptions, Lister } from "./informer.ts";
