import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { ChildDuplex } from "./child-duplex.ts";

it("tells all that a child said, though the child ended before it had read its input", async () => {
  for (let round = 0; round < 20; round++) {
    const child = spawn("sh", ["-c", "echo served"]);
    const connection = new ChildDuplex(child.stdin, child.stdout);
    const exited = once(child, "exit");
    connection.write("x".repeat(1_000_000));
    connection.end();
    await exited;
    expect(await text(connection)).toBe("served\n");
  }
});

it("carries both ways until both ends are done", async () => {
  const child = spawn("cat");
  const connection = new ChildDuplex(child.stdin, child.stdout);
  connection.end("y".repeat(1_000_000));
  expect((await text(connection)).length).toBe(1_000_000);
});

it("breaks off when the output breaks off", async () => {
  const child = spawn("sleep", ["60"]);
  const connection = new ChildDuplex(child.stdin, child.stdout);
  const closed = once(connection, "close");
  child.stdout.destroy();
  await closed;
  child.kill("SIGKILL");
});
