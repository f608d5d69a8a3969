import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { CommandError } from "@coracle/linux";
import type { OciRuntime } from "../host/oci-runtime.ts";
import type { RuntimePaths } from "../host/paths.ts";

export interface SupervisedContainer {
  readonly id: string;
  readonly bundle: string;
  readonly logPath: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
}

/**
 * Creates a container below a conmon of its own, which keeps its streams, writes its log in CRI's format and leaves
 * its exit code in a file, whatever becomes of us. Gives the number of the container's first process.
 */
export function createSupervised(
  conmon: string,
  runtime: OciRuntime,
  paths: RuntimePaths,
  container: SupervisedContainer,
): Promise<number> {
  const { id, bundle } = container;
  const args = [
    "--api-version",
    "1",
    "-c",
    id,
    "-u",
    id,
    "-n",
    id,
    "-r",
    runtime.path,
    "--runtime-arg",
    `--root=${paths.oci}`,
    "-b",
    bundle,
    "-p",
    `${bundle}/pid`,
    "-P",
    `${bundle}/conmon-pid`,
    "--exit-dir",
    paths.exits,
    "--persist-dir",
    paths.persist,
    "--socket-dir-path",
    paths.persist,
    "--full-attach",
    "-l",
    `k8s-file:${container.logPath}`,
    "--log-level",
    "error",
    "--no-sync-log",
    "--no-new-keyring",
    ...(container.tty ? ["-t"] : []),
    ...(container.stdin ? ["-i"] : []),
    ...(container.stdin && !container.stdinOnce ? ["--leave-stdin-open"] : []),
  ];
  return new Promise((resolve, reject) => {
    // conmon says on descriptor 3 what became of the creation, after its first process has already gone.
    const child = spawn(conmon, args, {
      stdio: ["ignore", "ignore", "pipe", "pipe"],
      detached: true,
      cwd: bundle,
      env: { PATH: process.env["PATH"] ?? "", _OCI_SYNCPIPE: "3" },
    });
    const report = child.stdio[3] as Readable;
    const complaints = child.stderr as Readable;
    let text = "";
    let complaint = "";
    const settle = (): void => {
      // Both pipes stay open in conmon for as long as the container lives.
      report.destroy();
      complaints.destroy();
      const answer = parseReport(text);
      if (answer !== undefined && answer.pid > 0) resolve(answer.pid);
      else
        reject(
          new CommandError(
            "conmon",
            undefined,
            answer?.message ?? (complaint.trim() === "" ? "ended without a word" : complaint),
          ),
        );
    };
    child.once("error", (cause) => reject(new CommandError(conmon, undefined, cause.message, { cause })));
    complaints.on("data", (chunk: Buffer) => (complaint += chunk.toString("utf8")));
    complaints.on("error", () => {});
    report.on("error", () => {});
    report.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      if (text.includes("\n")) settle();
    });
    report.once("end", settle);
  });
}

function parseReport(text: string): { readonly pid: number; readonly message?: string } | undefined {
  try {
    const { data, pid, message } = JSON.parse(text) as { data?: number; pid?: number; message?: string };
    return { pid: data ?? pid ?? -1, ...(message === undefined ? {} : { message: cleanMessage(message) }) };
  } catch {
    return undefined;
  }
}

/** crun prefixes its complaints with a time when it writes to a file. */
const cleanMessage = (message: string): string => message.trim().replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z: /, "");
