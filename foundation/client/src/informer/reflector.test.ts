import { ConfigMap } from "@coracle/api/core/v1";
import { createFakeClock, createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { createApiClient } from "../client.ts";
import type { Transport } from "../transport/transport.ts";
import { createInformer } from "./create-informer.ts";

const map = (name: string, resourceVersion: string, uid = name): ConfigMap => ({
  metadata: { name, namespace: "d", resourceVersion, uid },
});
const list = (resourceVersion: string, ...items: ConfigMap[]): object => ({ metadata: { resourceVersion }, items });
const change = (type: string, object: object): object => ({ type, object });
const gone = change("ERROR", { kind: "Status", status: "Failure", code: 410, reason: "Expired", message: "too old" });
const HANG = Symbol("hang");
type Answer = object | typeof HANG | Error;

/** Answers requests in the order of the script; a watch whose script ends with HANG stays open. */
function scripted(script: readonly (readonly Answer[])[]): { transport: Transport; asked: string[] } {
  const rest = [...script];
  const asked: string[] = [];
  const transport: Transport = {
    async request({ path, signal }) {
      const query = new URLSearchParams(path.split("?")[1]);
      asked.push(`${query.has("watch") ? "watch" : "list"} ${query.get("resourceVersion") ?? query.get("continue")}`);
      const answers = rest.shift() ?? [HANG];
      if (answers[0] instanceof Error) throw answers[0];
      async function* body(): AsyncGenerator<Buffer> {
        for (const answer of answers) {
          if (answer === HANG) {
            await new Promise((_, reject) =>
              signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
            );
          } else yield Buffer.from(`${JSON.stringify(answer)}\n`);
        }
      }
      return { status: 200, headers: {}, body: body() };
    },
    async [Symbol.asyncDispose]() {},
  };
  return { transport, asked };
}

async function follow(
  script: readonly (readonly Answer[])[],
  advanceMs = 0,
): Promise<{ told: string[]; asked: string[] }> {
  const { transport, asked } = scripted(script);
  const clock = createFakeClock();
  const random = createSeededRandom(1);
  const told: string[] = [];
  await using informer = createInformer(
    { client: createApiClient({ transport, clock, random }), clock, random, freeze: true },
    ConfigMap,
  );
  informer.addHandlers({
    added: (object) => told.push(`+${object.metadata.name}`),
    updated: (_, object) => told.push(`~${object.metadata.name}`),
    deleted: (object) => told.push(`-${object.metadata.name}`),
  });
  for (let i = 0; i < 20; i++) await clock.advance(advanceMs / 20);
  return { told, asked };
}

describe("reflector", () => {
  it("lists in pages, then watches from there, and resumes after the last event", async () => {
    const page = { metadata: { resourceVersion: "5", continue: "next" }, items: [map("a", "1")] };
    const { told, asked } = await follow([
      [page],
      [list("5", map("b", "2"))],
      [change("MODIFIED", map("a", "6")), change("DELETED", map("b", "7"))],
      [change("BOOKMARK", { metadata: { resourceVersion: "9" } })],
      [HANG],
    ]);
    expect(told).toEqual(["+a", "+b", "~a", "-b"]);
    expect(asked).toEqual(["list 0", "list next", "watch 5", "watch 7", "watch 9"]);
  });

  it("lists again after 410 and tells what changed meanwhile", async () => {
    const { told, asked } = await follow([
      [list("5", map("a", "1"), map("b", "2"))],
      [gone],
      [list("9", map("b", "2"), map("c", "8"))],
    ]);
    expect(told).toEqual(["+a", "+b", "-a", "+c"]);
    expect(asked).toEqual(["list 0", "watch 5", "list 5", "watch 9"]);
  });

  it("an object that was deleted and made anew meanwhile lives twice", async () => {
    const { told } = await follow([[list("5", map("a", "1"))], [gone], [list("9", map("a", "8", "other"))]]);
    expect(told).toEqual(["+a", "-a", "+a"]);
  });

  it("waits longer and longer while the server is away, and then resumes without a list", async () => {
    const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const { asked } = await follow([[list("5", map("a", "1"))], [refused], [refused], [refused], [HANG]], 3000);
    expect(asked).toEqual(["list 0", "watch 5", "watch 5", "watch 5", "watch 5"]);
  });

  it("a watch that ends at once does not spin", async () => {
    const { asked } = await follow([[list("5")], [], [], [], [], [], [], [], [], [], []], 1000);
    expect(asked.length).toBeLessThan(7);
  });
});
