import type { Pod } from "@coracle/api/core/v1";
import { badRequest, statusError } from "@coracle/apimachinery";
import type { Clock, Random } from "@coracle/base";
import { attributesOf, mustBeAllowed, type Authorizer } from "../authorization/authorizer.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { ApiRequest } from "../server/api-request.ts";
import type { Connector } from "../server/resource-routes.ts";
import { hostOf, type Backend } from "./backend.ts";
import { containerOf, kubeletOf, podNamed } from "./kubelet-location.ts";
import {
  backendPath,
  isGlobalUnicast,
  mustBeProxyable,
  portNumber,
  serviceTarget,
  splitProxyName,
  type AddressRule,
} from "./proxy-target.ts";
import { proxyRequest } from "./proxy.ts";
import { streamCommand, streamPorts } from "./stream-translation.ts";
import { tunnelUpgrade } from "./tunnel.ts";

export interface ConnectorOptions {
  readonly objects: RegistryReader;
  /** How this server proves itself to kubelets, and whom it trusts to be one. */
  readonly kubeletClient: { readonly cert: string; readonly key: string; readonly ca?: string | undefined } | undefined;
  /** Types of a node's addresses that its kubelet is asked for at, best first. */
  readonly kubeletAddressTypes?: readonly string[] | undefined;
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  readonly random: Random;
  /** Where the proxy subresources may lead. Absent: anywhere but to this host and its link. */
  readonly mayProxyTo?: AddressRule | undefined;
}

const isTrue = (value: string | null): boolean => value !== null && value.toLowerCase() !== "false" && value !== "0";
const segment = encodeURIComponent;
const PROXY_METHODS = new Set(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);

/** Subresources that are answered by a kubelet, a pod or a service rather than by this server. */
export function createConnectors(options: ConnectorOptions): ReadonlyMap<string, Connector> {
  const { objects, kubeletClient, clock, random } = options;
  const mayProxyTo = options.mayProxyTo ?? isGlobalUnicast;

  async function kubelet(nodeName: string, path: string): Promise<Backend> {
    const location = await kubeletOf(objects, nodeName, options.kubeletAddressTypes);
    const [hostHeader, now] = [hostOf({ ...location, isTls: true }), clock.now()];
    return { ...location, isTls: true, path, tls: kubeletClient, hostHeader, now };
  }

  function nodeOf(pod: Pod): string {
    const nodeName = pod.spec?.nodeName ?? "";
    if (nodeName === "") throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
    return nodeName;
  }

  /** Exec and the like change things: a GET that upgrades to WebSocket needs the permission to create, too. */
  async function mustMayCreate(request: ApiRequest): Promise<void> {
    if (request.info.verb !== "get") return;
    await mustBeAllowed(options.authorizer, { ...attributesOf(request.user, request.info, undefined), verb: "create" });
  }

  const log: Connector = async (request) => {
    const { namespace, name } = request.info;
    const pod = await podNamed(objects, namespace, name);
    const container = containerOf(pod, request.query.get("container") ?? "");
    const nodeName = pod.spec?.nodeName ?? "";
    if (nodeName === "") {
      // Not scheduled yet: there is a log, and it is empty.
      request.exchange.send(200, { "content-type": "text/plain", "audit-id": request.auditId }, Buffer.alloc(0));
      return;
    }
    const query = new URLSearchParams();
    for (const key of ["follow", "previous", "timestamps"]) if (isTrue(request.query.get(key))) query.set(key, "true");
    for (const key of ["sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"]) {
      const value = request.query.get(key);
      if (value !== null && value !== "") query.set(key, value);
    }
    const path = `/containerLogs/${segment(namespace)}/${segment(name)}/${segment(container)}`;
    const backend = await kubelet(nodeName, query.size === 0 ? path : `${path}?${query.toString()}`);
    await proxyRequest(request, backend, {
      turnsErrorsIntoStatus: true,
      contentType: "text/plain",
      unreachable: (why) => statusError("", `Get "https://${hostOf(backend)}${backend.path}": ${why}`),
    });
  };

  const stream =
    (kind: "exec" | "attach"): Connector =>
    async (request) => {
      const { namespace, name } = request.info;
      await mustMayCreate(request);
      const pod = await podNamed(objects, namespace, name);
      const container = containerOf(pod, request.query.get("container") ?? "");
      const query = new URLSearchParams();
      if (isTrue(request.query.get("stdin"))) query.set("input", "1");
      if (isTrue(request.query.get("stdout"))) query.set("output", "1");
      if (isTrue(request.query.get("stderr"))) query.set("error", "1");
      if (isTrue(request.query.get("tty"))) query.set("tty", "1");
      if (kind === "exec") for (const word of request.query.getAll("command")) query.append("command", word);
      const path = `/${kind}/${segment(namespace)}/${segment(name)}/${segment(container)}`;
      const [stdin, stdout, stderr] = [query.has("input"), query.has("output"), query.has("error")];
      const streams = { stdin, stdout, stderr, tty: query.has("tty") };
      await streamCommand(request, await kubelet(nodeOf(pod), `${path}?${query.toString()}`), streams);
    };

  const portForward: Connector = async (request) => {
    const { namespace, name } = request.info;
    await mustMayCreate(request);
    const pod = await podNamed(objects, namespace, name);
    const query = new URLSearchParams();
    for (const ports of request.query.getAll("ports")) for (const port of ports.split(",")) query.append("port", port);
    const path = `/portForward/${segment(namespace)}/${segment(name)}`;
    const backend = await kubelet(nodeOf(pod), query.size === 0 ? path : `${path}?${query.toString()}`);
    await streamPorts(request, backend);
  };

  /** A proxied request, upgraded or plain. */
  async function pass(request: ApiRequest, target: Omit<Backend, "path" | "now">): Promise<void> {
    const { exchange, info, auditId } = request;
    if (!PROXY_METHODS.has(exchange.method))
      throw statusError("MethodNotAllowed", "the server does not allow this method on the requested resource", {});
    const path = backendPath(exchange.path, info.rest);
    const query = exchange.query === "" ? "" : `?${exchange.query}`;
    const backend = { ...target, path: `${path === "" ? "/" : path}${query}`, now: clock.now() };
    if (exchange.upgrade !== undefined) return await tunnelUpgrade(request, backend);
    const isRead = exchange.method === "GET" || exchange.method === "HEAD";
    if (isRead && path === "") {
      // Relative links of the first page would lead out of the proxy.
      exchange.send(301, { location: `${exchange.path}/${query}`, "audit-id": auditId }, undefined);
      return;
    }
    const inNamespace = info.namespace === "" ? "" : `/namespaces/${info.namespace}`;
    const linkPrefix = `/api/v1${inNamespace}/${info.resource}/${info.name}/proxy`;
    await proxyRequest(request, backend, { linkPrefix });
  }

  const nodeProxy: Connector = async (request) => {
    const { scheme, name, port } = splitProxyName(request.info.name, "node");
    const own = await kubeletOf(objects, name, options.kubeletAddressTypes);
    await mustBeProxyable(own.host, mayProxyTo);
    if (port === "" || port === String(own.port)) await pass(request, { ...own, isTls: true, tls: kubeletClient });
    // Whatever else listens there is no kubelet: it is shown no certificate, and asked for none that we know.
    else await pass(request, { host: own.host, port: portNumber(port), isTls: scheme === "https" });
  };

  const podProxy: Connector = async (request) => {
    const { scheme, name, port } = splitProxyName(request.info.name, "pod");
    const pod = await podNamed(objects, request.info.namespace, name);
    const host = pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? "";
    if (!mayProxyTo(host)) throw badRequest("address not allowed");
    const first = (pod.spec?.containers ?? []).flatMap((container) => container.ports ?? [])[0]?.containerPort;
    const isTls = scheme === "https";
    await pass(request, { host, port: port === "" ? (first ?? (isTls ? 443 : 80)) : portNumber(port), isTls });
  };

  const serviceProxy: Connector = async (request) => {
    const { namespace, name: id } = request.info;
    const name = splitProxyName(id, "service");
    const target = await serviceTarget(objects, random, namespace, id, name);
    await pass(request, { ...target, isTls: name.scheme === "https" });
  };

  return new Map<string, Connector>([
    ["pods/log", log],
    ["pods/exec", stream("exec")],
    ["pods/attach", stream("attach")],
    ["pods/portforward", portForward],
    ["nodes/proxy", nodeProxy],
    ["pods/proxy", podProxy],
    ["services/proxy", serviceProxy],
  ]);
}
