import { Session } from "node:inspector/promises";
import { badRequest } from "@coracle/apimachinery";
import { sleep, type Clock } from "@coracle/base";
import type { ApiRequest } from "../server/api-request.ts";
import type { PathRoutes } from "../server/dispatch.ts";
import { baseHeaders, sendNotFoundPage } from "../server/responder.ts";

const ROOT = "/debug/pprof";
const DEFAULT_SECONDS = { profile: 30, heap: 10 } as const;
/** As long as upstream's server lets one write. */
const MAX_SECONDS = 3_600;
const SAMPLE_BYTES = 64 * 1024;

const INDEX = `<html>
<head>
<title>/debug/pprof/</title>
</head>
<body>
/debug/pprof/
<br>
Types of profiles available:
<table>
<tr><td><a href='cmdline'>cmdline</a></td><td>The command line of this program</td></tr>
<tr><td><a href='heap'>heap</a></td><td>What was allocated within ?seconds= (10) and is still there: V8's .heapprofile</td></tr>
<tr><td><a href='profile'>profile</a></td><td>Where processor time went within ?seconds= (30): V8's .cpuprofile</td></tr>
</table>
</body>
</html>
`;

function secondsOf(request: ApiRequest, fallback: number): number {
  const text = request.query.get("seconds");
  if (text === null || text === undefined || text === "") return fallback;
  const seconds = Number(text);
  if (!Number.isFinite(seconds) || seconds <= 0 || seconds > MAX_SECONDS)
    throw badRequest(`seconds must be a number above 0 and at most ${MAX_SECONDS}`);
  return seconds;
}

/** Names of functions and places in the program; never what it holds. */
async function take(kind: "profile" | "heap", seconds: number, clock: Clock, signal: AbortSignal): Promise<unknown> {
  const session = new Session();
  session.connect();
  try {
    if (kind === "profile") {
      await session.post("Profiler.enable");
      await session.post("Profiler.start");
      await sleep(clock, seconds * 1000, signal);
      return (await session.post("Profiler.stop")).profile;
    }
    await session.post("HeapProfiler.startSampling", { samplingInterval: SAMPLE_BYTES });
    await sleep(clock, seconds * 1000, signal);
    return (await session.post("HeapProfiler.stopSampling")).profile;
  } finally {
    session.disconnect();
  }
}

/** `/debug/pprof`: profiles of this process, as V8 writes them. Who may read them, authorisation has said already. */
export function createProfileRoutes(clock: Clock): PathRoutes {
  let isBusy = false;
  const send = (request: ApiRequest, type: string, body: string, file?: string): void => {
    const headers = baseHeaders(request, type);
    request.exchange.send(
      200,
      file === undefined ? headers : { ...headers, "content-disposition": `attachment; filename="${file}"` },
      Buffer.from(body),
    );
  };
  return (request) => {
    const { path } = request.info;
    if (path !== ROOT && !path.startsWith(`${ROOT}/`)) return undefined;
    const name = path.slice(ROOT.length + 1);
    return (async () => {
      if (name === "") return send(request, "text/html; charset=utf-8", INDEX);
      if (name === "cmdline") return send(request, "text/plain; charset=utf-8", process.argv.join("\0"));
      if (name !== "profile" && name !== "heap") return sendNotFoundPage(request);
      const seconds = secondsOf(request, DEFAULT_SECONDS[name]);
      if (isBusy) throw badRequest("another profile is being taken");
      isBusy = true;
      try {
        const profile = await take(name, seconds, clock, request.exchange.signal);
        send(
          request,
          "application/json",
          JSON.stringify(profile),
          name === "heap" ? "heap.heapprofile" : "cpu.cpuprofile",
        );
      } finally {
        isBusy = false;
      }
    })();
  };
}
