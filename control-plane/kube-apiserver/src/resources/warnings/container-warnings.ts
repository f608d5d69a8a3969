import type { Container, ContainerPort, PodSpec } from "@coracle/api/core/v1";
import { text, type Decoded } from "../validation/decoded.ts";
import { warningsForBytes } from "./amount-warnings.ts";

/** A container and where it stands. */
export interface PlacedContainer {
  readonly container: Decoded<Container>;
  readonly path: string;
}

const LISTS = ["initContainers", "containers", "ephemeralContainers"] as const;

/** All containers of a pod. `path`: of its spec. */
export function placedContainers(path: string, spec: Decoded<PodSpec>): PlacedContainer[] {
  const out: PlacedContainer[] = [];
  for (const list of LISTS)
    spec[list]?.forEach((container, i) => out.push({ container, path: `${path}.${list}[${i}]` }));
  return out;
}

const BYTES: readonly string[] = ["memory"];
const DISK_BYTES: readonly string[] = ["ephemeral-storage"];

/** Amounts and variables of one container. */
export function warningsForContainer({ container, path }: PlacedContainer): string[] {
  const { resources } = container;
  const out: string[] = [];
  if (resources !== undefined)
    for (const names of [BYTES, DISK_BYTES])
      out.push(
        ...warningsForBytes(`${path}.resources.limits`, resources.limits, names),
        ...warningsForBytes(`${path}.resources.requests`, resources.requests, names),
      );
  if ((container.env ?? []).length > 1) out.push(...hiddenVariables(path, container));
  return out;
}

/** A name that comes again is sound only where its new value builds on the old one. */
function hiddenVariables(path: string, { env }: Decoded<Container>): string[] {
  const names = new Set<string>();
  const out: string[] = [];
  env?.forEach(({ name, value, valueFrom }, i) => {
    const before = `$(${text(name)})`;
    const isBad = valueFrom !== undefined || value === before || !text(value).includes(before);
    if (names.has(text(name)) && isBad)
      out.push(
        `${path}.env[${i}]: hides previous definition of ${JSON.stringify(text(name))}, which may be dropped when using apply`,
      );
    names.add(text(name));
  });
  return out;
}

interface PlacedPort {
  readonly path: string;
  readonly port: Decoded<ContainerPort>;
}

/** How two definitions of the same port are at odds; undefined when they are not. */
function clash(a: Decoded<ContainerPort>, b: Decoded<ContainerPort>): string | undefined {
  const [host, other] = [a.hostPort ?? 0, b.hostPort ?? 0];
  const [ip, otherIp] = [text(a.hostIP), text(b.hostIP)];
  if (ip === otherIp && host === other) return "duplicate";
  if (host === 0 || other === 0) return "overlapping";
  return host === other && (ip === "") !== (otherIp === "") ? "dangerously ambiguous" : undefined;
}

/** As upstream prints a port in passing. */
const printPort = (port: Decoded<ContainerPort>): string =>
  `{Name:${text(port.name)} HostPort:${port.hostPort ?? 0} ContainerPort:${port.containerPort ?? 0} Protocol:${text(port.protocol)} HostIP:${text(port.hostIP)}}`;

/** Ports of a pod's containers that get into each other's way. */
export function warningsForPorts(containers: readonly PlacedContainer[]): string[] {
  const ports: PlacedPort[] = [];
  for (const { container, path } of containers)
    container.ports?.forEach((port, i) => ports.push({ path: `${path}.ports[${i}]`, port }));
  if (ports.length === 0) return [];
  const out: string[] = [];
  const sameNumber = new Map<string, PlacedPort[]>();
  for (const placed of ports) {
    const { path, port } = placed;
    if (text(port.hostIP) !== "" && (port.hostPort ?? 0) === 0)
      out.push(`${path}: hostIP set without hostPort: ${printPort(port)}`);
    const key = `${port.containerPort}/${text(port.protocol)}`;
    const others = sameNumber.get(key) ?? [];
    for (const other of others) {
      const how = clash(port, other.port);
      if (how !== undefined) out.push(`${path}: ${how} port definition with ${other.path}`);
    }
    others.push(placed);
    sameNumber.set(key, others);
  }
  const named = new Map<string, string>();
  for (const { path, port } of ports) {
    const name = text(port.name);
    const other = named.get(name);
    if (name === "") continue;
    if (other === undefined) named.set(name, path);
    else
      out.push(
        `${path}: duplicate port name ${JSON.stringify(name)} with ${other}, services and probes that select ports by name will use ${other}`,
      );
  }
  return out;
}
