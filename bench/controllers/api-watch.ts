import type { ClientHttp2Stream } from "node:http2";
import type { KubeObject } from "@coracle/api";
import type { ApiConnection } from "../api/connection.ts";

/** Follows a collection from its beginning until the connection closes: what there is first, then each change. */
export function followWatch(
  connection: ApiConnection,
  collection: string,
  see: (type: string, object: KubeObject) => void,
): ClientHttp2Stream {
  const stream = connection.start({ method: "GET", path: `${collection}?watch=1` });
  stream.on("error", () => {});
  stream.setEncoding("utf8");
  let rest = "";
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { type, object } = JSON.parse(line) as { type: string; object: KubeObject };
      see(type, object);
    }
  });
  return stream;
}
