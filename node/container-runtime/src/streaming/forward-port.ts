import { Duplex } from "node:stream";
import { connect } from "node:net";
import { inNetworkNamespace, spawnChild } from "@coracle/linux";

/** Connects to a port of a pod, on its own loopback address. `netns` undefined is the node's network. */
export async function connectPodPort(netns: string | undefined, port: number, signal: AbortSignal): Promise<Duplex> {
  if (netns === undefined) return connectHere(port);
  const [command, args] = inNetworkNamespace(netns, "socat", ["-", `TCP:localhost:${port},connect-timeout=10`]);
  const child = await spawnChild(command, args);
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString("utf8")));
  const stop = (): void => child.kill("SIGKILL");
  signal.addEventListener("abort", stop, { once: true });
  const duplex = Duplex.from({ writable: child.stdin, readable: child.stdout }) as Duplex;
  duplex.once("close", stop);
  child.exited
    .then((code) => {
      signal.removeEventListener("abort", stop);
      if (code !== 0 && !duplex.destroyed && complaint !== "") {
        duplex.destroy(new Error(`failed to connect to localhost:${port} inside the pod: ${describe(complaint)}`));
      }
    })
    .catch(() => {});
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

const describe = (complaint: string): string =>
  complaint
    .trim()
    .split("\n")
    .at(-1)
    ?.replace(/^.*socat\[\d+\] \w /, "") ?? "";
