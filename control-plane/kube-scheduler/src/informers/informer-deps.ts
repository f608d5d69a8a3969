import type { Clock } from "@coracle/base";
import type { ApiClient } from "@coracle/client";

/** What informers and those who write to what they follow need. */
export interface InformerDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}
