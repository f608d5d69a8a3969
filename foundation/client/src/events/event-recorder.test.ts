import type { Event } from "@coracle/api/core/v1";
import { createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import type { ApiClient } from "../api-client.ts";
import { createEventRecorder } from "./event-recorder.ts";

/** A server of events that answers when it is let. */
function eventServer() {
  const calls: string[] = [];
  const stored = new Map<string, Event>();
  let answer: () => void = () => {};
  const turn = async (): Promise<void> => new Promise((resolve) => (answer = resolve));
  const client: Pick<ApiClient, "create" | "patch"> = {
    async create(_, object) {
      calls.push("create");
      await turn();
      stored.set(object.metadata.name ?? "", object as unknown as Event);
      return object;
    },
    async patch<T>(_: unknown, { name }: { readonly name: string }, __: unknown, body: unknown) {
      calls.push("patch");
      await turn();
      stored.set(name, { ...(stored.get(name) as Event), ...(body as Event) });
      return stored.get(name) as unknown as T;
    },
  };
  return { client: client as ApiClient, calls, stored, answer: () => answer() };
}

describe("event recorder", () => {
  it("tells what happened again while it waited once, with its count", async () => {
    const { client, calls, stored, answer } = eventServer();
    await using recorder = createEventRecorder({ client, component: "c", clock: createFakeClock() });
    const say = (message: string): void => recorder.event({ kind: "Job", name: "j" }, "Normal", "Made", message);
    for (let i = 0; i < 20; i++) say(`pod ${i}`);
    const all = recorder.flush();
    let isDone = false;
    void all.then(() => (isDone = true));
    while (!isDone) {
      answer();
      await new Promise(setImmediate);
    }
    expect(calls).toEqual(Array.from({ length: 10 }, () => "create"));
    expect([...stored.values()].at(-1)).toMatchObject({
      message: "(combined from similar events): pod 19",
      count: 11,
    });
    say("pod 20");
    await new Promise(setImmediate);
    answer();
    await recorder.flush();
    expect(calls.at(-1)).toBe("patch");
    expect([...stored.values()].at(-1)).toMatchObject({ message: "(combined from similar events): pod 20", count: 12 });
  });
});
