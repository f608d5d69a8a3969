import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import type { Endpoints, Service } from "@coracle/api/core/v1";
import { badRequest, notFound, serviceUnavailable } from "@coracle/apimachinery";
import type { Random } from "@coracle/base";
import type { RegistryReader } from "../registry/registry-reader.ts";
import { describeFailure } from "../outbound/outbound-error.ts";
import { podNamed } from "./kubelet-location.ts";
import { cleanPath } from "./proxied-links.ts";

const core = (plural: string): { group: string; version: string; plural: string } => ({
  group: "",
  version: "v1",
  plural,
});

/** `[SCHEME:]NAME[:PORT]`, as names of proxied things may be written. */
export interface ProxyName {
  readonly scheme: string;
  readonly name: string;
  readonly port: string;
}

/** Takes a name apart. Throws 400. */
export function splitProxyName(text: string, what: string): ProxyName {
  const parts = text.split(":");
  const [scheme, name, port] = parts.length === 3 ? parts : ["", ...parts, ""];
  if (parts.length > 3 || !name || !["", "http", "https"].includes(scheme!))
    throw badRequest(`invalid ${what} request ${JSON.stringify(text)}`);
  return { scheme: scheme!, name, port: port! };
}

/** Throws 503, as dialling such a port would. */
export function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  const why = /^\d+$/.test(text) ? "invalid port" : "unknown port";
  throw serviceUnavailable(`error trying to reach service: dial tcp: address ${text}: ${why}`);
}

const notGlobal = new BlockList();
notGlobal.addSubnet("127.0.0.0", 8);
notGlobal.addSubnet("169.254.0.0", 16);
notGlobal.addSubnet("224.0.0.0", 4);
notGlobal.addAddress("0.0.0.0");
notGlobal.addAddress("255.255.255.255");
notGlobal.addAddress("::", "ipv6");
notGlobal.addAddress("::1", "ipv6");
notGlobal.addSubnet("fe80::", 10, "ipv6");
notGlobal.addSubnet("ff00::", 8, "ipv6");

/** Whether a request may be sent there on behalf of a client: not to this host itself, not to its link. */
export function isGlobalUnicast(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && !notGlobal.check(address, family === 6 ? "ipv6" : "ipv4");
}

/** Decides where the proxy may lead. */
export type AddressRule = (address: string) => boolean;

/** Throws 400 unless every address of the host is one that may be proxied to. */
export async function mustBeProxyable(host: string, isAllowed: AddressRule): Promise<void> {
  let addresses = [host];
  if (isIP(host) === 0) {
    try {
      addresses = (await lookup(host, { all: true })).map(({ address }) => address);
    } catch (error) {
      const { message } = describeFailure(error, { host, port: 0, serverName: host, now: 0 });
      throw badRequest(message.replace(/^dial tcp: /, ""));
    }
    if (addresses.length === 0) throw badRequest("no addresses for hostname");
  }
  if (!addresses.every(isAllowed)) throw badRequest("address not allowed");
}

/** Characters that Go leaves as they are in a path, and `encodeURI` does too. */
const encodePath = (path: string): string =>
  encodeURI(path).replace(/[?#!*'()]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** The path behind `/proxy` as the backend is asked for it; `""` for the proxy's own URL without a slash. */
export function backendPath(requestPath: string, rest: string): string {
  if (rest === "") return requestPath.endsWith("/") ? "/" : "";
  return encodePath(cleanPath(rest));
}

/** One address of a service. */
export interface ServiceTarget {
  readonly host: string;
  readonly port: number;
}

/** Picks a ready pod behind a service. Throws 404 or 503. */
export async function serviceTarget(
  objects: RegistryReader,
  random: Random,
  namespace: string,
  id: string,
  { name, port }: ProxyName,
): Promise<ServiceTarget> {
  let portName = port;
  if (/^[+-]?\d+$/.test(port)) {
    const service = (await objects.get(core("services"), namespace, name)) as unknown as Service | undefined;
    if (service === undefined) throw notFound({ group: "", resource: "services" }, name);
    const found = service.spec?.ports?.find((one) => one.port === Number(port));
    if (found === undefined)
      throw serviceUnavailable(`no service port ${Number(port)} found for service ${JSON.stringify(name)}`);
    portName = found.name ?? "";
  }
  const endpoints = (await objects.get(core("endpoints"), namespace, name)) as unknown as Endpoints | undefined;
  if (endpoints === undefined) {
    const isThere = (await objects.get(core("services"), namespace, name)) !== undefined;
    throw notFound({ group: "", resource: isThere ? "endpoints" : "services" }, name);
  }
  const subsets = endpoints.subsets ?? [];
  if (subsets.length === 0) throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`);
  for (const subset of fromRandom(subsets, random)) {
    const target = subset.ports?.find((one) => (one.name ?? "") === portName);
    if (target === undefined) continue;
    for (const address of fromRandom(subset.addresses ?? [], random)) {
      const { targetRef } = address;
      // Only what is a pod of the namespace: otherwise whoever writes endpoints could send this server anywhere.
      if (targetRef?.name === undefined || targetRef.namespace !== namespace) continue;
      const pod = await podNamed(objects, namespace, targetRef.name).catch(() => undefined);
      if (pod?.status?.podIPs?.some(({ ip }) => ip === address.ip) === true)
        return { host: address.ip, port: target.port };
    }
  }
  throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(id)}`);
}

function* fromRandom<T>(items: readonly T[], random: Random): Generator<T> {
  const start = Math.floor(random.next() * items.length);
  for (let i = 0; i < items.length; i++) yield items[(start + i) % items.length]!;
}
