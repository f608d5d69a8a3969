import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";

const GROUP = "wardle.example.com";
const VERSION = "v1alpha1";
const ROOT = `/apis/${GROUP}/${VERSION}`;

/** Who asks, as the front proxy said. */
export interface SampleUser {
  readonly name: string;
  readonly uid: string | undefined;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export interface SampleServerOptions {
  readonly cert: string;
  readonly key: string;
  /** Authority of front proxies. */
  readonly requestHeaderCa: string;
  readonly allowedNames: readonly string[];
  /** Delegated authorisation. */
  readonly mayDo: (user: SampleUser, verb: string, namespace: string, name: string) => Promise<boolean>;
}

/** A server of another API group, as an extension of the API server is written: front-proxy authentication, delegated authorisation. */
export interface SampleServer extends AsyncDisposable {
  readonly port: number;
  /** Requests that came, as `METHOD PATH`, latest last. */
  readonly seen: string[];
  /** Headers of the last request. */
  lastHeaders: IncomingMessage["headers"];
  lastUser: SampleUser | undefined;
  /** How it behaves: honest, or like the servers that one meets. */
  behaviour: "honest" | "mute" | "failing" | "redirecting" | "oldDiscovery" | "lying" | "breaking";
}

type Flunder = { metadata: { name: string; namespace: string; resourceVersion: string }; [member: string]: unknown };

const kindEntry = { group: GROUP, version: VERSION, kind: "Flunder" };
const verbs = ["create", "delete", "get", "list", "watch"];
const RESOURCES = {
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: `${GROUP}/${VERSION}`,
  resources: [
    { name: "flunders", singularName: "flunder", namespaced: true, kind: "Flunder", verbs, shortNames: ["fl"] },
  ],
};
const AGGREGATED = {
  kind: "APIGroupDiscoveryList",
  apiVersion: "apidiscovery.k8s.io/v2",
  metadata: {},
  items: [
    {
      metadata: { name: GROUP },
      versions: [
        {
          version: VERSION,
          resources: [
            {
              resource: "flunders",
              responseKind: kindEntry,
              scope: "Namespaced",
              singularResource: "flunder",
              verbs,
              shortNames: ["fl"],
            },
          ],
          freshness: "Current",
        },
      ],
    },
  ],
};
const OPENAPI_V2 = {
  swagger: "2.0",
  info: { title: "sample", version: "1" },
  paths: {
    [`${ROOT}/namespaces/{namespace}/flunders`]: {
      get: {
        operationId: "listFlunder",
        produces: ["application/json"],
        responses: {
          "200": { description: "OK", schema: { $ref: "#/definitions/com.example.wardle.v1alpha1.Flunder" } },
        },
      },
    },
    "/apis/apps/v1/lies": { get: { responses: {} } },
  },
  definitions: {
    "com.example.wardle.v1alpha1.Flunder": {
      type: "object",
      properties: { metadata: { $ref: "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" } },
      "x-kubernetes-group-version-kind": [kindEntry],
    },
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": { type: "object", description: "an old ObjectMeta" },
    "io.k8s.unused": { type: "string" },
  },
};

/** Starts one on a free port of this host. */
export async function startSampleServer(options: SampleServerOptions): Promise<SampleServer> {
  const flunders = new Map<string, Flunder>();
  const watchers = new Set<ServerResponse>();
  const sockets = new Set<Duplex>();
  let version = 0;

  function userOf(request: IncomingMessage): SampleUser | undefined {
    const certificate = (request.socket as TLSSocket).getPeerCertificate();
    const isProxy =
      (request.socket as TLSSocket).authorized && options.allowedNames.includes(String(certificate.subject?.CN ?? ""));
    const raw = new Map<string, string[]>();
    for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
      const name = request.rawHeaders[i]!.toLowerCase();
      raw.set(name, [...(raw.get(name) ?? []), Buffer.from(request.rawHeaders[i + 1]!, "latin1").toString("utf8")]);
    }
    const name = raw.get("x-remote-user")?.[0];
    if (!isProxy || name === undefined) return undefined;
    const extra: Record<string, string[]> = {};
    for (const [header, values] of raw) {
      if (header.startsWith("x-remote-extra-"))
        extra[decodeURIComponent(header.slice("x-remote-extra-".length))] = values;
    }
    return { name, uid: raw.get("x-remote-uid")?.[0], groups: raw.get("x-remote-group") ?? [], extra };
  }

  function send(
    response: ServerResponse,
    status: number,
    value: unknown,
    type = "application/json",
    etag?: string,
  ): void {
    response.writeHead(status, { "content-type": type, ...(etag === undefined ? {} : { etag }) });
    response.end(JSON.stringify(value));
  }

  const tell = (type: string, object: Flunder): void => {
    for (const watcher of watchers) watcher.write(`${JSON.stringify({ type, object })}\n`);
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "https://sample");
    const method = request.method ?? "GET";
    sample.seen.push(`${method} ${request.url}`);
    sample.lastHeaders = request.headers;
    const { behaviour } = sample;
    if (behaviour === "mute") return;
    if (behaviour === "failing") return send(response, 500, { kind: "Status", code: 500 });
    if (behaviour === "redirecting" && url.pathname.includes("/flunders"))
      return void response.writeHead(302, { location: "https://elsewhere/" }).end();
    const user = userOf(request);
    if (user === undefined) return send(response, 401, { kind: "Status", code: 401, reason: "Unauthorized" });
    sample.lastUser = user;
    if (url.pathname === "/apis") {
      const accepts = request.headers.accept ?? "";
      if (behaviour === "lying")
        return void response.writeHead(200, { "content-type": "application/json;as=APIGroupDiscoveryList" }).end("{");
      if (behaviour === "oldDiscovery" || !accepts.includes("APIGroupDiscoveryList")) return send(response, 406, {});
      if (request.headers["if-none-match"] === '"1"') return void response.writeHead(304).end();
      return send(
        response,
        200,
        AGGREGATED,
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        '"1"',
      );
    }
    if (url.pathname === ROOT) return send(response, 200, RESOURCES);
    if (url.pathname === "/openapi/v2") return send(response, 200, OPENAPI_V2, "application/json", '"o"');
    if (url.pathname === "/openapi/v3" && behaviour !== "oldDiscovery") {
      const serverRelativeURL = `/openapi/v3${ROOT}?hash=ABC`;
      return send(response, 200, {
        paths: { [ROOT.slice(1)]: { serverRelativeURL }, "apis/apps/v1": { serverRelativeURL: "/openapi/v3/lies" } },
      });
    }
    if (url.pathname === `/openapi/v3${ROOT}` && behaviour !== "oldDiscovery")
      return send(response, 200, { openapi: "3.0.0", info: { title: "sample", version: "1" }, paths: {} });
    const match = new RegExp(`^${ROOT}/namespaces/([^/]+)/flunders(?:/([^/]+))?$`).exec(url.pathname);
    if (match === null) return send(response, 404, { kind: "Status", code: 404 });
    const [, namespace = "", name = ""] = match;
    const isWatch = url.searchParams.get("watch") === "true";
    const verb = isWatch
      ? "watch"
      : method === "POST"
        ? "create"
        : method === "DELETE"
          ? "delete"
          : name === ""
            ? "list"
            : "get";
    if (!(await options.mayDo(user, verb, namespace, name))) {
      const message = `flunders.${GROUP} is forbidden: User ${JSON.stringify(user.name)} cannot ${verb} resource "flunders"`;
      return send(response, 403, { kind: "Status", code: 403, reason: "Forbidden", message });
    }
    const key = `${namespace}/${name}`;
    switch (verb) {
      case "list":
        return send(response, 200, {
          kind: "FlunderList",
          apiVersion: `${GROUP}/${VERSION}`,
          metadata: { resourceVersion: String(version) },
          items: [...flunders.values()].filter(({ metadata }) => metadata.namespace === namespace),
        });
      case "get": {
        const found = flunders.get(key);
        return found === undefined
          ? send(response, 404, { kind: "Status", code: 404, reason: "NotFound" })
          : send(response, 200, found);
      }
      case "watch":
        response.writeHead(200, { "content-type": "application/json", "transfer-encoding": "chunked" });
        response.flushHeaders();
        for (const object of flunders.values()) response.write(`${JSON.stringify({ type: "ADDED", object })}\n`);
        watchers.add(response);
        if (behaviour === "breaking") response.write("{", () => response.destroy());
        response.once("close", () => watchers.delete(response));
        return;
      case "create": {
        let text = "";
        for await (const chunk of request) text += String(chunk);
        const body = JSON.parse(text) as Flunder;
        const object = { ...body, metadata: { ...body.metadata, namespace, resourceVersion: String(++version) } };
        flunders.set(`${namespace}/${object.metadata.name}`, object);
        tell("ADDED", object);
        return send(response, 201, object);
      }
      case "delete": {
        const gone = flunders.get(key);
        flunders.delete(key);
        if (gone !== undefined) tell("DELETED", gone);
        return send(response, 200, { kind: "Status", status: "Success" });
      }
    }
  }

  const server = createServer(
    { cert: options.cert, key: options.key, ca: options.requestHeaderCa, requestCert: true, rejectUnauthorized: false },
    (request, response) => void serve(request, response),
  );
  server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    sample.lastUser = userOf(request);
    sample.lastHeaders = request.headers;
    if (sample.lastUser === undefined) return void socket.end("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
    const protocol = request.headers.upgrade ?? "";
    const key = `${request.headers["sec-websocket-key"] ?? ""}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash("sha1").update(key).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  server.on("secureConnection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const sample: SampleServer = {
    port: (server.address() as AddressInfo).port,
    seen: [],
    lastHeaders: {},
    lastUser: undefined,
    behaviour: "honest",
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return sample;
}
