import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseEtcdFlags } from "./flags.ts";
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
    ["--config-file=/etc/etcd.yaml", "config-file: there is no configuration file; give flags, or ETCD_… variables"],
    ["--auto-tls", "auto-tls: certificates are not made; give cert-file and key-file"],
    ["--max-txn-ops=1000", "max-txn-ops: the limit is 128"],
    ["--discovery=https://discovery.etcd.io/x", "discovery: there are no other members to discover"],
    ["--auto-compaction-retention=soon", 'error parsing CompactionRetention: invalid duration "soon"'],
    ["--tls-min-version=TLS1.3 --tls-max-version=TLS1.2", "min version (TLS1.3) is greater than max version (TLS1.2)"],
    ["--nonsense=1", "unknown flag: --nonsense"],
  ])("%s is refused, with the reason", (line, message) => {
    expect(() => parseEtcdFlags(line.split(" "))).toThrow(message);
  });

  it("that ask for nothing are accepted", () => {
    parseEtcdFlags(["--max-txn-ops=128", "--cors=*", "--enable-pprof=false", "--corrupt-check-time=0s"]);
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
