import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { clusterPaths, readState, type ClusterConfig } from "@coracle/cluster";
import type { Command } from "commander";
import { CliError } from "../exit.ts";
import { bundlesDir } from "./bundles.ts";

interface ImageRow {
  readonly names: readonly string[];
  readonly id: string;
  readonly sizeBytes: number;
}

/** What the runtime's bundle offers to this command. */
interface ImageTools {
  loadImage(socket: string, file: string): Promise<readonly string[]>;
  listImages(socket: string): Promise<readonly ImageRow[]>;
}

/** Adds `coracle image load|list`. */
export function addImage(root: Command): void {
  const image = root.command("image").description("images of a running cluster's nodes");
  image
    .command("load")
    .description("add the images of an archive (docker save, or an OCI layout in a tar file) to every node")
    .argument("<file>")
    .option("--name <name>", "name of the cluster", "coracle")
    .action(async (file: string, { name }: { readonly name: string }) => {
      const archive = resolve(file);
      if (!existsSync(archive)) throw new CliError(`there is no file ${file}`);
      for (const { node, socket } of runtimesOf(name)) {
        for (const loaded of await tools().loadImage(socket, archive)) console.log(`${node}: ${loaded}`);
      }
    });
  image
    .command("list")
    .description("images on the nodes")
    .option("--name <name>", "name of the cluster", "coracle")
    .option("--json", "for programs", false)
    .action(async ({ name, json }: { readonly name: string; readonly json: boolean }) => {
      const all: ({ readonly node: string } & ImageRow)[] = [];
      for (const { node, socket } of runtimesOf(name)) {
        for (const row of await tools().listImages(socket)) all.push({ node, ...row });
      }
      if (json) console.log(JSON.stringify(all, undefined, 2));
      else {
        for (const { node, names, id, sizeBytes } of all) {
          console.log(`${node}  ${(sizeBytes / 1e6).toFixed(1).padStart(7)} MB  ${names[0] ?? id}`);
        }
      }
    });
}

const tools = (): ImageTools => createRequire(import.meta.url)(join(bundlesDir(), "runtime.cjs")) as ImageTools;

/** The runtimes of a running cluster that are ours. */
function runtimesOf(name: string): { readonly node: string; readonly socket: string }[] {
  const state = readState(name);
  if (state === undefined) throw new CliError(`no cluster named ${name} is running; start one with: coracle up`);
  const config = JSON.parse(readFileSync(clusterPaths(state).config, "utf8")) as ClusterConfig;
  if (config.runtime.startsWith("unix://"))
    throw new CliError(`this cluster's images are kept by ${config.runtime}; load them there`);
  if (config.nodes.length === 0) throw new CliError("this cluster has no nodes");
  return config.nodes.map((node) => ({ node: node.name, socket: clusterPaths(config).node(node.name).criSocket }));
}
