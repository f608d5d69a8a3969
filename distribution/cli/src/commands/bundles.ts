import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the bundled processes: this file's own, once bundled. */
export function bundlesDir(): string {
  return dirname(fileURLToPath(import.meta.url));
}
