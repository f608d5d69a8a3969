import { spawn, type ChildProcess } from "node:child_process";
import { createServer, type Server } from "node:http";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "@coracle/linux";
import { importImage } from "../src/index.ts";
import { RuntimeFixture, until } from "./runtime-fixture.ts";

const PORT = 5055;
const AUTH_PORT = 5056;

describe("images from a registry", () => {
  let f: RuntimeFixture;
  let registry: ChildProcess;
  let guarded: Server;
  let blobs = "";

  beforeAll(async () => {
    f = await RuntimeFixture.start();
    const config = join(f.folder, "registry.yml");
    const data = join(f.folder, "registry");
    await writeFile(
      config,
      `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${data}}}\nhttp: {addr: "127.0.0.1:${PORT}"}\n`,
    );
    registry = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
    await until(
      "the registry",
      () =>
        new Promise<boolean>((resolve) => {
          const socket = createConnection({ port: PORT, host: "127.0.0.1" });
          socket.once("connect", () => (socket.destroy(), resolve(true)));
          socket.once("error", () => resolve(false));
        }),
    );
    for (const [format, tag] of [
      ["oci", "oci"],
      ["v2s2", "docker"],
    ]) {
      await run("skopeo", [
        "copy",
        "-q",
        "--insecure-policy",
        "--dest-tls-verify=false",
        "--format",
        format ?? "",
        `oci:${f.image.layout}:1`,
        `docker://127.0.0.1:${PORT}/team/app:${tag}`,
      ]);
    }
    await run("skopeo", [
      "copy",
      "-q",
      "--insecure-policy",
      "--dest-tls-verify=false",
      "--dest-compress-format=zstd",
      "--dest-compress",
      `oci:${f.image.layout}:1`,
      `docker://127.0.0.1:${PORT}/team/zstd:zstd`,
    ]);
    blobs = join(data, "docker", "registry", "v2", "blobs", "sha256");
    guarded = await startGuardedRegistry();
  });
  afterAll(async () => {
    await new Promise<void>((resolve) => guarded.close(() => resolve()));
    const gone = new Promise((resolve) => registry.once("exit", resolve));
    registry.kill("SIGKILL");
    await gone;
    await f[Symbol.asyncDispose]();
  });

  const pull = (image: string, auth = {}) => f.cri.call("PullImage", { image: { image }, auth });

  it.each(["oci", "docker"])("pulls an %s manifest, and runs it", async (tag) => {
    const image = `127.0.0.1:${PORT}/team/app:${tag}`;
    const { imageRef = "" } = await pull(image);
    const { image: status } = await f.cri.call("ImageStatus", { image: { image } });
    expect(status?.id).toBe(imageRef);
    expect(status?.repoDigests?.some((digest) => digest.startsWith(`127.0.0.1:${PORT}/team/app@sha256:`))).toBe(true);
    const pod = await f.pod(`pull-${tag}`);
    const id = await pod.add("main", "ls /gone 2>&1; cat /opaque/new", { image: { image: imageRef } });
    await f.exited(id);
    expect((await pod.log("main")).trim()).toBe("ls: /gone: No such file or directory\ny");
    await pod.remove();
  });

  it("pulls layers compressed with zstd, where that program is there", async () => {
    for (const image of (await f.cri.call("ListImages", {})).images ?? []) {
      await f.cri.call("RemoveImage", { image: { image: image.id ?? "" } });
    }
    const { imageRef = "" } = await pull(`127.0.0.1:${PORT}/team/zstd:zstd`);
    const { image } = await f.cri.call("ImageStatus", { image: { image: imageRef } });
    expect(image?.repoTags).toEqual([`127.0.0.1:${PORT}/team/zstd:zstd`]);
  });

  it("pulls by digest", async () => {
    const image = `127.0.0.1:${PORT}/team/app@${f.image.manifestDigest}`;
    await pull(image);
    expect((await f.cri.call("ImageStatus", { image: { image } })).image?.repoDigests).toContain(image);
  });

  it("shares one pull between all who ask at the same time", async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => pull(`127.0.0.1:${PORT}/team/app:oci`)));
    expect(new Set(answers.map((answer) => answer.imageRef)).size).toBe(1);
  });

  it("says what is not there, what is refused, and what cannot be reached", async () => {
    const name = `127.0.0.1:${PORT}/team/app:none`;
    await expect(pull(name)).rejects.toMatchObject({
      code: 5,
      details: `failed to pull and unpack image "${name}": failed to resolve reference "${name}": ${name}: not found`,
    });
    await expect(pull("127.0.0.1:1/x")).rejects.toThrow(
      /failed to resolve reference.*failed to do request.*connection refused/,
    );
    await expect(pull("UPPER/x y")).rejects.toMatchObject({ code: 3 });
    await expect(pull(`127.0.0.1:${AUTH_PORT}/team/app:oci`)).rejects.toThrow(
      /failed to authorize: failed to fetch anonymous token: unexpected status.*401/,
    );
  });

  it("gets a token with user name and password, from what the registry says", async () => {
    const answer = await pull(`127.0.0.1:${AUTH_PORT}/team/app:oci`, { username: "joe", password: "s3cret" });
    expect(answer.imageRef).toMatch(/^sha256:/);
  });

  it("refuses a layer whose bytes are not what the manifest says", async () => {
    await f.cri.call("RemoveImage", {
      image: { image: (await pull(`127.0.0.1:${PORT}/team/app:oci`)).imageRef ?? "" },
    });
    for (const image of (await f.cri.call("ListImages", {})).images ?? [])
      await f.cri.call("RemoveImage", { image: { image: image.id ?? "" } });
    expect(await readdir(join(f.rootDir, "images", "layers"))).toEqual([]);
    const manifest = JSON.parse(
      await readFile(join(f.image.layout, "blobs", "sha256", f.image.manifestDigest.slice(7)), "utf8"),
    ) as { layers: { digest: string }[] };
    const hex = manifest.layers[1]?.digest.slice(7) ?? "";
    const file = join(blobs, hex.slice(0, 2), hex, "data");
    const good = await readFile(file);
    const other = await run("sh", ["-c", "cd / && tar -c etc/hostname | gzip -n | base64 -w0"]);
    await writeFile(file, Buffer.from(other.stdout, "base64"));
    await expect(pull(`127.0.0.1:${PORT}/team/app:oci`)).rejects.toThrow(/unexpected commit digest|wrong diff id/);
    expect((await f.cri.call("ListImages", {})).images ?? []).toEqual([]);
    await writeFile(file, good);
    await pull(`127.0.0.1:${PORT}/team/app:oci`);
  });

  it("loads what docker save writes", async () => {
    const archive = join(f.folder, "saved.tar");
    await run("skopeo", [
      "copy",
      "-q",
      "--insecure-policy",
      `oci:${f.image.layout}:1`,
      `docker-archive:${archive}:example.org/saved:2`,
    ]);
    expect(await importImage(f.socketPath, archive)).toEqual(["example.org/saved:2"]);
    await expect(importImage(f.socketPath, "/etc/hostname")).rejects.toThrow();
  });

  it("keeps images over a restart, and layers only as long as something needs them", async () => {
    await f.stop();
    await f.run();
    const { images = [] } = await f.cri.call("ListImages", {});
    expect(images.length).toBeGreaterThan(0);
    const usage = await f.cri.call("ImageFsInfo", {});
    expect(usage.imageFilesystems?.[0]?.usedBytes?.value).toBeGreaterThan(500_000);
    for (const image of images) await f.cri.call("RemoveImage", { image: { image: image.id ?? "" } });
    expect(await readdir(join(f.rootDir, "images", "layers"))).toEqual([]);
  });
});

/** Passes on to the registry what carries the token, which its own token service gives to joe only. */
function startGuardedRegistry(): Promise<Server> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", `http://127.0.0.1:${AUTH_PORT}`);
    if (url.pathname === "/token") {
      const expected = `Basic ${Buffer.from("joe:s3cret").toString("base64")}`;
      const ok =
        request.headers.authorization === expected && url.searchParams.get("scope") === "repository:team/app:pull";
      response
        .writeHead(ok ? 200 : 401, { "content-type": "application/json" })
        .end(JSON.stringify(ok ? { token: "tok" } : {}));
      return;
    }
    if (request.headers.authorization !== "Bearer tok") {
      const challenge = `Bearer realm="http://127.0.0.1:${AUTH_PORT}/token",service="reg",scope="repository:team/app:pull"`;
      response.writeHead(401, { "www-authenticate": challenge }).end();
      return;
    }
    response.writeHead(307, { location: `http://127.0.0.1:${PORT}${request.url}` }).end();
  });
  return new Promise((resolve) => server.listen(AUTH_PORT, "127.0.0.1", () => resolve(server)));
}
