import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { systemClock } from "@coracle/base";
import { openClusterPki, renderKubeconfig } from "@coracle/pki";
import { freePort, type ServerUnderTest } from "../differential/server.ts";

/** A controller manager, ours or upstream's, as a program of its own. */
export interface ManagerProcess extends AsyncDisposable {
  /** Its page of metrics. */
  metrics(): Promise<string>;
}

/** Starts `command` (program and first arguments) at the server, as its leader, under upstream's roles. */
export async function startManager(
  { dir, target }: ServerUnderTest,
  [program, ...args]: readonly [string, ...string[]],
  more: readonly string[],
): Promise<ManagerProcess> {
  const pki = openClusterPki({ dir: join(dir, "pki"), apiServerNames: [], now: systemClock.now() });
  const kubeconfig = join(dir, "manager.kubeconfig");
  const userName = "system:kube-controller-manager";
  const { url: server, ca } = target;
  const client = pki.issueClient({ commonName: userName });
  writeFileSync(kubeconfig, renderKubeconfig({ clusterName: "c", userName, server, ca, client }));
  const port = await freePort();
  const flags = [
    `--kubeconfig=${kubeconfig}`,
    `--secure-port=${port}`,
    "--bind-address=127.0.0.1",
    "--authorization-always-allow-paths=/metrics,/healthz",
    "--leader-elect=true",
    "--use-service-account-credentials=true",
    `--service-account-private-key-file=${pki.path("sa.key")}`,
    `--root-ca-file=${pki.path("ca.crt")}`,
    "--allocate-node-cidrs=true",
    "--cluster-cidr=10.244.0.0/16",
    ...more,
  ];
  const file = join(dir, "manager.log");
  const log = openSync(file, "a");
  const child = spawn(program, [...args, ...flags], { stdio: ["ignore", log, log], cwd: dir });
  closeSync(log);
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    metrics: () =>
      new Promise((resolve, reject) => {
        const asked = request({ host: "127.0.0.1", port, path: "/metrics", rejectUnauthorized: false }, (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (piece: string) => (text += piece));
          response.on("end", () =>
            response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode}: ${text}`)),
          );
        });
        asked.on("error", (error) =>
          reject(
            child.exitCode === null
              ? error
              : new Error(`the manager ended: ${readFileSync(file, "utf8").slice(-2000)}`, { cause: error }),
          ),
        );
        asked.end();
      }),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}
