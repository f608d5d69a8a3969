import { execFileSync } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import { makeImage, makeLayer, type Image, type ImageConfig, type Layer } from "./image.ts";
import type { TarMember } from "./tar-archive.ts";

const BUSYBOX = "/bin/busybox";

/** The host's busybox. Throws when it is not the static one: a dynamic one would not run alone in an image. */
function findBusybox(): string {
  for (const path of ["/usr/bin/busybox", "/bin/busybox"]) {
    try {
      const real = realpathSync(path);
      if (sharedLibraries(real).length === 0) return real;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  throw new Error("no static busybox on this machine; install the package busybox-static");
}

/** Paths of what a program is linked with, the loader among them; none for a static program. */
function sharedLibraries(program: string): string[] {
  let text: string;
  try {
    text = execFileSync("ldd", [program], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return []; // ldd's answer to a static program is exit code 1
  }
  return [...text.matchAll(/(?:=>\s+)?(\/\S+)\s+\(0x/g)].map((match) => match[1] as string);
}

let busyboxLayer: Layer | undefined;
let nodeLayer: Layer | undefined;

/** A root folder with busybox under all its names: sh, wget, nslookup, httpd and so on. */
function busyboxRoot(): Layer {
  if (busyboxLayer !== undefined) return busyboxLayer;
  const program = findBusybox();
  const applets = execFileSync(program, ["--list"], { encoding: "utf8" }).trim().split("\n");
  const folders = ["bin", "etc", "lib", "lib64", "root", "tmp", "usr", "usr/bin", "usr/lib", "var", "var/run"];
  const members: TarMember[] = [
    ...folders.map((path): TarMember => ({ path, isFolder: true, mode: path === "tmp" ? 0o1777 : 0o755 })),
    { path: BUSYBOX.slice(1), content: readFileSync(program), mode: 0o755 },
    ...applets
      .filter((name) => name !== "busybox")
      .map((name): TarMember => ({ path: `bin/${name}`, linkTo: "busybox" })),
    { path: "etc/passwd", content: Buffer.from("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/tmp:/bin/sh\n") },
    { path: "etc/group", content: Buffer.from("root:x:0:\napp:x:1000:\n") },
  ];
  busyboxLayer = makeLayer(members);
  return busyboxLayer;
}

/** The running Node with the libraries it needs, where the loader looks for them. */
function nodeRoot(): Layer {
  if (nodeLayer !== undefined) return nodeLayer;
  const members: TarMember[] = [{ path: "usr/bin/node", content: readFileSync(process.execPath), mode: 0o755 }];
  for (const library of sharedLibraries(process.execPath)) {
    const isLoader = basename(library).startsWith("ld-linux");
    const path = isLoader ? `${dirname(library).slice(1)}/${basename(library)}` : `usr/lib/${basename(library)}`;
    members.push({ path, content: readFileSync(realpathSync(library)), mode: 0o755 });
  }
  nodeLayer = makeLayer(members);
  return nodeLayer;
}

/** Further files of an image: path without the leading slash → text. */
export type ImageFiles = Readonly<Record<string, string>>;

function filesLayer(files: ImageFiles): Layer[] {
  const members = Object.entries(files).map(([path, text]): TarMember => ({
    path,
    content: Buffer.from(text),
    mode: 0o755,
  }));
  return members.length === 0 ? [] : [makeLayer(members)];
}

/** An image of the host's static busybox: 1 MB. */
export function busyboxImage(files: ImageFiles = {}, start: ImageConfig = { cmd: ["sh"] }): Image {
  return makeImage([busyboxRoot(), ...filesLayer(files)], start);
}

/** An image of busybox and of the Node that runs this test: 40 MB. */
export function nodeImage(files: ImageFiles = {}, start: ImageConfig = { cmd: ["node"] }): Image {
  const env = ["PATH=/usr/local/bin:/usr/bin:/bin", "LD_LIBRARY_PATH=/usr/lib"];
  return makeImage([busyboxRoot(), nodeRoot(), ...filesLayer(files)], { env, ...start });
}
