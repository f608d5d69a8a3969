import { badRequest, notFound, serviceUnavailable } from "@coracle/apimachinery";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import type { Pod, Service } from "@coracle/api/core/v1";
import { attributesOf, mustBeAllowed, type Authorizer } from "../authorization/authorizer.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { ApiRequest } from "../server/api-request.ts";
import type { Connector } from "../server/resource-routes.ts";
import { containerOf, kubeletOf, podNamed } from "./kubelet-location.ts";
import { proxyRequest } from "./proxy.ts";
import { tunnelUpgrade, type Backend } from "./tunnel.ts";

export interface ConnectorOptions {
  readonly objects: RegistryReader;
  /** How this server proves itself to kubelets, and whom it trusts to be one. */
  readonly kubeletClient: { readonly cert: string; readonly key: string; readonly ca?: string | undefined } | undefined;
  readonly authorizer: Authorizer;
}

const isTrue = (value: string | null): boolean => value !== null && value !== "false" && value !== "0";
const segment = encodeURIComponent;

/** `[SCHEME:]NAME[:PORT]`, as names of proxied things may be written. */
function splitProxyName(text: string): { scheme: string; name: string; port: string } {
  const parts = text.split(":");
  if (parts.length === 3) return { scheme: parts[0]!, name: parts[1]!, port: parts[2]! };
  return { scheme: "", name: parts[0] ?? "", port: parts[1] ?? "" };
}

/** Subresources that are answered by a kubelet, a pod or a service rather than by this server. */
export function createConnectors(options: ConnectorOptions): ReadonlyMap<string, Connector> {
  const { objects, kubeletClient } = options;

  async function kubelet(nodeName: string, path: string): Promise<Backend> {
    return { ...(await kubeletOf(objects, nodeName)), isTls: true, path, tls: kubeletClient };
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
    await proxyRequest(request, backend, { turnsErrorsIntoStatus: true, contentType: "text/plain" });
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
      await tunnelUpgrade(request, await kubelet(nodeOf(pod), `${path}?${query.toString()}`));
    };

  const portForward: Connector = async (request) => {
    const { namespace, name } = request.info;
    await mustMayCreate(request);
    const pod = await podNamed(objects, namespace, name);
    const query = new URLSearchParams();
    for (const ports of request.query.getAll("ports")) for (const port of ports.split(",")) query.append("port", port);
    const path = `/portForward/${segment(namespace)}/${segment(name)}`;
    const backend = await kubelet(nodeOf(pod), query.size === 0 ? path : `${path}?${query.toString()}`);
    await tunnelUpgrade(request, backend);
  };

  /** A proxied request, upgraded or plain. */
  async function pass(request: ApiRequest, backend: Backend): Promise<void> {
    const { exchange, info, auditId } = request;
    if (exchange.upgrade !== undefined) return await tunnelUpgrade(request, backend);
    const isRead = exchange.method === "GET" || exchange.method === "HEAD";
    if (isRead && info.rest === "" && !exchange.path.endsWith("/")) {
      // Relative links of the first page would lead out of the proxy.
      const query = exchange.query === "" ? "" : `?${exchange.query}`;
      exchange.send(301, { location: `${exchange.path}/${query}`, "audit-id": auditId }, Buffer.alloc(0));
      return;
    }
    const inNamespace = info.namespace === "" ? "" : `/namespaces/${info.namespace}`;
    const linkPrefix = `/api/v1${inNamespace}/${info.resource}/${info.name}/proxy`;
    await proxyRequest(request, backend, { linkPrefix });
  }

  function proxyPath(request: ApiRequest): string {
    const path = request.info.rest === "" ? "/" : request.info.rest;
    return request.exchange.query === "" ? path : `${path}?${request.exchange.query}`;
  }

  const nodeProxy: Connector = async (request) => {
    const { name, port } = splitProxyName(request.info.name);
    const backend = await kubelet(name, proxyPath(request));
    await pass(request, port === "" ? backend : { ...backend, port: Number(port) });
  };

  const podProxy: Connector = async (request) => {
    const { scheme, name, port } = splitProxyName(request.info.name);
    const pod = await podNamed(objects, request.info.namespace, name);
    const host = pod.status?.podIP ?? "";
    if (host === "") throw badRequest("address not allowed");
    const first = (pod.spec?.containers ?? []).flatMap((container) => container.ports ?? [])[0]?.containerPort;
    const isTls = scheme === "https";
    await pass(request, { host, port: Number(port || first || 80), isTls, path: proxyPath(request) });
  };

  const serviceProxy: Connector = async (request) => {
    const { namespace } = request.info;
    const { scheme, name, port } = splitProxyName(request.info.name);
    const ref = { group: "", version: "v1", plural: "services" };
    const service = (await objects.get(ref, namespace, name)) as unknown as Service | undefined;
    if (service === undefined) throw notFound({ group: "", resource: "services" }, name);
    const ports = service.spec?.ports ?? [];
    const wanted =
      port === "" && ports.length === 1
        ? ports[0]
        : ports.find((one) => one.name === port || String(one.port) === port);
    if (wanted === undefined)
      throw serviceUnavailable(`no service port ${JSON.stringify(port)} found for service ${JSON.stringify(name)}`);
    const slices = (await objects.list(
      { group: "discovery.k8s.io", version: "v1", plural: "endpointslices" },
      namespace,
      {
        labelSelector: `kubernetes.io/service-name=${name}`,
      },
    )) as unknown as readonly EndpointSlice[];
    for (const slice of slices) {
      const target = (slice.ports ?? []).find((one) => (one.name ?? "") === (wanted.name ?? ""))?.port;
      const host = slice.endpoints.find((endpoint) => endpoint.conditions?.ready !== false)?.addresses[0];
      if (target === undefined || host === undefined) continue;
      return pass(request, { host, port: target, isTls: scheme === "https", path: proxyPath(request) });
    }
    throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`);
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
