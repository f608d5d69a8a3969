// The program of the image localhost/web: greets with what a ConfigMap says, and tells who answers.
const { createServer } = require("node:http");
const { existsSync, readFileSync } = require("node:fs");
const { hostname } = require("node:os");

const version = process.env.VERSION ?? "1";
const file = "/etc/web/greeting";
const greeting = () => (existsSync(file) ? readFileSync(file, "utf8").trim() : "hello");

const server = createServer((request, response) => {
  if (request.url !== "/healthz") console.log(`${request.method} ${request.url}`);
  response.setHeader("connection", "close");
  response.end(`${greeting()} from ${hostname()}, version ${version}\n`);
});
server.listen(8080, () => console.log(`listening, version ${version}`));

// New connections may still come until every node knows that this pod is going.
process.on("SIGTERM", () => setTimeout(() => server.close(() => process.exit(0)), 1500));
