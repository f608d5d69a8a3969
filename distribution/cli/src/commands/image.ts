import type { Command } from "commander";

/** Adds `coracle image load|list`. */
export function addImage(root: Command): void {
  root.command("image").description("images of a running cluster's nodes");
}
