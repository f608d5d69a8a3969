import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cleanup, systemClock } from "@coracle/base";
import { run } from "@coracle/linux";
import { createAuthority, renderKubeconfig } from "@coracle/pki";
import { eventually } from "../cluster/eventually.ts";

/** A user of an environment: the client certificate that proves it, and a kubeconfig that has both. */
export interface EnvironmentUser {
  readonly cert: string;
  readonly key: string;
  readonly kubeconfig: string;
}

/** An API server and its store, started the way the test suites of operators do it. */
export interface TestEnvironment extends AsyncDisposable {
  readonly url: string;
  /** The authority of the serving certificate, PEM. */
  readonly ca: string;
  /** The real kubectl. */
  readonly kubectl: string;
  /** Of the two programs; whether they are there can be asked after `stop`. */
  readonly pids: readonly number[];
  /** What was made in the file system; gone after `stop`. */
  readonly folders: readonly string[];
  /** Lines of both programs. */
  output(): string;
  /** Adds somebody who is known by a certificate, while the server runs. */
  addUser(name: string, ...groups: string[]): EnvironmentUser;
  /** SIGTERM to the server, then to the store, each waited for; their folders go. Throws when one needs 20 s. */
  stop(): Promise<void>;
}

/** How long the suites wait for a program to be there, and to be gone. */
const PATIENCE_MS = 20_000;
const WEEK_MS = 7 * 24 * 3600 * 1000;

/**
 * Starts `etcd` and `kube-apiserver` of a folder (KUBEBUILDER_ASSETS) as controller-runtime's envtest starts them: the
 * same questions to `--help`, the same flags in the same order, the same health checks.
 */
export async function startTestEnvironment(assets: string): Promise<TestEnvironment> {
  const cleanup = new Cleanup();
  try {
    return await startWith(assets, cleanup);
  } catch (error) {
    await cleanup[Symbol.asyncDispose]();
    throw error;
  }
}

async function startWith(assets: string, cleanup: Cleanup): Promise<TestEnvironment> {
  const etcdUrl = `http://127.0.0.1:${await freePort()}`;
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  const port = await freePort();
  const url = `https://127.0.0.1:${port}`;
  const dataDir = temporaryFolder(cleanup);
  const certDir = temporaryFolder(cleanup);

  const etcdArguments = {
    "advertise-client-urls": etcdUrl,
    "data-dir": dataDir,
    "listen-client-urls": etcdUrl,
    "listen-peer-urls": peerUrl,
    ...((await hasFlag(join(assets, "etcd"), "unsafe-no-fsync")) && { "unsafe-no-fsync": "true" }),
  };
  const etcd = new EnvironmentProgram(join(assets, "etcd"), etcdArguments);
  cleanup.add(() => etcd.stop());
  await etcd.ready(`${etcdUrl}/health`);

  const now = systemClock.now();
  const certificateTimes = { notBefore: now - 60_000, notAfter: now + WEEK_MS };
  const newAuthority = (): ReturnType<typeof createAuthority> =>
    createAuthority({
      subject: { commonName: "envtest-environment", organizations: ["envtest"] },
      ...certificateTimes,
    });
  const serving = newAuthority();
  const accounts = newAuthority();
  const clients = newAuthority();
  const pair = serving.issue({
    subject: { commonName: "localhost", organizations: ["envtest"] },
    usages: ["server"],
    names: ["localhost", "127.0.0.1"],
    ...certificateTimes,
  });
  const file = (name: string, text: string): string => {
    const path = join(certDir, name);
    writeFileSync(path, text, { mode: 0o640 });
    return path;
  };
  file("apiserver.crt", pair.cert);
  file("apiserver.key", pair.key);
  const apiServer = new EnvironmentProgram(join(assets, "kube-apiserver"), {
    "allow-privileged": "true",
    "authorization-mode": "RBAC",
    "bind-address": "127.0.0.1",
    "cert-dir": certDir,
    "client-ca-file": file("client-cert-auth-ca.crt", clients.cert),
    "disable-admission-plugins": "ServiceAccount",
    "etcd-servers": etcdUrl,
    ...((await hasFlag(join(assets, "kube-apiserver"), "insecure-port")) && { "insecure-port": "0" }),
    "secure-port": String(port),
    "service-account-issuer": `${url}/`,
    // The public half is a certificate here, not a bare key.
    "service-account-key-file": file("sa-signer.crt", accounts.cert),
    "service-account-signing-key-file": file("sa-signer.key", accounts.key),
    "service-cluster-ip-range": "10.0.0.0/24",
  });
  cleanup.add(() => apiServer.stop());
  await apiServer.ready(`${url}/healthz`);

  return {
    url,
    ca: serving.cert,
    kubectl: join(assets, "kubectl"),
    pids: [etcd.pid, apiServer.pid],
    folders: [dataDir, certDir],
    output: () => etcd.output + apiServer.output,
    addUser(commonName, ...organizations) {
      const user = clients.issue({
        subject: { commonName, organizations },
        usages: ["client"],
        ...certificateTimes,
      });
      const path = join(certDir, `${commonName.replaceAll(":", "-")}.kubecfg`);
      writeFileSync(
        path,
        renderKubeconfig({ clusterName: "envtest", server: url, ca: serving.cert, userName: commonName, client: user }),
      );
      return { ...user, kubeconfig: path };
    },
    stop: () => cleanup[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
  };
}

class EnvironmentProgram {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #isOver = false;
  output = "";

  constructor(program: string, flags: Readonly<Record<string, string>>) {
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    // A process group of its own: interrupting the tests interrupts no server.
    this.#child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (chunk: Buffer) => (this.output += chunk.toString("utf8")));
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        this.#isOver = true;
        resolve();
      };
      this.#child.once("exit", end);
      this.#child.once("error", end);
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async ready(url: string): Promise<void> {
    await eventually(
      `${url} says 200`,
      async () => {
        const status = await statusOf(url);
        if (this.#isOver) throw new Error(this.output);
        return status === 200;
      },
      PATIENCE_MS,
    );
  }

  async stop(): Promise<void> {
    if (this.#isOver) return;
    this.#child.kill("SIGTERM");
    let isLate = false;
    const timer = systemClock.after(PATIENCE_MS, () => {
      isLate = true;
      this.#child.kill("SIGKILL");
    });
    await this.#ended;
    timer[Symbol.dispose]();
    if (isLate) throw new Error(`timeout waiting for process ${this.#child.spawnfile} to stop`);
  }
}

/** Asked as the suites ask: the flag begins a line of the help. */
async function hasFlag(program: string, flag: string): Promise<boolean> {
  const { stdout, stderr } = await run(program, ["--help"]);
  return new RegExp(`^\\s*--${flag}\\b`, "m").test(stdout + stderr);
}

function statusOf(url: string): Promise<number | undefined> {
  const isTls = url.startsWith("https:");
  const options: RequestOptions & { rejectUnauthorized: boolean } = { agent: false, rejectUnauthorized: false };
  return new Promise((resolve) => {
    const request = (isTls ? httpsRequest : httpRequest)(url, options, (response) => {
      response.resume();
      response.once("close", () => resolve(response.statusCode));
    });
    request.once("error", () => resolve(undefined));
    request.end();
  });
}

function temporaryFolder(cleanup: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), "k8s_test_framework_"));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A port that was free a moment ago: so do the suites choose theirs. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
