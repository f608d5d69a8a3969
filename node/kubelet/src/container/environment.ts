import type { ConfigMap, Container, EnvVar, Pod, Secret, Service } from "@coracle/api/core/v1";
import { fieldValue, resourceValue, type NodeAmounts } from "./downward.ts";
import { expandVariables } from "./expansion.ts";

/** Something that the container needs and that is not there (yet). Its message is the container's waiting message. */
export class ContainerConfigError extends Error {
  override readonly name = "ContainerConfigError";
}

/** Where variables get their values from. */
export interface EnvironmentSources {
  configMap(name: string): ConfigMap | undefined;
  secret(name: string): Secret | undefined;
  /** Services of the pod's namespace and the `kubernetes` service of `default`. */
  readonly services: readonly Service[];
  readonly podIps: readonly string[];
  readonly nodeIps: readonly string[];
  readonly node: NodeAmounts;
}

/** The variables of a container, in the order in which they are set. */
export function containerEnvironment(
  pod: Pod,
  container: Container,
  sources: EnvironmentSources,
): ReadonlyMap<string, string | Buffer> {
  const links = serviceVariables(pod, sources.services);
  const result = new Map<string, string | Buffer>();
  for (const source of container.envFrom ?? []) {
    const prefix = source.prefix ?? "";
    const from = source.configMapRef ?? source.secretRef;
    const kind = source.configMapRef === undefined ? "secret" : "configmap";
    const object =
      source.configMapRef === undefined
        ? sources.secret(source.secretRef?.name ?? "")
        : sources.configMap(source.configMapRef.name ?? "");
    if (object === undefined) {
      if (from?.optional === true) continue;
      throw new ContainerConfigError(`${kind} "${from?.name ?? ""}" not found`);
    }
    for (const [key, value] of Object.entries(object.data ?? {})) {
      result.set(prefix + key, kind === "secret" ? Buffer.from(value, "base64") : value);
    }
  }
  const text = (name: string): string | undefined => {
    const value = result.get(name) ?? links.get(name);
    return value === undefined ? undefined : typeof value === "string" ? value : value.toString("utf8");
  };
  for (const variable of container.env ?? []) {
    const value = variableValue(pod, container, variable, sources, text);
    if (value !== undefined) result.set(variable.name, value);
  }
  for (const [name, value] of links) if (!result.has(name)) result.set(name, value);
  return result;
}

function variableValue(
  pod: Pod,
  container: Container,
  variable: EnvVar,
  sources: EnvironmentSources,
  lookup: (name: string) => string | undefined,
): string | Buffer | undefined {
  const from = variable.valueFrom;
  if (from === undefined || (variable.value !== undefined && variable.value !== "")) {
    return expandVariables(variable.value ?? "", lookup);
  }
  if (from.fieldRef !== undefined) {
    return fieldValue(pod, from.fieldRef.fieldPath, { podIps: sources.podIps, nodeIps: sources.nodeIps }) ?? "";
  }
  if (from.resourceFieldRef !== undefined) {
    const name = from.resourceFieldRef.containerName;
    const of = name === undefined || name === "" ? container : findContainer(pod, name);
    if (of === undefined) throw new ContainerConfigError(`container ${name} not found`);
    return resourceValue(of, from.resourceFieldRef, sources.node);
  }
  const isSecret = from.secretKeyRef !== undefined;
  const ref = from.configMapKeyRef ?? from.secretKeyRef;
  if (ref === undefined) return undefined;
  const kind = isSecret ? "secret" : "configmap";
  const object = isSecret ? sources.secret(ref.name ?? "") : sources.configMap(ref.name ?? "");
  if (object === undefined) {
    if (ref.optional === true) return undefined;
    throw new ContainerConfigError(`${kind} "${ref.name ?? ""}" not found`);
  }
  const value = object.data?.[ref.key];
  if (value === undefined) {
    if (ref.optional === true) return undefined;
    const where = `${pod.metadata.namespace ?? ""}/${ref.name ?? ""}`;
    throw new ContainerConfigError(`couldn't find key ${ref.key} in ${isSecret ? "Secret" : "ConfigMap"} ${where}`);
  }
  return isSecret ? Buffer.from(value, "base64") : value;
}

export function findContainer(pod: Pod, name: string): Container | undefined {
  return [
    ...(pod.spec?.containers ?? []),
    ...(pod.spec?.initContainers ?? []),
    ...((pod.spec?.ephemeralContainers ?? []) as readonly Container[]),
  ].find((container) => container.name === name);
}

/** `NAME_SERVICE_HOST` and the link variables, for the services that a pod sees. */
export function serviceVariables(pod: Pod, services: readonly Service[]): ReadonlyMap<string, string> {
  const out = new Map<string, string>();
  const own = pod.spec?.enableServiceLinks !== false;
  for (const service of services) {
    const { namespace, name = "" } = service.metadata;
    const isMaster = namespace === "default" && name === "kubernetes";
    if (!isMaster && !(own && namespace === pod.metadata.namespace)) continue;
    const ip = service.spec?.clusterIP ?? "";
    const [first] = service.spec?.ports ?? [];
    if (ip === "" || ip === "None" || first === undefined) continue;
    const prefix = name.toUpperCase().replaceAll("-", "_");
    const host = ip.includes(":") ? `[${ip}]` : ip;
    out.set(`${prefix}_SERVICE_HOST`, ip);
    out.set(`${prefix}_SERVICE_PORT`, String(first.port));
    for (const port of service.spec?.ports ?? []) {
      if (port.name !== undefined && port.name !== "") {
        out.set(`${prefix}_SERVICE_PORT_${port.name.toUpperCase().replaceAll("-", "_")}`, String(port.port));
      }
    }
    const protocolOf = (protocol: string | undefined): string => (protocol ?? "TCP").toLowerCase();
    out.set(`${prefix}_PORT`, `${protocolOf(first.protocol)}://${host}:${first.port}`);
    for (const port of service.spec?.ports ?? []) {
      const protocol = protocolOf(port.protocol);
      const link = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
      out.set(link, `${protocol}://${host}:${port.port}`);
      out.set(`${link}_PROTO`, protocol);
      out.set(`${link}_PORT`, String(port.port));
      out.set(`${link}_ADDR`, ip);
    }
  }
  return out;
}
