import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger, systemClock } from "@coracle/base";
import { ProcessFailedError, superviseProcess, type RunningProcess } from "./supervised-process.ts";

// Real processes: a line on descriptor 3 means ready, the end of standard input means that the supervisor is gone.
const READY = 'require("fs").writeSync(3,"ready\\n");';
const STAY = 'process.stdin.on("end",()=>process.exit(0)).resume();';

describe("a supervised process", () => {
  let dir: string;
  let running: RunningProcess | undefined;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "coracle-supervise-"));
  });
  afterEach(async () => {
    await running?.stop(1000);
    rmSync(dir, { recursive: true });
  });
  const start = (program: string): RunningProcess => {
    running = superviseProcess(
      { name: "p", components: ["p"], command: process.execPath, args: ["-e", program], logFile: join(dir, "p.log") },
      { clock: systemClock, logger: silentLogger, changed() {} },
    );
    return running;
  };
  const until = async (reached: () => boolean): Promise<void> => {
    while (!reached()) await new Promise<void>((resolve) => systemClock.after(10, resolve));
  };

  it("is ready when it says so, and gone after stop", async () => {
    const p = start(`${READY}${STAY}`);
    await p.ready();
    const { pid } = p;
    await p.stop(1000);
    expect(pid).toBeGreaterThan(0);
    expect(p.pid).toBeUndefined();
    expect(() => process.kill(pid ?? 0, 0)).toThrow("ESRCH");
  });

  it("is started again when it was killed", async () => {
    const p = start(`${READY}${STAY}`);
    await p.ready();
    const first = p.pid ?? 0;
    process.kill(first, "SIGKILL");
    await until(() => p.pid !== undefined && p.pid !== first);
    await p.ready();
  });

  it("that ignores SIGTERM is killed when its grace is over", async () => {
    const p = start(`process.on("SIGTERM",()=>{});${READY}setInterval(()=>{},1000)`);
    await p.ready();
    await p.stop(100);
    expect(p.pid).toBeUndefined();
  });

  it("that never gets ready is given up, with the last error of its log in one line", async () => {
    const line = JSON.stringify({ level: "error", error: "StoreError: the file is damaged\n at somewhere" });
    const p = start(`console.log(${JSON.stringify(line)});process.exit(1)`);
    const failure = await p.ready().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ProcessFailedError);
    expect((failure as Error).message).toBe(`p does not start: the file is damaged (log: ${join(dir, "p.log")})`);
  });

  it("is released once the API server serves, also after a restart", async () => {
    const p = start(`${READY}process.stdin.on("data",d=>console.log("got "+d)).on("end",()=>process.exit(0))`);
    await p.ready();
    p.release();
    const log = (): string => readFileSync(join(dir, "p.log"), "utf8");
    await until(() => log().includes("got go"));
    process.kill(p.pid ?? 0, "SIGKILL");
    await until(() => log().split("got go").length === 3);
  });
});
