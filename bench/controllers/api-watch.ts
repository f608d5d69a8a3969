import { sleep, systemClock } from "@coracle/base";
import type { KubeObject } from "@coracle/api";
import type { ApiConnection } from "../api/connection.ts";

const PAUSE_MS = 50;
const OPENING = '{"type":"';

/** What happened, and to what: reading it costs. */
type See = (type: string, read: () => KubeObject) => void;

/**
 * Follows a collection until the connection closes: what there is first, then each change. A server ends the watch of
 * a reader that is slow: then it begins again.
 */
export function followWatch(connection: ApiConnection, collection: string, see: See): void {
  void follow(connection, `${collection}${collection.includes("?") ? "&" : "?"}watch=1`, see);
}

async function follow(connection: ApiConnection, path: string, see: See): Promise<void> {
  while (connection.isOpen) {
    try {
      await watch(connection, path, see);
    } catch (error) {
      // Whoever closed the connection wants to hear no more.
      if (connection.isOpen) throw error;
      return;
    }
    await sleep(systemClock, PAUSE_MS);
  }
}

async function watch(connection: ApiConnection, path: string, see: See): Promise<void> {
  const stream = connection.start({ method: "GET", path });
  stream.setEncoding("utf8");
  let rest = "";
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const type = line.slice(OPENING.length, line.indexOf('"', OPENING.length));
      if (type !== "ERROR") see(type, () => (JSON.parse(line) as { object: KubeObject }).object);
    }
  }
}
