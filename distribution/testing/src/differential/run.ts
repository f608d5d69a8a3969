import { equalJson, isObject } from "@coracle/apimachinery";
import { Connection, type Reply } from "./connection.ts";
import { evenOut, type EvenAnswer } from "./even-out.ts";
import type { ServerUnderTest } from "./server.ts";
import { fillIn, type Chapter, type Step } from "./step.ts";

/** A request that the two servers answered differently. */
export interface Difference {
  readonly step: Step;
  readonly ours: EvenAnswer;
  readonly theirs: EvenAnswer;
  /** Where, as paths into the answers. */
  readonly places: readonly string[];
}

/** How the comparison went. */
export interface Outcome {
  readonly requests: number;
  readonly sameCode: number;
  readonly sameAnswer: number;
  readonly differences: readonly Difference[];
}

/** One of the two, with what its answers left behind for later steps. */
class Side {
  readonly #connection: Connection;
  readonly #saved = new Map<string, unknown>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async carryOut(step: Step): Promise<Reply> {
    const { method, headers, body } = step;
    const path = fillIn(step.path, this.#saved);
    const sent = typeof body === "string" ? fillIn(body, this.#saved) : body;
    const reply = await this.#connection.send({ method, path, headers, body: sent });
    if (step.save !== undefined) this.#saved.set(step.save, parse(reply.body));
    return reply;
  }

  close(): void {
    this.#connection.close();
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Where two answers differ, with what each says there. */
function placesOf(path: string, ours: unknown, theirs: unknown): string[] {
  if (equalJson(ours, theirs)) return [];
  if (Array.isArray(ours) && Array.isArray(theirs) && ours.length === theirs.length)
    return ours.flatMap((item, index) => placesOf(`${path}[${index}]`, item, theirs[index]));
  if (isObject(ours) && isObject(theirs)) {
    const keys = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
    return keys.flatMap((key) => placesOf(`${path}.${key}`, ours[key], theirs[key]));
  }
  return [`${path}: ours ${show(ours)} theirs ${show(theirs)}`];
}

const SHOWN = 700;
const show = (value: unknown): string => (JSON.stringify(value) ?? "absent").slice(0, SHOWN);

/** So many lanes at a time: most of the time goes by in watches. */
const LANES_AT_ONCE = 8;

/** Sends the chapters to both servers and compares: those of a lane one after the other, lanes beside one another. */
export async function compareServers(
  ours: ServerUnderTest,
  theirs: ServerUnderTest,
  lanes: readonly (readonly Chapter[])[],
): Promise<Outcome> {
  const outcome = { requests: 0, sameCode: 0, sameAnswer: 0, differences: [] as Difference[] };
  const us = new Side(await Connection.open(ours.target));
  const them = new Side(await Connection.open(theirs.target));
  try {
    const [first = [], ...rest] = lanes;
    await carryOut(first);
    const waiting = rest.toReversed();
    const worker = async (): Promise<void> => {
      for (let lane = waiting.pop(); lane !== undefined; lane = waiting.pop()) await carryOut(lane);
    };
    await Promise.all(Array.from({ length: LANES_AT_ONCE }, worker));
  } finally {
    us.close();
    them.close();
  }
  return outcome;

  async function carryOut(lane: readonly Chapter[]): Promise<void> {
    for (const step of lane.flat()) {
      const [our, their] = await Promise.all([us.carryOut(step), them.carryOut(step)]);
      if (step.isSetUp === true) continue;
      // Upstream's own crash inside a request closes the stream: there is nothing to agree with.
      if (their.code === 0 && our.code !== 0) continue;
      // Nor is there where its store cannot do what the request asks for.
      if (their.body.includes("RequestWatchProgress is disabled")) continue;
      const [evenOurs, evenTheirs] = [evenOut(our), evenOut(their)];
      outcome.requests++;
      if (evenOurs.code === evenTheirs.code) outcome.sameCode++;
      const places = placesOf("", evenOurs, evenTheirs);
      if (places.length === 0) outcome.sameAnswer++;
      else outcome.differences.push({ step, ours: evenOurs, theirs: evenTheirs, places });
    }
  }
}
