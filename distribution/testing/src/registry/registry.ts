import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Blob, Image } from "../image/image.ts";
import type { HostProcess, TestHost } from "../host/test-host.ts";

/** A registry that runs on a test host, on loopback without TLS. */
export interface Registry extends AsyncDisposable {
  /** `127.0.0.1:PORT`: the first part of its images' names. */
  readonly address: string;
  /** Puts an image there; answers its full name. */
  push(repository: string, image: Image): Promise<string>;
  /** Ends the server; what was pushed stays for `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

let port = 5100;

/** Starts Debian's docker-registry inside `host`. */
export async function startRegistry(host: TestHost): Promise<Registry> {
  const address = `127.0.0.1:${++port}`;
  const dir = join(host.dir, `registry-${port}`);
  mkdirSync(join(dir, "blobs"), { recursive: true });
  const config = join(dir, "config.yml");
  writeFileSync(
    config,
    [
      "version: 0.1",
      "log: { level: error, accesslog: { disabled: true } }",
      `storage: { filesystem: { rootdirectory: ${join(dir, "storage")} } }`,
      `http: { addr: "${address}" }`,
      "",
    ].join("\n"),
  );
  let server: HostProcess | undefined;

  const start = async (): Promise<void> => {
    server = host.spawn("docker-registry", ["serve", config], { OTEL_TRACES_EXPORTER: "none" });
    const waiting = host.program("await-answer", [`http://${address}/v2/`, "10"]);
    if ((await waiting.exited) !== 0)
      throw new Error(`the registry did not start: ${waiting.output()}${server.output()}`);
  };
  const stop = async (): Promise<void> => {
    server?.kill("SIGTERM");
    await server?.exited;
    server = undefined;
  };
  const fileOf = ({ digest, content }: Blob): string => {
    const file = join(dir, "blobs", digest.replace(":", "-"));
    if (!existsSync(file)) writeFileSync(file, content);
    return file;
  };

  await start();
  return {
    address,
    async push(repository, image) {
      const [name = "", tag = "latest"] = repository.split(":");
      const description = join(dir, "push.json");
      writeFileSync(
        description,
        JSON.stringify({
          registry: address,
          repository: name,
          tag,
          mediaType: image.manifest.mediaType,
          manifest: fileOf(image.manifest),
          blobs: [image.config, ...image.layers].map((part) => ({ digest: part.digest, file: fileOf(part) })),
        }),
      );
      const pushing = host.program("push-image", [description]);
      if ((await pushing.exited) !== 0) throw new Error(`pushing ${repository} failed: ${pushing.output()}`);
      return `${address}/${name}:${tag}`;
    },
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
