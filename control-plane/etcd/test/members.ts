import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadEtcdCodec } from "@coracle/api";
import { sleep, systemClock } from "@coracle/base";
import { createAuthority } from "@coracle/pki";
import { GrpcChannel, type ChannelTls } from "../src/index.ts";

/** Certificates for servers and one client, `ada`, in a folder. */
export interface ClusterTls {
  readonly client: ChannelTls;
  readonly files: Readonly<Record<"ca" | "cert" | "key" | "clientCert" | "clientKey", string>>;
}

export function makeClusterTls(dir: string, names: readonly string[] = ["127.0.0.1", "localhost"]): ClusterTls {
  const now = systemClock.now();
  const times = { notBefore: now - 60_000, notAfter: now + 3_600_000 };
  const authority = createAuthority({ subject: { commonName: "etcd-ca" }, ...times });
  const usages = ["server", "client"] as const;
  const server = authority.issue({ subject: { commonName: "etcd" }, usages: [...usages], names: [...names], ...times });
  const client = authority.issue({ subject: { commonName: "ada" }, usages: ["client"], ...times });
  const path = (name: string): string => join(dir, name);
  const files = {
    ca: path("ca.crt"),
    cert: path("server.crt"),
    key: path("server.key"),
    clientCert: path("ada.crt"),
    clientKey: path("ada.key"),
  };
  const texts = [authority.cert, server.cert, server.key, client.cert, client.key];
  Object.values(files).forEach((file, at) => writeFileSync(file, texts[at] ?? ""));
  return { client: { ca: authority.cert, cert: client.cert, key: client.key }, files };
}

/** A member of a real etcd cluster, with TLS for clients and peers. */
export class Member {
  readonly url: string;
  readonly #command: readonly string[];
  readonly #tls: ChannelTls;
  #child: ChildProcess | undefined;

  constructor(options: {
    readonly name: string;
    readonly dir: string;
    readonly tls: ClusterTls;
    readonly clientUrl: string;
    readonly peerUrl: string;
    readonly cluster: string;
    readonly flags?: readonly string[] | undefined;
    /** Put before the program: where it runs. */
    readonly within?: readonly string[] | undefined;
  }) {
    const { name, clientUrl, peerUrl, tls, flags = [], within = [] } = options;
    const { files } = tls;
    this.url = clientUrl;
    this.#tls = tls.client;
    this.#command = [
      ...within,
      process.env["ETCD_BINARY"] ?? "etcd",
      `--name=${name}`,
      `--data-dir=${join(options.dir, name)}`,
      `--listen-client-urls=${clientUrl}`,
      `--advertise-client-urls=${clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=${options.cluster}`,
      `--cert-file=${files.cert}`,
      `--key-file=${files.key}`,
      `--trusted-ca-file=${files.ca}`,
      "--client-cert-auth",
      `--peer-cert-file=${files.cert}`,
      `--peer-key-file=${files.key}`,
      `--peer-trusted-ca-file=${files.ca}`,
      "--peer-client-cert-auth",
      "--heartbeat-interval=50",
      "--election-timeout=500",
      ...flags,
    ];
  }

  start(): void {
    const [program = "", ...args] = this.#command;
    this.#child = spawn(program, args, { stdio: "ignore" });
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }

  /** Whether this one leads; undefined when it does not answer, or knows no leader. */
  async leads(): Promise<boolean | undefined> {
    const channel = new GrpcChannel(new URL(this.url), { clock: systemClock, tls: this.#tls });
    try {
      const answer = await channel.unary("/etcdserverpb.Maintenance/Status", Buffer.alloc(0), { timeoutMs: 1_000 });
      const { header, leader = 0n } = loadEtcdCodec().decode("etcdserverpb.StatusResponse", answer);
      return leader === 0n ? undefined : header?.memberId === leader;
    } catch {
      return undefined;
    } finally {
      channel.disconnect();
    }
  }
}

/** The member that leads, as soon as there is one. */
export async function leaderOf(members: readonly Member[]): Promise<Member> {
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop
    const leads = await Promise.all(members.map((member) => member.leads()));
    const leader = members[leads.indexOf(true)];
    if (leader !== undefined) return leader;
    // oxlint-disable-next-line no-await-in-loop
    await sleep(systemClock, 50);
  }
}
