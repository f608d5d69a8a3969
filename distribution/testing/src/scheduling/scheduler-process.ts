import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "@coracle/base";
import { createApiClient, createHttpTransport, type OwnedApiClient } from "@coracle/client";
import { openClusterPki, type ClusterPki } from "@coracle/pki";
import type { ServerUnderTest } from "../differential/server.ts";

/** Our command's file. */
export const coracle = fileURLToPath(new URL("../../../../distribution/cli/bin/coracle.mjs", import.meta.url));

/** A scheduler, ours or upstream's, as a program of its own. */
export interface SchedulerProcess extends AsyncDisposable {
  /** Resolves when it has ended. */
  kill(signal: NodeJS.Signals): Promise<void>;
  readonly hasEnded: boolean;
  /** All that it wrote. */
  log(): string;
  /** Where it writes that. */
  readonly logFile: string;
}

let started = 0;

/**
 * Starts `command` (program and first arguments) at the server, under upstream's roles; alone unless it says otherwise.
 * `prepare` is told the kubeconfig, for those whose configuration must name it.
 */
export function startScheduler(
  { dir, target }: ServerUnderTest,
  [program, ...args]: readonly [string, ...string[]],
  prepare: (kubeconfig: string) => void = () => undefined,
): SchedulerProcess {
  const name = `scheduler-${++started}`;
  const { cert, key } = pkiOf(dir).issueClient({ commonName: "system:kube-scheduler", organizations: [] });
  const data = (text: string): string => Buffer.from(text).toString("base64");
  const kubeconfig = join(dir, `${name}.kubeconfig`);
  const user = { "client-certificate-data": data(cert), "client-key-data": data(key) };
  const text = JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: target.url, "certificate-authority-data": data(target.ca) } }],
    users: [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
  writeFileSync(kubeconfig, text);
  prepare(kubeconfig);
  const file = join(dir, `${name}.log`);
  const log = openSync(file, "a");
  const flags = [`--kubeconfig=${kubeconfig}`, "--secure-port=0"];
  if (!args.includes("--leader-elect=true")) flags.push("--leader-elect=false");
  const child = spawn(program, [...args, ...flags], { stdio: ["ignore", log, log], cwd: dir });
  closeSync(log);
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await gone;
  };
  return {
    kill,
    get hasEnded() {
      return child.exitCode !== null || child.signalCode !== null;
    },
    log: () => readFileSync(file, "utf8"),
    logFile: file,
    [Symbol.asyncDispose]: async () => await kill("SIGKILL"),
  };
}

/** A client for the server's administrator. */
export function adminOf({ dir, target }: ServerUnderTest): OwnedApiClient {
  const keys = pkiOf(dir).issueClient({ commonName: "kubernetes-admin", organizations: ["system:masters"] });
  const transport = createHttpTransport({ server: target.url, ca: target.ca, ...keys });
  return createApiClient({ transport, userAgent: "story" });
}

const pkiOf = (dir: string): ClusterPki =>
  openClusterPki({ dir: join(dir, "pki"), apiServerNames: [], now: systemClock.now() });
