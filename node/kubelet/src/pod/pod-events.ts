import { isAbort, sleep, type Clock, type Logger } from "@coracle/base";
import { isCriUnimplemented, type CriClient } from "../cri/cri-client.ts";
import { POD_UID } from "../cri/labels.ts";

const RELIST_MS = 1_000;
const SAFETY_RELIST_MS = 300_000;
const RECONNECT_MS = 500;

/**
 * Calls `changed` with the uid of each pod whose containers or sandboxes changed state in the runtime: from its event stream, or
 * where it has none by comparing lists each second. A rare comparison stays as a safety net.
 */
export async function watchRuntime(
  deps: { readonly cri: CriClient; readonly clock: Clock; readonly logger: Logger },
  changed: (uid: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { cri, clock, logger } = deps;
  let known: Map<string, string> | undefined;

  async function relist(): Promise<void> {
    const [containers, sandboxes] = await Promise.all([cri.call("ListContainers", {}), cri.call("ListPodSandbox", {})]);
    const now = new Map<string, string>();
    const add = (uid: string | undefined, id: string | undefined, state: unknown): void => {
      if (uid !== undefined) now.set(uid, `${now.get(uid) ?? ""}${id ?? ""}=${String(state)};`);
    };
    for (const each of containers.containers ?? []) add(each.labels?.[POD_UID], each.id, each.state);
    for (const each of sandboxes.items ?? []) add(each.metadata?.uid, each.id, each.state);
    if (known !== undefined) {
      for (const [uid, state] of now) if (known.get(uid) !== state) changed(uid);
      for (const uid of known.keys()) if (!now.has(uid)) changed(uid);
    }
    known = now;
  }

  let hasEvents = true;
  const follow = async (): Promise<void> => {
    while (hasEvents && !signal.aborted) {
      try {
        await cri.events((event) => {
          const uid = event.podSandboxStatus?.metadata?.uid;
          if (uid !== undefined && uid !== "") changed(uid);
        }, signal);
      } catch (error) {
        if (isAbort(error, signal) || signal.aborted) return;
        if (isCriUnimplemented(error)) {
          hasEvents = false;
          logger.info("the runtime has no events: comparing lists");
          return;
        }
        logger.debug("the runtime's events broke off", { error });
      }
      await sleep(clock, RECONNECT_MS, signal).catch(() => undefined);
      // What happened meanwhile is only in the lists.
      if (!signal.aborted) await relist().catch(() => undefined);
    }
  };
  const following = follow();
  while (!signal.aborted) {
    try {
      await relist();
    } catch (error) {
      logger.debug("the runtime could not be listed", { error });
    }
    const wait = hasEvents ? SAFETY_RELIST_MS : RELIST_MS;
    await Promise.race([sleep(clock, wait, signal).catch(() => undefined), ...(hasEvents ? [following] : [])]);
  }
  await following;
}
