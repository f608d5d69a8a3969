import type { Pod } from "@coracle/api/core/v1";
import { claimUsesOf } from "@coracle/apimachinery/storage";

/** `NAMESPACE/NAME` of the claims that a pod uses. */
export const claimKeysOf = (pod: Pod): readonly string[] =>
  claimUsesOf(pod).map(({ name }) => `${pod.metadata.namespace}/${name}`);

/** Pods under the keys of the claims they use. */
export const podsByClaim = { claim: claimKeysOf };
