import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sleep, systemClock } from "@coracle/base";
import { connectPortForward, connectRemoteCommand, type RemoteCommandStreams } from "@coracle/client/streaming";
import { RuntimeFixture, type TestPod } from "./runtime-fixture.ts";

const read = async (stream: AsyncIterable<unknown> | undefined): Promise<string> => {
  let text = "";
  if (stream !== undefined) for await (const chunk of stream) text += (chunk as Buffer).toString("utf8");
  return text;
};

describe.each(["websocket", "spdy"] as const)("streaming over %s", (transport) => {
  let f: RuntimeFixture;
  let pod: TestPod;
  let containerId = "";
  beforeAll(async () => {
    f = await RuntimeFixture.start();
    pod = await f.pod("stream");
    containerId = await pod.add("main", "while true; do echo served | nc -l -p 8080; done");
  });
  afterAll(() => f[Symbol.asyncDispose]());

  const exec = async (cmd: string[], asked: Partial<RemoteCommandStreams>) => {
    const streams = { stdin: false, stdout: true, stderr: false, tty: false, ...asked };
    const { url = "" } = await f.cri.call("Exec", { containerId, cmd, ...streams });
    return connectRemoteCommand({ url: new URL(url), transport }, streams);
  };

  it("carries output, errors and the exit code", async () => {
    const command = await exec(["sh", "-c", "echo out; echo err >&2; exit 3"], { stderr: true });
    const [out, err, status] = await Promise.all([read(command.stdout), read(command.stderr), command.status]);
    expect([out, err]).toEqual(["out\n", "err\n"]);
    expect(status.details?.causes?.[0]).toMatchObject({ reason: "ExitCode", message: "3" });
  });

  it("carries input, its end, and many bytes both ways", async () => {
    const command = await exec(["cat"], { stdin: true });
    const bytes = "x".repeat(3_000_000);
    command.stdin?.end(bytes);
    const [out, status] = await Promise.all([read(command.stdout), command.status]);
    expect(out.length).toBe(bytes.length);
    expect(status.status).toBe("Success");
  });

  it("gives a terminal, of the size the client has", async () => {
    const command = await exec(["sh", "-c", "tty; sleep 0.5; stty size; exit 4"], { stdin: true, tty: true });
    command.resize({ width: 101, height: 33 });
    const [out, status] = await Promise.all([read(command.stdout), command.status]);
    expect(out).toContain("/dev/pts/");
    expect(out).toContain("33 101");
    expect(status.details?.causes?.[0]?.message).toBe("4");
  });

  it("says when the command is not there", async () => {
    const command = await exec(["/no/such"], {});
    expect(await command.status).toMatchObject({
      status: "Failure",
      message: expect.stringContaining("exec failed") as string,
    });
  });

  it("attaches to the program itself, with input", async () => {
    const id = await pod.add("cat", "while read line; do echo got-$line; done; echo end", {
      stdin: true,
      stdinOnce: true,
    });
    const streams = { stdin: true, stdout: true, stderr: true, tty: false };
    const { url = "" } = await f.cri.call("Attach", { containerId: id, ...streams });
    const command = await connectRemoteCommand({ url: new URL(url), transport }, streams);
    command.stdin?.write("one\n");
    await sleep(systemClock, 100);
    command.stdin?.end("two\n");
    const [out] = await Promise.all([read(command.stdout), command.status]);
    expect(out).toBe("got-one\ngot-two\nend\n");
    expect(await f.exited(id)).toMatchObject({ reason: "Completed" });
  });

  it("attaches to a terminal", async () => {
    const id = await pod.add("tty", "read x; stty size; echo got-$x", { stdin: true, tty: true });
    const streams = { stdin: true, stdout: true, stderr: false, tty: true };
    const { url = "" } = await f.cri.call("Attach", { containerId: id, ...streams });
    const command = await connectRemoteCommand({ url: new URL(url), transport }, streams);
    command.resize({ width: 90, height: 20 });
    await sleep(systemClock, 150);
    command.stdin?.write("hi\n");
    const [out] = await Promise.all([read(command.stdout), command.status]);
    expect(out).toContain("20 90");
    expect(out).toContain("got-hi");
  });

  it("forwards ports of the pod, and says when none listens", async () => {
    const { url = "" } = await f.cri.call("PortForward", { podSandboxId: pod.sandbox });
    const client = await connectPortForward({ url: new URL(url), transport });
    const one = await client.connect(8080);
    expect(await read(one.data)).toBe("served\n");
    const none = await client.connect(9);
    none.data.on("error", () => {});
    none.data.resume();
    expect(await none.error).toMatch(/Connection refused/);
    client.close();
  });
});
