import { readFileSync } from "node:fs";
import { join } from "node:path";
import { busyboxImage, nodeImage } from "./built-images.ts";
import type { Image } from "./image.ts";

/** The images that the manifests in examples/ name; `root` is the checkout. */
export function exampleImages(root: string): Record<string, Image> {
  const server = readFileSync(join(root, "examples/web-server.js"), "utf8");
  const web = (version: string): Image =>
    nodeImage(
      { "app/server.js": server },
      {
        cmd: ["node", "/app/server.js"],
        env: ["PATH=/usr/bin:/bin", "LD_LIBRARY_PATH=/usr/lib", `VERSION=${version}`],
      },
    );
  return { "localhost/web:1": web("1"), "localhost/web:2": web("2"), "localhost/busybox:1": busyboxImage() };
}
