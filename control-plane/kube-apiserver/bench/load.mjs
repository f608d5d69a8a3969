// Requests per CPU second of an API server's process, over HTTP/2 and TLS.
// usage: node load.mjs KUBECONFIG PID [get|list|create|watch ...]
import { readFileSync } from "node:fs";
import { connect } from "node:http2";

const [, , kubeconfig, pid, ...wanted] = process.argv;
const config = JSON.parse(readFileSync(kubeconfig, "utf8"));
const { cluster } = config.clusters[0];
const { user } = config.users[0];
const decode = (text) => Buffer.from(text, "base64").toString();
const open = () => {
  const session = connect(cluster.server, {
    ca: decode(cluster["certificate-authority-data"]),
    cert: decode(user["client-certificate-data"]),
    key: decode(user["client-key-data"]),
    settings: { initialWindowSize: 4 << 20 },
  });
  session.on("connect", () => session.setLocalWindowSize(32 << 20));
  return session;
};
const TICKS = 100;
const cpuSeconds = () => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
};
const say = (bench, value, unit, extra = {}) =>
  console.log(JSON.stringify({ bench, metric: unit, value: Math.round(value), ...extra }));

function request(session, method, path, body, type = "application/json") {
  return new Promise((resolve, reject) => {
    const stream = session.request(
      { ":method": method, ":path": path, accept: "application/json", ...(body ? { "content-type": type } : {}) },
      { endStream: body === undefined },
    );
    let status;
    let bytes = 0;
    const chunks = [];
    stream.on("response", (headers) => (status = headers[":status"]));
    stream.on("data", (chunk) => {
      bytes += chunk.length;
      if (bytes < 4096) chunks.push(chunk);
    });
    stream.on("end", () => resolve({ status, bytes, text: () => Buffer.concat(chunks).toString() }));
    stream.on("error", reject);
    if (body !== undefined) stream.end(body);
  });
}

const env = Array.from({ length: 12 }, (_, i) => ({ name: `VARIABLE_${i}`, value: "some value that is of use" }));
const pod = (name) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "bench", labels: { app: "bench", tier: "front" } },
    spec: {
      automountServiceAccountToken: false,
      containers: [
        {
          name: "a",
          image: "registry.k8s.io/pause:3.10",
          env,
          resources: { requests: { cpu: "10m", memory: "20Mi" } },
        },
      ],
    },
  });

async function pool(count, total, work) {
  let next = 0;
  await Promise.all(
    Array.from({ length: count }, async () => {
      while (next < total) await work(next++);
    }),
  );
}

async function measured(bench, total, action, unit = "per CPU second") {
  const from = performance.now();
  const cpu = cpuSeconds();
  await action();
  const used = cpuSeconds() - cpu;
  say(bench, total / used, unit, {
    cpuSeconds: Number(used.toFixed(2)),
    wallSeconds: Number(((performance.now() - from) / 1000).toFixed(2)),
  });
}

const session = open();
const make = (method, path, object) => request(session, method, path, JSON.stringify(object));
await make("POST", "/api/v1/namespaces", { metadata: { name: "bench" } });
await make("POST", "/api/v1/namespaces/bench/serviceaccounts", { metadata: { name: "default" } });
const run = (name) => wanted.length === 0 || wanted.includes(name);
const round = Date.now().toString(36);
const PODS = "/api/v1/namespaces/bench/pods";

if (run("create")) {
  await pool(32, 500, (i) => request(session, "POST", PODS, pod(`warm-${round}-${i}`)));
  await measured("create", 2000, () =>
    pool(64, 2000, async (i) => {
      const { status, text } = await request(session, "POST", PODS, pod(`one-${round}-${i}`));
      if (status !== 201) throw new Error(text());
    }),
  );
}
await request(session, "POST", PODS, pod("target"));
if (run("get")) {
  await pool(64, 5000, () => request(session, "GET", `${PODS}/target`));
  await measured("get", 20000, () =>
    pool(64, 20000, async () => {
      const { status } = await request(session, "GET", `${PODS}/target`);
      if (status !== 200) throw new Error(String(status));
    }),
  );
}
if (run("watch")) {
  const sessions = [open(), open(), open(), open()];
  let delivered = 0;
  const streams = [];
  const { text } = await request(session, "GET", `${PODS}?limit=1`);
  const version = /"resourceVersion":"(\d+)"/.exec(text())[1];
  for (let i = 0; i < 800; i++) {
    const stream = sessions[i % 4].request({
      ":path": `${PODS}?watch=true&resourceVersion=${version}&fieldSelector=metadata.name%3Dtarget`,
    });
    stream.on("data", (chunk) => {
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) delivered += 1;
    });
    stream.on("error", () => {});
    streams.push(new Promise((resolve) => stream.on("response", resolve)));
  }
  await Promise.all(streams);
  const changes = 200;
  await measured(
    "watch",
    changes * 800,
    async () => {
      for (let i = 0; i < changes; i++) {
        await request(
          session,
          "PATCH",
          `${PODS}/target`,
          JSON.stringify({ metadata: { annotations: { n: `${round}${i}` } } }),
          "application/merge-patch+json",
        );
      }
      while (delivered < changes * 800) await new Promise((resolve) => setTimeout(resolve, 5));
    },
    "deliveries per CPU second",
  );
  for (const one of sessions) one.destroy();
}
if (run("list")) {
  const { text } = await request(session, "GET", `${PODS}?limit=1`);
  const have = Number(/"remainingItemCount":(\d+)/.exec(text())?.[1] ?? 0) + 1;
  await pool(64, Math.max(0, 10000 - have), (i) => request(session, "POST", PODS, pod(`fill-${round}-${i}`)));
  await request(session, "GET", PODS);
  let bytes = 0;
  await measured("list", 20, async () => {
    for (let i = 0; i < 20; i++) bytes = (await request(session, "GET", PODS)).bytes;
  });
  console.log(JSON.stringify({ bench: "list", metric: "bytes", value: bytes }));
}
session.close();
