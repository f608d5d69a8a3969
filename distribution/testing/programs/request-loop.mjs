// request-loop.mjs URL INTERVAL_MS: one request after another, each on a connection of its own, until SIGTERM; then
// prints {"ok", "failed", "failures", "bodies"} as its last line. Prints "started" after the first answer.
import { get } from "node:http";

const [url, interval] = process.argv.slice(2);
const result = { ok: 0, failed: 0, failures: [], bodies: {} };
let isOver = false;
process.on("SIGTERM", () => (isOver = true));

function request() {
  return new Promise((resolve, reject) => {
    const sent = get(url, { agent: false, timeout: 5000 }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("error", reject);
      response.on("end", () =>
        response.statusCode === 200 ? resolve(text.trim()) : reject(new Error(`status ${response.statusCode}`)),
      );
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer within 5 s")));
    sent.on("error", reject);
  });
}

while (!isOver) {
  try {
    const body = await request();
    result.bodies[body] = (result.bodies[body] ?? 0) + 1;
    if (result.ok++ === 0) console.log("started");
  } catch (error) {
    result.failed++;
    if (result.failures.length < 20) result.failures.push(`${new Date().toISOString()} ${error.code ?? error.message}`);
  }
  await new Promise((resolve) => setTimeout(resolve, Number(interval)));
}
console.log(JSON.stringify(result));
