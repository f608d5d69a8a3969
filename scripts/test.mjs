// npm test: sets up what is missing, then every check and every test. The last line counts: "N passed, N failed".
//   npm test                     everything
//   npm test -- unit             one group: checks, unit, host or cluster; several may be named
//   npm test -- unit scheduler   of those groups, the files whose path holds "scheduler"
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { checks, runCheck } from "./check.mjs";
import { root, setUp } from "./setup.mjs";
import { removeTestLeftovers } from "./test-leftovers.mjs";

const GROUPS = ["checks", "unit", "host", "cluster"];
/** No group may hang for ever; the whole has to end within 20 minutes. */
const GROUP_LIMIT_MS = { unit: 5 * 60_000, host: 5 * 60_000, cluster: 14 * 60_000 };

const named = process.argv.slice(2);
const groups = GROUPS.filter((group) => named.includes(group));
const filters = named.filter((word) => !GROUPS.includes(word));
const chosen = groups.length > 0 ? groups : filters.length > 0 ? GROUPS.slice(1) : GROUPS;

const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
let current;
let isInterrupted = false;

function fail(what) {
  total.failed++;
  failures.push(what);
}

/** Runs the tests of one vitest project. Those of the host get a network namespace where nothing leads outside. */
function runGroup(group) {
  const results = join(root, "node_modules/.cache/test-results", `${group}.json`);
  mkdirSync(join(results, ".."), { recursive: true });
  rmSync(results, { force: true });
  const vitest = [
    process.execPath,
    join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    "--project",
    group,
    "--passWithNoTests",
    ...filters,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${results}`,
  ];
  const inNamespace = group === "host" && process.getuid?.() === 0;
  const [command, ...args] = inNamespace
    ? ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...vitest]
    : vitest;
  return new Promise((resolve) => {
    // A process group of its own: whatever a test started and left ends with it.
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], detached: true });
    current = child;
    const timer = setTimeout(() => {
      fail(`${group}: not done after ${GROUP_LIMIT_MS[group] / 60_000} minutes`);
      endGroup(child, "SIGKILL");
    }, GROUP_LIMIT_MS[group]);
    child.on("error", (error) => {
      clearTimeout(timer);
      fail(`${group}: ${error.message}`);
      resolve();
    });
    child.on("exit", (code) => {
      clearTimeout(timer);
      current = undefined;
      endGroup(child, "SIGKILL");
      // Those just killed are gone a moment later, and then what they left can be told from what others use.
      setTimeout(
        () => {
          if (group === "cluster") removeTestLeftovers();
          if (!isInterrupted) countGroup(group, code, results);
          resolve();
        },
        group === "cluster" ? 300 : 0,
      );
    });
  });
}

function countGroup(group, code, results) {
  const failedBefore = total.failed;
  if (existsSync(results)) countResults(group, JSON.parse(readFileSync(results, "utf8")));
  // An error outside of any test, or no result at all.
  if (code !== 0 && total.failed === failedBefore) fail(`${group}: vitest ended with ${code}`);
}

function endGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Nobody is left in it.
  }
}

function countResults(group, results) {
  for (const file of results.testResults) {
    const failed = file.assertionResults.filter((test) => test.status === "failed");
    total.passed += file.assertionResults.filter((test) => test.status === "passed").length;
    total.skipped += file.assertionResults.filter((test) =>
      ["skipped", "pending", "todo"].includes(test.status),
    ).length;
    for (const test of failed) fail(`${group}: ${file.name.replace(`${root}/`, "")}: ${test.fullName}`);
    if (failed.length === 0 && file.status === "failed") fail(`${group}: ${file.name.replace(`${root}/`, "")}`);
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    if (!isInterrupted) fail("interrupted");
    isInterrupted = true;
    if (current === undefined) finish(130);
    else endGroup(current, "SIGKILL");
  });
}

function finish(code) {
  for (const failure of failures) console.log(`failed  ${failure}`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  process.exit(code);
}

if (!(await setUp({ forTests: true }))) {
  fail("set-up; see above");
  finish(1);
}
for (const group of chosen) {
  console.log(`\n— ${group}`);
  if (group !== "checks") {
    await runGroup(group);
    if (isInterrupted) finish(130);
    continue;
  }
  for (const check of checks()) {
    if (await runCheck(check)) total.passed++;
    else fail(`check: ${check.name}`);
  }
}
finish(total.failed === 0 && total.passed > 0 ? 0 : 1);
