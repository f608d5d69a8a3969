// What controller-runtime's envtest does, in 70 lines: starts etcd and kube-apiserver of KUBEBUILDER_ASSETS on free ports, with
// an administrator who is known by a token, and ends them.
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KubeConfig } from "@kubernetes/client-node";

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const statusOf = (url) =>
  new Promise((resolve) => {
    const ask = url.startsWith("https:") ? secureRequest : request;
    ask(url, { agent: false, rejectUnauthorized: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on("error", () => resolve(undefined))
      .end();
  });

async function startProgram(name, flags, health) {
  const program = join(process.env.KUBEBUILDER_ASSETS, name);
  const child = spawn(program, flags, { stdio: ["ignore", "ignore", process.env.SHOW ? "inherit" : "ignore"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  for (let turn = 0; (await statusOf(health)) !== 200; turn++) {
    if (turn === 400 || child.exitCode !== null) throw new Error(`${name} does not get ready`);
    await sleep(50);
  }
  return async () => {
    child.kill("SIGTERM");
    await ended;
  };
}

/** An API server and its store. `config`: its administrator's; `stop`: both end, nothing is left. */
export async function startEnvironment() {
  const dir = mkdtempSync(join(tmpdir(), "operator-tests-"));
  const token = randomBytes(16).toString("hex");
  writeFileSync(join(dir, "tokens.csv"), `${token},admin,1,system:masters\n`);
  const key = join(dir, "sa.key");
  execFileSync("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]);
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const etcd = `http://127.0.0.1:${etcdPort}`;
  const server = `https://127.0.0.1:${port}`;
  const stopEtcd = await startProgram(
    "etcd",
    [
      `--data-dir=${dir}/etcd`,
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
      "--unsafe-no-fsync=true",
    ],
    `${etcd}/health`,
  );
  const stopServer = await startProgram(
    "kube-apiserver",
    [
      `--etcd-servers=${etcd}`,
      `--cert-dir=${dir}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${port}`,
      "--authorization-mode=RBAC",
      `--token-auth-file=${dir}/tokens.csv`,
      "--disable-admission-plugins=ServiceAccount",
      "--service-cluster-ip-range=10.0.0.0/24",
      `--service-account-issuer=${server}/`,
      `--service-account-key-file=${key}`,
      `--service-account-signing-key-file=${key}`,
    ],
    `${server}/healthz`,
  );
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: "test", server, skipTLSVerify: true }, { name: "admin", token });
  return {
    config,
    async stop() {
      await stopServer();
      await stopEtcd();
      rmSync(dir, { recursive: true });
    },
  };
}
