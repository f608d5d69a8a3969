import { readFileSync, writeSync } from "node:fs";
import { createLogger, systemClock, type Clock, type Logger } from "@coracle/base";
import type { ClusterConfig } from "../cluster-config.ts";

/** What the main function of a supervised process gets. */
export interface ProcessContext {
  readonly config: ClusterConfig;
  /** The node this process serves; undefined for control-plane processes. */
  readonly nodeName: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborts on SIGTERM, SIGINT and when the supervisor is gone. */
  readonly signal: AbortSignal;
  /** True once the supervisor's end of the pipe was closed, however it ended. */
  readonly supervisorIsGone: () => boolean;
  /** Tells the supervisor that this process serves. */
  readonly ready: () => void;
  /** Resolves when the API server serves: until then there is nobody to talk to. */
  readonly apiServerIsUp: () => Promise<void>;
}

const READY_DESCRIPTOR = 3;

function optionOf(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at === -1 ? undefined : process.argv[at + 1];
}

/** True when this process was started by a supervisor, as part of a cluster. */
export function isSupervised(): boolean {
  return process.argv.includes("--cluster");
}

/** Runs `main` as a supervised process: until it returns, or its signal aborts and it returns, then exits. */
export async function runSupervised(
  component: string,
  main: (context: ProcessContext) => Promise<void>,
): Promise<never> {
  const config = JSON.parse(readFileSync(optionOf("--cluster") ?? "", "utf8")) as ClusterConfig;
  const logger = createLogger({
    write: (line) => void writeSync(2, line),
    level: config.logLevel,
    fields: { component },
  });
  const controller = new AbortController();
  const stop = (why: string): void => controller.abort(new DOMException(why, "AbortError"));
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  process.on("uncaughtException", (error) => {
    logger.error("uncaught exception", { error });
    process.exit(1);
  });
  process.on("unhandledRejection", (error) => {
    logger.error("unhandled rejection", { error });
    process.exit(1);
  });

  let supervisorIsGone = false;
  let release = (): void => {};
  const apiServerIsUp = new Promise<void>((resolve) => {
    release = resolve;
  });
  process.stdin.on("data", () => release());
  process.stdin.on("error", () => {});
  process.stdin.on("end", () => {
    supervisorIsGone = true;
    release();
    stop("the supervisor is gone");
  });

  try {
    await main({
      config,
      nodeName: optionOf("--node"),
      clock: systemClock,
      logger,
      signal: controller.signal,
      supervisorIsGone: () => supervisorIsGone,
      ready() {
        try {
          writeSync(READY_DESCRIPTOR, "ready\n");
        } catch (error) {
          // The supervisor is gone; standard input tells, too.
          logger.debug("nobody waits for readiness", { error });
        }
      },
      apiServerIsUp: () => apiServerIsUp,
    });
  } catch (error) {
    if (!controller.signal.aborted) {
      logger.error("process failed", { error });
      process.exit(1);
    }
  }
  process.exit(0);
}
