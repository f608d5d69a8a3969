import type { Clock, Instant } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { discoverResources, type DiscoveredResource } from "../discovery/resources.ts";

/** Which resources are of a kind. */
export interface RestMapper {
  /** Never empty; rejects in upstream's words when nothing of this kind is served. */
  mappingsOf(group: string, kind: string, signal: AbortSignal): Promise<readonly DiscoveredResource[]>;
}

/** A kind that is not known is asked for again at most this often: its definition may have come meanwhile. */
const REFRESH_MS = 30_000;

/** Asks the server once what it serves, and again for kinds that it did not serve then. */
export function createRestMapper(client: ApiClient, clock: Clock): RestMapper {
  let known: Promise<readonly DiscoveredResource[]> | undefined;
  let askedAt: Instant = -Infinity;

  function discover(signal: AbortSignal): Promise<readonly DiscoveredResource[]> {
    askedAt = clock.monotonicMs();
    const asked = discoverResources(client, signal).then(({ resources }) => resources);
    known = asked;
    asked.catch(() => {
      if (known === asked) known = undefined;
    });
    return asked;
  }

  return {
    async mappingsOf(group, kind, signal) {
      const matching = (all: readonly DiscoveredResource[]): readonly DiscoveredResource[] =>
        all.filter((each) => each.group === group && each.kind === kind);
      let found = matching(await (known ?? discover(signal)));
      if (found.length === 0 && clock.monotonicMs() - askedAt >= REFRESH_MS) found = matching(await discover(signal));
      if (found.length === 0)
        throw new Error(`no matches for kind ${JSON.stringify(kind)} in group ${JSON.stringify(group)}`);
      return found;
    },
  };
}
