import type { Duplex } from "node:stream";
import { connect } from "node:net";
import { inNetworkNamespace, spawnChild } from "@coracle/linux";
import { ChildDuplex } from "./child-duplex.ts";

/** How long one direction may stay open after the other has ended; socat's own half second would cut answers off. */
const HALF_CLOSED_SECONDS = 86_400;
const CONNECTED = "starting data transfer loop";
/** The second of socat's two ends is the pod's. */
const POD_ENDED = /socket 2 .*is at EOF/;

/** Connects to a port of a pod, on its own loopback address; rejects when nothing listens. `netns` undefined is the node's network. */
export async function connectPodPort(netns: string | undefined, port: number, signal: AbortSignal): Promise<Duplex> {
  if (netns === undefined) return connectHere(port);
  const target = `TCP:localhost:${port},connect-timeout=10`;
  const socat = ["-d", "-d", "-t", String(HALF_CLOSED_SECONDS), "-", target];
  const child = await spawnChild(...inNetworkNamespace(netns, "socat", socat));
  const stop = (): void => child.kill("SIGKILL");
  signal.addEventListener("abort", stop, { once: true });
  // What socat says about itself is the only sign of the connection's state.
  let said = "";
  await new Promise<void>((resolve, reject) => {
    child.stderr.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString("utf8")).slice(-4096);
      if (said.includes(CONNECTED)) resolve();
      // Nobody reads any more in the pod: with both ends done, socat ends too, and so does the output.
      if (POD_ENDED.test(said)) child.stdin?.end();
    });
    child.exited
      .then((code) => {
        signal.removeEventListener("abort", stop);
        if (code === 0) resolve();
        else reject(new Error(`failed to connect to localhost:${port} inside namespace "${netns}": ${describe(said)}`));
      })
      .catch(reject);
  });
  const duplex = new ChildDuplex(child.stdin, child.stdout);
  duplex.once("close", stop);
  return duplex;
}

function connectHere(port: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "localhost", allowHalfOpen: true });
    socket.once("error", (error) =>
      reject(new Error(`failed to connect to localhost:${port}: ${error.message}`, { cause: error })),
    );
    socket.once("connect", () => resolve(socket));
  });
}

function describe(said: string): string {
  const errors = said.split("\n").filter((line) => / E /.test(line));
  return errors.at(-1)?.replace(/^.*socat\[\d+\] E /, "") ?? said.trim();
}
