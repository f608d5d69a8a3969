import type { Clock } from "@coracle/base";
import type { OutboundClient } from "../outbound/outbound-client.ts";
import type { TargetDeps } from "../outbound/target.ts";
import type { ConversionCaller } from "./conversion-review.ts";

/** Upstream waits as long as for any request of its own. */
const TIMEOUT_MS = 30_000;

/** What calls conversion webhooks; its connections are opened by the first call and closed with it. */
export function createConversionCaller(
  clock: Clock,
  targets: TargetDeps,
): { readonly call: ConversionCaller } & AsyncDisposable {
  let client: OutboundClient | undefined;
  return {
    async call(_definition, config, review) {
      const [{ createOutboundClient }, { postObject }, { targetOf }] = await Promise.all([
        import("../outbound/outbound-client.ts"),
        import("../outbound/rest-call.ts"),
        import("../outbound/target.ts"),
      ]);
      client ??= createOutboundClient({ clock });
      const target = targetOf(config, targets);
      return postObject(client, target, { body: review, silentTimeoutMs: TIMEOUT_MS });
    },
    async [Symbol.asyncDispose]() {
      await client?.[Symbol.asyncDispose]();
    },
  };
}
