import { createPublicKey, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect } from "node:tls";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openClusterPki } from "./cluster-pki.ts";

const NOW = Date.parse("2026-11-23T00:00:00Z");

describe("the cluster's keys", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "coracle-pki-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const open = (now = NOW, names: readonly string[] = ["10.96.0.1", "fd00::1", "node-1"]) =>
    openClusterPki({ dir, apiServerNames: names, now });

  it("signs the API server's certificate for names, IPv4 and IPv6 addresses", () => {
    const pki = open();
    const cert = new X509Certificate(pki.apiServer.cert);
    expect(cert.verify(createPublicKey(pki.ca.key))).toBe(true);
    expect(cert.checkIP("10.96.0.1")).toBe("10.96.0.1");
    expect(cert.checkIP("fd00::1")).toBe("fd00::1");
    expect(cert.checkHost("kubernetes.default.svc")).toBe("kubernetes.default.svc");
    expect(cert.checkHost("example.com")).toBeUndefined();
  });

  it("keeps what it made, and makes anew what nears its end or lacks a name", () => {
    const first = open();
    const admin = first.client("admin");
    expect(open().apiServer).toEqual(first.apiServer);
    expect(open().serviceAccountKey).toBe(first.serviceAccountKey);
    expect(open(NOW, ["10.96.0.1", "other"]).apiServer.cert).not.toBe(first.apiServer.cert);
    expect(open(NOW + 320 * 86_400_000).client("admin").cert).not.toBe(admin.cert);
    expect(open().ca.cert).toBe(first.ca.cert);
  });

  it("gives the node's kubelet the identity that the Node authorizer knows", () => {
    const subject = new X509Certificate(open().node("n1", ["192.0.2.7"]).client.cert).subject;
    expect(subject).toBe("O=system:nodes\nCN=system:node:n1");
  });

  it("serves mutual TLS", async () => {
    const pki = open();
    const server = createServer(
      { ...pki.apiServer, ca: pki.ca.cert, requestCert: true, rejectUnauthorized: true },
      (socket) => {
        socket.end(String(socket.getPeerCertificate().subject.CN));
      },
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const client = connect({
        port: (server.address() as AddressInfo).port,
        host: "127.0.0.1",
        ca: pki.ca.cert,
        ...pki.client("admin"),
      });
      const chunks: Buffer[] = [];
      for await (const chunk of client) chunks.push(chunk as Buffer);
      expect(Buffer.concat(chunks).toString()).toBe("kubernetes-admin");
    } finally {
      server.close();
    }
  });
});
