// Brings a checkout to the point where it runs: dependencies, system packages, bundles. A second call costs some
// tens of milliseconds. Uses only what Node brings along.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ensureSystemPackages } from "./system-packages.mjs";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const SOURCES = ["foundation", "control-plane", "node", "addons", "distribution"];

function ensureNodeVersion() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return true;
  console.error(`coracle: Node ${process.versions.node} is too old; 20.19 or later is needed`);
  return false;
}

/** Runs npm install unless the installed tree is the one that package-lock.json describes. */
function ensureDependencies() {
  const lock = join(root, "package-lock.json");
  const stamp = join(root, "node_modules/.coracle-lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === readFileSync(lock, "utf8")) return true;
  console.error("coracle: installing dependencies (about half a minute the first time)");
  // Not `npm ci`: it refuses a lock file that lacks other platforms' optional packages, as one made from a mirror may.
  const npm = spawnSync("npm", ["install", "--no-save", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (npm.status !== 0) {
    console.error("coracle: npm install failed; see above");
    return false;
  }
  writeFileSync(stamp, readFileSync(lock, "utf8"));
  return true;
}

function newestChange(dir) {
  let newest = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.name === "node_modules" || entry.name === "dist") continue;
    const path = join(dir, entry.name);
    if (entry.isDirectory()) newest = Math.max(newest, newestChange(path));
    else if (/\.(ts|mjs|json)$/.test(entry.name)) newest = Math.max(newest, statSync(path).mtimeMs);
  }
  return newest;
}

async function ensureBuild() {
  const stamp = join(root, "dist/.built");
  const newest = Math.max(
    ...SOURCES.map((dir) => newestChange(join(root, dir))),
    statSync(join(root, "scripts/build.mjs")).mtimeMs,
  );
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= newest) return true;
  console.error("coracle: building");
  const { build } = await import(pathToFileURL(join(root, "scripts/build.mjs")).href);
  return build();
}

/** Answers false after printing why, when the checkout cannot be made ready. */
export async function setUp({ forTests = false, needsHost = true } = {}) {
  if (!ensureNodeVersion()) return false;
  if (!ensureDependencies()) return false;
  if (needsHost && !ensureSystemPackages({ forTests })) return false;
  return ensureBuild();
}
