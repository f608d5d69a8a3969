import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const { CORACLE_PEER_KUBE_APISERVER: kubeApiserver, CORACLE_PEER_ETCD: etcd } = process.env;

describe("beside upstream's own API server", () => {
  // Needs its programs: CORACLE_PEER_KUBE_APISERVER and CORACLE_PEER_ETCD say where they are.
  it.skipIf(kubeApiserver === undefined || etcd === undefined)(
    "the same requests have the same answers",
    () => {
      const { status, stdout } = spawnSync(
        process.execPath,
        ["scripts/differential.mjs", "--peer-kube-apiserver", kubeApiserver ?? "", "--peer-etcd", etcd ?? ""],
        { cwd: root, encoding: "utf8", maxBuffer: 256 * 1024 * 1024 },
      );
      expect(stdout.trim().split("\n").at(-1)).toMatch(/requests: same code/);
      expect(status).toBe(0);
    },
    900_000,
  );
});
