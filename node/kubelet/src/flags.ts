import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { KubeletConfiguration } from "./config.ts";

/** The settings of `coracle kubelet`: what upstream's flags and configuration file say. */
export interface KubeletFlags {
  readonly kubeconfig: string;
  readonly containerRuntimeEndpoint: string | undefined;
  readonly nodeName: string;
  readonly nodeIps: readonly string[];
  readonly rootDir: string;
  readonly tlsCertFile: string | undefined;
  readonly tlsPrivateKeyFile: string | undefined;
  readonly clientCaFile: string | undefined;
  readonly configuration: Partial<KubeletConfiguration>;
}

type ConfigFile = Readonly<Record<string, unknown>> & {
  readonly authentication?: {
    readonly x509?: { readonly clientCAFile?: string };
    readonly anonymous?: { readonly enabled?: boolean };
  };
};

/** Fields that the configuration file and `KubeletConfiguration` name alike. */
const SAME = [
  "address",
  "port",
  "healthzBindAddress",
  "healthzPort",
  "clusterDNS",
  "clusterDomain",
  "maxPods",
  "nodeLeaseDurationSeconds",
  "cgroupRoot",
  "cpuCFSQuota",
  "resolvConf",
  "serializeImagePulls",
  "containerLogMaxSize",
  "containerLogMaxFiles",
  "staticPodPath",
  "podLogsDir",
  "registerNode",
  "registerWithTaints",
  "systemReserved",
  "kubeReserved",
  "imageGCHighThresholdPercent",
  "imageGCLowThresholdPercent",
  "providerID",
] as const;

const SECONDS: Readonly<Record<string, keyof KubeletConfiguration>> = {
  nodeStatusReportFrequency: "nodeStatusReportFrequencySeconds",
  runtimeRequestTimeout: "runtimeRequestTimeoutSeconds",
  imageMinimumGCAge: "imageMinimumGCAgeSeconds",
};

/** Reads the command line and the file that `--config` names (JSON, or YAML by `parseYaml`); throws with one line for what is wrong. */
export function parseKubeletFlags(argv: readonly string[], parseYaml?: (text: string) => unknown): KubeletFlags {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...argv],
    options: {
      kubeconfig: text,
      config: text,
      "container-runtime-endpoint": text,
      "hostname-override": text,
      "node-ip": text,
      "root-dir": { ...text, default: "/var/lib/kubelet" },
      "node-labels": text,
      "register-node": text,
      "register-with-taints": text,
      address: text,
      port: text,
      "healthz-port": text,
      "healthz-bind-address": text,
      "cluster-dns": { ...text, multiple: true },
      "cluster-domain": text,
      "cgroup-root": text,
      "max-pods": text,
      "pod-manifest-path": text,
      "resolv-conf": text,
      "client-ca-file": text,
      "cloud-provider": text,
      "provider-id": text,
      "tls-cert-file": text,
      "tls-private-key-file": text,
      "serialize-image-pulls": text,
      "container-log-max-size": text,
      "container-log-max-files": text,
      v: text,
    },
  });
  if (values.kubeconfig === undefined) throw new Error("--kubeconfig is required");
  const file = values.config === undefined ? {} : readConfig(values.config, parseYaml);
  const number = (name: "port" | "healthz-port" | "max-pods" | "container-log-max-files"): number | undefined => {
    const value = values[name];
    if (value === undefined) return undefined;
    if (!/^\d+$/.test(value)) throw new Error(`invalid argument "${value}" for "--${name}" flag: must be a number`);
    return Number(value);
  };
  const configuration: Record<string, unknown> = {};
  for (const name of SAME) if (file[name] !== undefined) configuration[name] = file[name];
  for (const [name, field] of Object.entries(SECONDS)) {
    const value = file[name];
    if (typeof value === "string") configuration[field] = durationSeconds(value);
  }
  const crash = file["crashLoopBackOff"] as { readonly maxContainerRestartPeriod?: string } | undefined;
  if (crash?.maxContainerRestartPeriod !== undefined) {
    configuration["crashLoopMaxBackoffSeconds"] = durationSeconds(crash.maxContainerRestartPeriod);
  }
  const { "cloud-provider": cloudProvider = "" } = values;
  if (cloudProvider !== "" && cloudProvider !== "external")
    throw new Error(`unsupported value "${cloudProvider}" for "--cloud-provider" flag: must be "external" or empty`);
  const flags: Readonly<Record<string, unknown>> = {
    cloudProvider,
    providerID: values["provider-id"],
    providedNodeIPs: values["node-ip"]?.split(","),
    address: values.address,
    port: number("port"),
    healthzPort: number("healthz-port"),
    healthzBindAddress: values["healthz-bind-address"],
    clusterDNS: values["cluster-dns"]?.flatMap((each) => each.split(",")),
    clusterDomain: values["cluster-domain"],
    cgroupRoot: values["cgroup-root"],
    maxPods: number("max-pods"),
    staticPodPath: values["pod-manifest-path"],
    resolvConf: values["resolv-conf"],
    registerNode: values["register-node"] === undefined ? undefined : values["register-node"] !== "false",
    serializeImagePulls:
      values["serialize-image-pulls"] === undefined ? undefined : values["serialize-image-pulls"] !== "false",
    containerLogMaxSize: values["container-log-max-size"],
    containerLogMaxFiles: number("container-log-max-files"),
    nodeLabels: values["node-labels"] === undefined ? undefined : labels(values["node-labels"]),
    registerWithTaints:
      values["register-with-taints"] === undefined ? undefined : values["register-with-taints"].split(",").map(taint),
  };
  for (const [name, value] of Object.entries(flags)) if (value !== undefined) configuration[name] = value;
  const ca = values["client-ca-file"] ?? file.authentication?.x509?.clientCAFile;
  const stringOf = (value: unknown): string | undefined =>
    typeof value === "string" && value !== "" ? value : undefined;
  return {
    kubeconfig: values.kubeconfig,
    containerRuntimeEndpoint: values["container-runtime-endpoint"] ?? stringOf(file["containerRuntimeEndpoint"]),
    nodeName: (values["hostname-override"] ?? hostname()).toLowerCase(),
    nodeIps: values["node-ip"]?.split(",") ?? [],
    rootDir: values["root-dir"],
    tlsCertFile: values["tls-cert-file"] ?? stringOf(file["tlsCertFile"]),
    tlsPrivateKeyFile: values["tls-private-key-file"] ?? stringOf(file["tlsPrivateKeyFile"]),
    clientCaFile: ca === undefined || values.config === undefined ? ca : resolve(dirname(values.config), ca),
    configuration: configuration as Partial<KubeletConfiguration>,
  };
}

function readConfig(path: string, parseYaml: ((text: string) => unknown) | undefined): ConfigFile {
  const text = readFileSync(path, "utf8");
  const parsed = (/^\s*\{/.test(text) || parseYaml === undefined ? JSON.parse(text) : parseYaml(text)) as ConfigFile;
  if (parsed["kind"] !== "KubeletConfiguration") throw new Error(`${path}: kind must be KubeletConfiguration`);
  return parsed;
}

/** `1m30s` in seconds. */
export function durationSeconds(text: string): number {
  const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.map(([whole]) => whole).join("") !== text || parts.length === 0)
    throw new Error(`invalid duration "${text}"`);
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * (units[unit ?? "s"] ?? 1), 0);
}

function labels(text: string): Record<string, string> {
  const pairs = text.split(",").filter((pair) => pair !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key = "", value = ""] = pair.split("=");
      return [key, value] as const;
    }),
  );
}

function taint(text: string): { key: string; value?: string; effect: string } {
  const match = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(text);
  if (match === null) throw new Error(`invalid taint "${text}": expected KEY[=VALUE]:EFFECT`);
  const [, key = "", value, effect = ""] = match;
  return { key, ...(value === undefined ? {} : { value }), effect };
}
