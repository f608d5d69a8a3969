import { sleep, systemClock } from "@coracle/base";
import type { BenchOptions } from "../options.ts";
import { median } from "../report.ts";
import { compare, LoadedServer, type Findings } from "./api-measurement.ts";
import { ApiConnection, type Target } from "./connection.ts";
import { definitionBody, DEFINITIONS_PATH, WIDGETS_PATH } from "./objects.ts";

const OBJECTS = 500;
const BATCH = 1_500;
const WITHIN_MS = 30_000;

/** Custom objects beside built-in ones of the same content. */
export function benchCrd(options: BenchOptions): Promise<void> {
  return compare("crd", options, async (find, start) => {
    await using loaded = await LoadedServer.start(start, options.runs);
    const { admin } = loaded.server;
    await define(admin, "widgets", "Widget");
    await measureServed(find, admin, options.runs);
    for (const [verb, custom, builtIn] of [
      ["create", "createWidget", "createConfigMap"],
      ["update", "updateWidget", "updateConfigMap"],
    ] as const) {
      const rate = async (kind: typeof custom | typeof builtIn): Promise<number> =>
        kind === "createWidget" || kind === "createConfigMap"
          ? await loaded.createsPerCpuSecond(kind, BATCH)
          : await loaded.requestsPerCpuSecond(kind, OBJECTS);
      if (!find.wants(verb)) continue;
      await loaded.fill(verb === "update" ? "createWidget" : custom, OBJECTS);
      await loaded.fill(verb === "update" ? "createConfigMap" : builtIn, OBJECTS);
      const [ofCustom, ofBuiltIn] = [await rate(custom), await rate(builtIn)];
      find.set(`${verb} of a custom object with schema and CEL`, ofCustom, "requests/CPU s");
      find.set(`${verb} of a config map of the same content`, ofBuiltIn, "requests/CPU s");
      find.set(`${verb} of custom objects for one of a config map`, ofCustom / ofBuiltIn, "ratio");
    }
  });
}

/** From a definition being Established to its objects being served. */
async function measureServed(find: Findings, admin: Target, runs: number): Promise<void> {
  const metric = "served after Established";
  if (!find.wants(metric)) return;
  const times: number[] = [];
  for (let run = 0; run < runs; run++) times.push(await define(admin, `gadgets${run}`, `Gadget${run}`));
  find.set(metric, median(times), "ms");
}

/** Creates a definition; answers how long after it was Established its objects were there. */
async function define(admin: Target, plural: string, kind: string): Promise<number> {
  const connection = await ApiConnection.open(admin);
  try {
    const definition = `${DEFINITIONS_PATH}/${plural}.bench.example.com`;
    await connection.request({ method: "POST", path: DEFINITIONS_PATH, body: definitionBody(plural, kind) });
    const isEstablished = async (): Promise<boolean> =>
      /"type":"Established","status":"True"|"status":"True"[^}]*"type":"Established"/.test(
        await connection.request({ method: "GET", path: definition }),
      );
    await untilTrue(isEstablished);
    const establishedAt = systemClock.monotonicMs();
    const path = WIDGETS_PATH.replace("widgets", plural);
    await untilTrue(async () => (await connection.send({ method: "GET", path })) === 200);
    return systemClock.monotonicMs() - establishedAt;
  } finally {
    connection.close();
  }
}

async function untilTrue(test: () => Promise<boolean>): Promise<void> {
  const end = systemClock.monotonicMs() + WITHIN_MS;
  while (!(await test())) {
    if (systemClock.monotonicMs() > end) throw new Error("a definition did not become what it should");
    await sleep(systemClock, 1);
  }
}
