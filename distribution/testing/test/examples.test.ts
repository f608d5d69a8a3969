import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unpackClientProgram } from "@coracle/cluster";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import {
  consoleCommands,
  createTestHost,
  exampleImages,
  imageArchive,
  isAsWritten,
  startCluster,
  type TestCluster,
  type TestHost,
} from "../src/index.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const examples = readdirSync(join(root, "examples"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => join("examples", entry.name, "README.md"))
  .toSorted();
/** The project's own page first: its commands are those that people type first. */
const pages = ["README.md", ...examples];

describe("every command of the examples' pages runs and prints what the page says", () => {
  let host: TestHost;
  let cluster: TestCluster;
  let path = "";

  beforeAll(async () => {
    host = await createTestHost();
    cluster = await startCluster(host);
    const archive = join(host.dir, "images.tar");
    writeFileSync(archive, imageArchive(exampleImages(root)));
    const loaded = await cluster.coracle("image", "load", archive);
    expect(loaded).toMatchObject({ code: 0 });
    const programs = join(host.dir, "bin");
    mkdirSync(programs);
    for (const program of ["kubectl", "helm"] as const)
      symlinkSync(unpackClientProgram(program), join(programs, program));
    path = `${programs}:${process.env["PATH"] ?? ""}`;
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  it.each(pages)("%s", async (page) => {
    onTestFailed(() => void process.stderr.write(`logs: ${cluster.keepLogs()}\n`));
    const commands = consoleCommands(readFileSync(join(root, page), "utf8"));
    expect(commands.length).toBeGreaterThan(0);
    for (const { line, command, output } of commands) {
      const { code, stdout, stderr } = await host.run("sh", ["-c", command], {
        allowFailure: true,
        cwd: root,
        env: { PATH: path, KUBECONFIG: cluster.kubeconfig, HOME: host.dir },
      });
      expect(code, `${page}:${line}: ${command}: ${stderr}`).toBe(0);
      if (!isAsWritten(output, stdout))
        expect.fail(`${page}:${line}: ${command} printed\n${stdout}\nand not\n${output.join("\n")}`);
    }
  });
});
