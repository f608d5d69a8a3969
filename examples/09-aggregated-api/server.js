// An API server of our own: serves flunders.example.com/v1 behind the cluster's API server, as an extension is written.
// It trusts the front proxy to say who asks, asks the cluster what they may do, and keeps its objects in memory.
const { createServer, request: httpsRequest } = require("node:https");
const { readFileSync } = require("node:fs");

const GROUP = "flunders.example.com";
const ROOT = `/apis/${GROUP}/v1`;
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const VERBS = ["create", "delete", "get", "list", "watch"];
const RESOURCE = {
  name: "flunders",
  singularName: "flunder",
  namespaced: true,
  kind: "Flunder",
  shortNames: ["fl"],
  verbs: VERBS,
};

/** Asks the cluster's API server, as this pod's service account. */
function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${readFileSync(`${ACCOUNT}/token`, "utf8")}`,
      "content-type": "application/json",
    };
    const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
    const outgoing = httpsRequest(
      { host, port, method, path, headers, ca: readFileSync(`${ACCOUNT}/ca.crt`) },
      (answer) => {
        let text = "";
        answer.on("data", (chunk) => (text += chunk));
        answer.on("end", () =>
          answer.statusCode < 300
            ? resolve(JSON.parse(text))
            : reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`)),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const objects = new Map();
const watchers = new Set();
let version = 0;

const failure = (code, reason, message) => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  code,
  reason,
  message,
});

function changed(type, object) {
  for (const { namespace, response } of watchers)
    if (namespace === "" || namespace === object.metadata.namespace)
      response.write(`${JSON.stringify({ type, object })}\n`);
}

/** Who asks: believed only from a connection that shows the front proxy's certificate. */
function userOf(request, allowedNames) {
  const { socket } = request;
  const name = socket.getPeerCertificate().subject?.CN;
  if (!socket.authorized || (allowedNames.length > 0 && !allowedNames.includes(name))) return undefined;
  const user = request.headers["x-remote-user"];
  const groups = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2)
    if (request.rawHeaders[i].toLowerCase() === "x-remote-group") groups.push(request.rawHeaders[i + 1]);
  return user === undefined ? undefined : { user, groups };
}

async function bodyOf(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return JSON.parse(text);
}

async function serve(request, response, allowedNames) {
  const send = (code, value) =>
    response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(value));
  const url = new URL(request.url, "https://api");
  const user = userOf(request, allowedNames);
  if (user === undefined) return send(401, failure(401, "Unauthorized", "Unauthorized"));
  if (url.pathname === ROOT)
    return send(200, { kind: "APIResourceList", apiVersion: "v1", groupVersion: `${GROUP}/v1`, resources: [RESOURCE] });
  const match = url.pathname.match(new RegExp(`^${ROOT}(?:/namespaces/([^/]+))?/flunders(?:/([^/]+))?$`));
  if (match === null) return send(404, failure(404, "NotFound", "the server could not find the requested resource"));
  const [, namespace = "", name = ""] = match;
  const isWatch = url.searchParams.get("watch") === "true" || url.searchParams.get("watch") === "1";
  const verb =
    { POST: "create", DELETE: "delete" }[request.method] ?? (isWatch ? "watch" : name === "" ? "list" : "get");
  const resourceAttributes = { group: GROUP, version: "v1", resource: "flunders", verb, namespace, name };
  const review = await ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
    kind: "SubjectAccessReview",
    apiVersion: "authorization.k8s.io/v1",
    spec: { ...user, resourceAttributes },
  });
  if (!review.status.allowed)
    return send(
      403,
      failure(403, "Forbidden", `flunders.${GROUP} is forbidden: User "${user.user}" cannot ${verb} them`),
    );
  const found = [...objects.values()].filter(({ metadata }) => namespace === "" || metadata.namespace === namespace);
  const one = objects.get(`${namespace}/${name}`);
  switch (verb) {
    case "list":
      return send(200, {
        kind: "FlunderList",
        apiVersion: `${GROUP}/v1`,
        metadata: { resourceVersion: `${version}` },
        items: found,
      });
    case "watch": {
      response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
      const watcher = { namespace, response };
      watchers.add(watcher);
      response.on("close", () => watchers.delete(watcher));
      if (!Number(url.searchParams.get("resourceVersion")))
        for (const object of found) response.write(`${JSON.stringify({ type: "ADDED", object })}\n`);
      return;
    }
    case "create": {
      const object = await bodyOf(request);
      const key = `${namespace}/${object.metadata.name}`;
      if (objects.has(key))
        return send(409, failure(409, "AlreadyExists", `flunders.${GROUP} "${object.metadata.name}" already exists`));
      Object.assign(object, { kind: "Flunder", apiVersion: `${GROUP}/v1` });
      const creationTimestamp = new Date().toISOString().replace(/\.\d+Z$/, "Z");
      const annotations = { ...object.metadata.annotations, "flunders.example.com/made-by": user.user };
      Object.assign(object.metadata, {
        namespace,
        uid: crypto.randomUUID(),
        creationTimestamp,
        annotations,
        resourceVersion: `${++version}`,
      });
      objects.set(key, object);
      changed("ADDED", object);
      return send(201, object);
    }
    default: {
      if (one === undefined) return send(404, failure(404, "NotFound", `flunders.${GROUP} "${name}" not found`));
      if (verb === "get") return send(200, one);
      objects.delete(`${namespace}/${name}`);
      one.metadata.resourceVersion = `${++version}`;
      changed("DELETED", one);
      return send(200, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" });
    }
  }
}

async function main() {
  const { data } = await ask("GET", "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication");
  const allowedNames = JSON.parse(data["requestheader-allowed-names"]);
  const tls = {
    cert: readFileSync("/serving/tls.crt"),
    key: readFileSync("/serving/tls.key"),
    ca: data["requestheader-client-ca-file"],
  };
  const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    serve(request, response, allowedNames).catch((error) => {
      console.error(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  server.listen(8443, () => console.log("listening"));
  process.on("SIGTERM", () => process.exit(0));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
