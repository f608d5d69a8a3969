import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@coracle/linux";

const digestOf = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const APPLETS = [
  "sh",
  "sleep",
  "echo",
  "cat",
  "ls",
  "ps",
  "true",
  "false",
  "stty",
  "tty",
  "id",
  "nc",
  "wget",
  "head",
  "dd",
  "env",
  "hostname",
  "ping",
  "touch",
  "ip",
  "kill",
  "mount",
  "httpd",
  "grep",
  "test",
];

/** An OCI layout with one image, made from the host's static busybox: two layers, the second with whiteouts. */
export interface BusyboxImage {
  /** Tar of the layout, as `coracle image load` takes. */
  readonly archive: string;
  readonly layout: string;
  readonly name: string;
  readonly manifestDigest: string;
}

/** Builds the image below `folder`. */
export async function buildBusyboxImage(folder: string, name = "localhost/busybox:1"): Promise<BusyboxImage> {
  const base = join(folder, "base");
  await mkdir(join(base, "bin"), { recursive: true });
  await mkdir(join(base, "etc"), { recursive: true });
  await mkdir(join(base, "tmp"), { recursive: true });
  await mkdir(join(base, "gone"), { recursive: true });
  await mkdir(join(base, "opaque"), { recursive: true });
  await writeFile(join(base, "gone", "file"), "x");
  await writeFile(join(base, "opaque", "old"), "x");
  await copyFile("/bin/busybox", join(base, "bin", "busybox"));
  for (const applet of APPLETS) await symlink("busybox", join(base, "bin", applet));
  await writeFile(join(base, "etc", "passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/www:/bin/sh\n");
  await writeFile(join(base, "etc", "group"), "root:x:0:\nweb:x:33:\nextra:x:44:web\n");
  const top = join(folder, "top");
  await mkdir(join(top, "opaque"), { recursive: true });
  await writeFile(join(top, ".wh.gone"), "");
  await writeFile(join(top, "opaque", ".wh..wh..opq"), "");
  await writeFile(join(top, "opaque", "new"), "y");

  const layout = join(folder, "layout");
  const blobs = join(layout, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const put = async (bytes: Buffer): Promise<{ readonly digest: string; readonly size: number }> => {
    const digest = digestOf(bytes);
    await writeFile(join(blobs, digest.slice(7)), bytes);
    return { digest, size: bytes.length };
  };
  const layers = [];
  const diffIds = [];
  for (const dir of [base, top]) {
    const tar = `${dir}.tar`;
    await run("tar", ["-c", "-f", tar, "--sort=name", "--numeric-owner", "--owner=0", "--group=0", "-C", dir, "."]);
    diffIds.push(digestOf(await readFile(tar)));
    await run("gzip", ["-n", tar]);
    layers.push({
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      ...(await put(await readFile(`${tar}.gz`))),
    });
  }
  const json = (value: unknown): Promise<{ readonly digest: string; readonly size: number }> =>
    put(Buffer.from(JSON.stringify(value)));
  const config = await json({
    architecture: "amd64",
    os: "linux",
    config: { Env: ["FROM_IMAGE=1"], Cmd: ["sh"] },
    rootfs: { type: "layers", diff_ids: diffIds },
  });
  const manifest = await json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
    layers,
  });
  const annotations = { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1" };
  await writeFile(
    join(layout, "index.json"),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ mediaType: "application/vnd.oci.image.manifest.v1+json", ...manifest, annotations }],
    }),
  );
  await writeFile(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const archive = join(folder, "image.tar");
  await run("tar", ["-c", "-f", archive, "-C", layout, "."]);
  return { archive, layout, name, manifestDigest: manifest.digest };
}
