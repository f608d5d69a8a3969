import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseEtcdFlags, readEtcdFlags } from "./flags.ts";
import { MEMBER_FLAGS } from "./member-flags.ts";

const REAL = process.env["CORACLE_PEER_ETCD"] ?? "";

describe("etcd's flags", () => {
  it("that are about peers are accepted, as a manifest of kubeadm gives them", () => {
    const flags = parseEtcdFlags([
      "--advertise-client-urls=https://10.0.0.1:2379",
      "--cert-file=/etc/server.crt",
      "--client-cert-auth=true",
      "--data-dir=/var/lib/etcd",
      "--initial-advertise-peer-urls=https://10.0.0.1:2380",
      "--initial-cluster=node=https://10.0.0.1:2380",
      "--key-file=/etc/server.key",
      "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.1:2379",
      "--listen-metrics-urls=http://127.0.0.1:2381",
      "--listen-peer-urls=https://10.0.0.1:2380",
      "--name=node",
      "--peer-cert-file=/etc/peer.crt",
      "--peer-client-cert-auth=true",
      "--peer-key-file=/etc/peer.key",
      "--peer-trusted-ca-file=/etc/ca.crt",
      "--snapshot-count=10000",
      "--trusted-ca-file=/etc/ca.crt",
      "--feature-gates=",
      "--watch-progress-notify-interval=5s",
    ]);
    expect(flags).toMatchObject({ listenMetricsUrls: ["http://127.0.0.1:2381"], watchProgressMs: 5_000 });
  });

  it.each([
    ["--wal-dir=/wal", "wal-dir: there is no write-ahead log; everything is in data-dir"],
    ["--auto-tls", "auto-tls: certificates are not made; give cert-file and key-file"],
    ["--max-txn-ops=many", 'invalid argument "many" for "--max-txn-ops" flag'],
    ["--discovery=https://discovery.etcd.io/x", "discovery: there are no other members to discover"],
    ["--auto-compaction-retention=soon", 'error parsing CompactionRetention: invalid duration "soon"'],
    ["--tls-min-version=TLS1.3 --tls-max-version=TLS1.2", "min version (TLS1.3) is greater than max version (TLS1.2)"],
    ["--nonsense=1", "unknown flag: --nonsense"],
  ])("%s is refused, with the reason", (line, message) => {
    expect(() => parseEtcdFlags(line.split(" "))).toThrow(message);
  });

  it("may be in a file, which then says it all", async () => {
    const file = `
name: captain
data-dir: /var/lib/etcd
listen-client-urls: https://127.0.0.1:2379,https://127.0.0.1:2479
quota-backend-bytes: 4000000
max-txn-ops: 512
snapshot-count: 10000
strict-reconfig-check: true
log-outputs: [stderr]
discovery: # nothing
client-transport-security:
  cert-file: /etc/server.crt
  key-file: /etc/server.key
  client-cert-auth: true
  trusted-ca-file: /etc/ca.crt
peer-transport-security:
  cert-file: /etc/peer.crt
`;
    const environment = { ETCD_CONFIG_FILE: "/etc/etcd.yaml", ETCD_NAME: "mate" };
    const flags = await readEtcdFlags(["--data-dir=/elsewhere"], environment, (path) => {
      expect(path).toBe("/etc/etcd.yaml");
      return file;
    });
    expect(flags).toMatchObject({
      name: "captain",
      dataDir: "/var/lib/etcd",
      listenClientUrls: ["https://127.0.0.1:2379", "https://127.0.0.1:2479"],
      quotaBackendBytes: 4_000_000,
      maxTxnOps: 512,
      certFile: "/etc/server.crt",
      clientCertAuth: true,
    });
  });

  it.each([
    ["[]", "config-file: want a map of flags to values"],
    ["name: {}", "config-file: name: want a text, a number, a switch or a list of these"],
    ["nonsense: 1", "unknown flag: --nonsense"],
    ["auto-tls: true", "auto-tls: certificates are not made; give cert-file and key-file"],
    ["a: b: c", "config-file: "],
  ])("in a file that says %s are refused, with the reason", async (file, message) => {
    await expect(readEtcdFlags(["--config-file=x"], {}, () => file)).rejects.toThrow(message);
  });

  it("that ask for nothing are accepted", () => {
    parseEtcdFlags(["--max-txn-ops=1000", "--cors=*", "--enable-pprof=false", "--corrupt-check-time=0s"]);
  });

  it.runIf(existsSync(REAL))("are all known by name (CORACLE_PEER_ETCD)", () => {
    const help = execFileSync(REAL, ["--help"], { encoding: "utf8" });
    const names = [...help.matchAll(/^ {2}--([a-z0-9-]+)/gm)].map(([, name = ""]) => name);
    // What is deprecated, and about tracing or discovery in detail, is an unknown flag.
    const wanted = names.filter((name) => !/^(experimental|discovery|distributed-tracing|config-file)/.test(name));
    expect(wanted.length).toBeGreaterThan(80);
    const isKnown = (name: string): boolean => {
      if (name in MEMBER_FLAGS) return true;
      try {
        parseEtcdFlags([`--${name}=`]);
        return true;
      } catch (error) {
        return !(error instanceof Error && error.message.startsWith("unknown flag"));
      }
    };
    expect(wanted.filter((name) => !isKnown(name))).toEqual([]);
  });
});
