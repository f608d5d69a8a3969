// What the programs of a cluster need from the host, and what the tests need beside that; and how Debian names it.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Program on PATH, or a file → Debian package. */
const RUNTIME = {
  crun: "crun",
  conmon: "conmon",
  socat: "socat",
  ip: "iproute2",
  iptables: "iptables",
  nft: "nftables",
  conntrack: "conntrack",
  nsenter: "util-linux",
  mount: "mount",
  tar: "tar",
  script: "bsdutils",
  setfattr: "attr",
  catatonit: "catatonit",
};
const TEST = {
  "docker-registry": "docker-registry",
  busybox: "busybox-static",
  etcd: "etcd-server",
  etcdctl: "etcd-client",
  openssl: "openssl",
  skopeo: "skopeo",
  zstd: "zstd",
  runc: "runc",
  ps: "procps",
  "/usr/lib/cni/ptp": "containernetworking-plugins",
};

function isOnPath(program) {
  if (program.startsWith("/")) return existsSync(program);
  const dirs = `${process.env.PATH ?? ""}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  return dirs.some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const missingOf = (table) => [
  ...new Set(
    Object.entries(table)
      .filter(([program]) => !isOnPath(program))
      .map(([, name]) => name),
  ),
];

function isDebianLike() {
  if (!existsSync("/etc/os-release")) return false;
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync("/etc/os-release", "utf8"));
}

/**
 * Installs what is missing, after naming it. Answers false when something is missing and may not or cannot be
 * installed; the reason has then been printed.
 */
export function ensureSystemPackages({ forTests }) {
  const missing = missingOf(forTests ? { ...RUNTIME, ...TEST } : RUNTIME);
  if (missing.length === 0) return true;
  const command = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (process.platform !== "linux") {
    console.error("coracle: containers need Linux; here only `coracle up --nodes 0` works");
    return false;
  }
  if (process.env.CORACLE_NO_INSTALL === "1" || !isDebianLike() || process.getuid?.() !== 0) {
    console.error(`coracle: missing system packages: ${missing.join(" ")}\ncoracle: to install them: ${command}`);
    return false;
  }
  console.error(`coracle: installing system packages: ${missing.join(" ")}`);
  const apt = (...args) =>
    spawnSync("apt-get", args, {
      stdio: ["ignore", "ignore", "inherit"],
      // Services of installed packages must not start by themselves.
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
    }).status === 0;
  const install = () => apt("install", "-y", "-q", "--no-install-recommends", ...missing);
  if (install() || (apt("update", "-q") && install())) return true;
  console.error(`coracle: could not install them; try: ${command}`);
  return false;
}
