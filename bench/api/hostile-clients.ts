import { once } from "node:events";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { systemClock } from "@coracle/base";
import { ApiConnection, type Target } from "./connection.ts";

/** Somebody who means no good, as long as it is held. */
interface Hostile {
  readonly name: string;
  /** Begins; returns once all is in place. What it answers ends it. */
  begin(target: Target): Promise<Disposable>;
}

const hostAndPort = (target: Target): { host: string; port: number } => {
  const { hostname, port } = new URL(target.url);
  return { host: hostname, port: Number(port) };
};

interface Knock {
  readonly alpn: "h2" | "http/1.1";
  readonly isKnown?: boolean;
  readonly maxVersion?: "TLSv1.2";
}

async function knock(target: Target, { alpn, isKnown = false, maxVersion }: Knock): Promise<TLSSocket> {
  const socket = connectTls({
    ...hostAndPort(target),
    ca: target.ca,
    ALPNProtocols: [alpn],
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(isKnown ? target.client : {}),
  });
  socket.on("error", () => {}); // being thrown out is what it is for
  await once(socket, "secureConnect");
  return socket;
}

const ending = (sockets: readonly TLSSocket[], stop: () => void = () => {}): Disposable => ({
  [Symbol.dispose]() {
    stop();
    for (const socket of sockets) socket.destroy();
  },
});

async function knockOften(count: number, target: Target, how: Knock): Promise<TLSSocket[]> {
  const sockets: TLSSocket[] = [];
  while (sockets.length < count) {
    sockets.push(
      ...(await Promise.all(Array.from({ length: Math.min(200, count - sockets.length) }, () => knock(target, how)))),
    );
  }
  return sockets;
}

/** Does something again and again, with time for others in between. */
function again(everyMs: number, act: () => void): () => void {
  let timer = systemClock.after(everyMs, function next() {
    act();
    timer = systemClock.after(everyMs, next);
  });
  return () => timer[Symbol.dispose]();
}

/** Does something as soon as it is done. */
function asSoonAsDone(act: () => Promise<unknown>): () => void {
  let isOver = false;
  const run = async (): Promise<void> => {
    while (!isOver) {
      try {
        await act();
      } catch {
        isOver = true;
      }
    }
  };
  void run();
  return () => {
    isOver = true;
  };
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const SETTINGS = frame(4, 0, 0);
const PING = frame(6, 0, 0, Buffer.alloc(8));
const EMPTY_SETTING = frame(4, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0]));

/** A connection over which one frame is sent without end; opened anew whenever it is closed. */
function flood(name: string, frames: Buffer): Hostile {
  const burst = Buffer.concat(Array.from({ length: 500 }, () => frames));
  return {
    name,
    async begin(target) {
      let socket = await knock(target, { alpn: "h2" });
      const greet = (): void => {
        socket.write(Buffer.concat([PREFACE, SETTINGS]));
        socket.resume();
      };
      greet();
      let isOpening = false;
      const stop = again(20, () => {
        if (!socket.destroyed) {
          if (socket.writableLength < burst.length) socket.write(burst);
        } else if (!isOpening) {
          isOpening = true;
          void knock(target, { alpn: "h2" }).then(
            (next) => {
              [socket, isOpening] = [next, false];
              greet();
            },
            () => (isOpening = false),
          );
        }
      });
      return {
        [Symbol.dispose]() {
          stop();
          socket.destroy();
        },
      };
    },
  };
}

const IDLE_CONNECTIONS = 10_000;
const SLOW_CONNECTIONS = 500;
const DEAF_WATCHES = 100;
const PATH = "/api/v1/namespaces/default/configmaps";

const manyMembers = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => text(i)).join("");

/** A body sent once and again, each as soon as the one before it was answered. */
function bodies(name: string, contentType: string, body: () => string): Hostile {
  return {
    name,
    async begin(target) {
      const connection = await ApiConnection.open(target);
      const text = body();
      const call = { method: "POST", path: `${PATH}?dryRun=All`, contentType, body: text } as const;
      const stop = asSoonAsDone(() => connection.send(call));
      return {
        [Symbol.dispose]() {
          stop();
          connection.close();
        },
      };
    },
  };
}

/** Slow ones and those who do not listen: they take no more than their place. */
const SLOW: readonly Hostile[] = [
  {
    name: `${SLOW_CONNECTIONS} senders of slow headers`,
    async begin(target) {
      const sockets = await knockOften(SLOW_CONNECTIONS, target, { alpn: "http/1.1" });
      for (const socket of sockets) socket.write("GET /api HTTP/1.1\r\nhost: a\r\n");
      return ending(
        sockets,
        again(1000, () => {
          for (const socket of sockets) if (!socket.destroyed) socket.write("x-a: b\r\n");
        }),
      );
    },
  },
  {
    name: `${SLOW_CONNECTIONS} senders of slow bodies`,
    async begin(target) {
      const sockets = await knockOften(SLOW_CONNECTIONS, target, { alpn: "http/1.1", isKnown: true });
      const head = `POST ${PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n`;
      for (const socket of sockets) socket.write(head);
      return ending(
        sockets,
        again(1000, () => {
          for (const socket of sockets) if (!socket.destroyed) socket.write(" ");
        }),
      );
    },
  },
  {
    name: `${DEAF_WATCHES} watches that are never read`,
    async begin(target) {
      const sockets = await knockOften(DEAF_WATCHES, target, { alpn: "http/1.1", isKnown: true });
      for (const socket of sockets) {
        socket.pause();
        socket.write("GET /api/v1/pods?watch=1 HTTP/1.1\r\nhost: a\r\n\r\n");
      }
      return ending(sockets);
    },
  },
  {
    name: "a renegotiator of TLS",
    async begin(target) {
      const sockets = await knockOften(20, target, { alpn: "http/1.1", maxVersion: "TLSv1.2" });
      return ending(
        sockets,
        again(100, () => {
          for (const socket of sockets) if (!socket.destroyed) socket.setMaxListeners(0).renegotiate({}, () => {});
        }),
      );
    },
  },
  flood("PINGs without end", PING),
  flood("SETTINGS without end", EMPTY_SETTING),
  flood(
    "headers that never end",
    Buffer.concat([
      frame(1, 0, 1, Buffer.from([0x82])),
      ...Array.from({ length: 50 }, () => frame(9, 0, 1, Buffer.alloc(1000, 0x82))),
    ]),
  ),
  {
    name: `${IDLE_CONNECTIONS} idle connections`,
    begin: async (target) => ending(await knockOften(IDLE_CONNECTIONS, target, { alpn: "http/1.1" })),
  },
];

/** Those who send as fast as they are answered: they get their share of the one thread, and the others wait for it. */
const BUSY: readonly Hostile[] = [
  {
    name: "20,000 streams reset at once",
    async begin(target) {
      const connection = await ApiConnection.open(target);
      const stop = asSoonAsDone(async () => {
        const streams = Array.from({ length: 1000 }, () =>
          connection.start({ method: "GET", path: "/api/v1/pods?limit=1" }),
        );
        for (const stream of streams) {
          stream.on("error", () => {});
          stream.close(8);
        }
        await new Promise<void>((resolve) => setImmediate(resolve));
      });
      return {
        [Symbol.dispose]() {
          stop();
          connection.close();
        },
      };
    },
  },
  bodies("3 MB of YAML", "application/yaml", () => manyMembers(140_000, (i) => `key-${i}: value-${i}\n`)),
  bodies("3 MB of one member of YAML", "application/yaml", () => "a: 1\n".repeat(600_000)),
  bodies("3 MB of escapes in YAML", "application/yaml", () => `a: "${"\\n".repeat(1_500_000)}"`),
  bodies("3 MB of anchors in YAML", "application/yaml", () => "- &a x\n".repeat(430_000)),
  bodies("8 kB of anchors in YAML", "application/yaml", () => "- &a x\n".repeat(1100)),
  bodies(
    "an object of 100,000 members",
    "application/json",
    () => `{${manyMembers(100_000, (i) => `"k${i}":1,`)}"z":1}`,
  ),
  bodies(
    "a map of 100,000 entries",
    "application/json",
    () =>
      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{${manyMembers(99_999, (i) => `"k${i}":"v",`)}"z":"v"}}`,
  ),
  bodies("3 MB of nesting", "application/json", () => `{"a":${"[".repeat(3_000_000)}`),
];

const HOSTILES: readonly Hostile[] = [...SLOW, ...BUSY];

/** What all of them are called. */
export const HOSTILE_NAMES: readonly string[] = HOSTILES.map(({ name }) => name);

/** The one with this name. Throws when there is none. */
export function hostileOf(name: string): Hostile {
  const found = HOSTILES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no hostile client is called ${name}`);
  return found;
}
