import type { OutboundClient } from "../outbound/outbound-client.ts";
import { postObject } from "../outbound/rest-call.ts";
import { targetOf, type TargetDeps } from "../outbound/target.ts";
import type { ConversionCaller } from "./conversion-review.ts";

/** Upstream waits as long as for any request of its own. */
const TIMEOUT_MS = 30_000;

/** Calls conversion webhooks with the server's one client. */
export function createConversionCaller(client: OutboundClient, targets: TargetDeps): ConversionCaller {
  return (_definition, config, review) =>
    postObject(client, targetOf(config, targets), { body: review, timeoutMs: TIMEOUT_MS });
}
