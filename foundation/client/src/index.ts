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
export { ClientMetrics } from "./client-metrics.ts";
export { createApiClient, type ApiClientOptions, type OwnedApiClient } from "./client.ts";
export {
  createEventRecorder,
  referenceTo,
  type EventRecorder,
  type EventRecorderOptions,
} from "./events/event-recorder.ts";
export type { CacheKey, Informer, InformerFactory, InformerHandlers, InformerOptions, Lister } from "./informer.ts";
export {
  createInformer,
  deepFreeze,
  dropManagedFields,
  type InformerDeps,
  type OwnedInformer,
} from "./informer/create-informer.ts";
export { serviceAccountClients, type ServiceAccountClientsOptions } from "./identity/service-account-clients.ts";
export { createInformerFactory } from "./informer/informer-factory.ts";
export { cacheKeyOf, splitCacheKey } from "./informer/object-cache.ts";
export { loadKubeconfig, type ClientConfig } from "./kubeconfig/kubeconfig.ts";
export { electionOf, leaderElectionFlags, type LeaderElectionFlags } from "./leader-election/election-flags.ts";
export { LeadershipLostError, runElected, type LeaderElectionOptions } from "./leader-election/leader-election.ts";
export { WorkQueueMetrics } from "./queue/work-queue-metrics.ts";
export { createWorkQueue, type WorkQueue, type WorkQueueObserver, type WorkQueueOptions } from "./queue/work-queue.ts";
export { createHttpTransport, type HttpTransportOptions } from "./transport/http-transport.ts";
export { limitTransport, type RequestLimit } from "./transport/limited-transport.ts";
export type { Transport, TransportRequest, TransportResponse } from "./transport/transport.ts";
