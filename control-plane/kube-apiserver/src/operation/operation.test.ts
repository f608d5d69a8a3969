import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { Cleanup } from "@coracle/base";
import { openClusterPki } from "@coracle/pki";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { call, eventually, startAccessServer, type AccessServer } from "../access-fixture.ts";

let cleanup: Cleanup;
beforeEach(() => {
  cleanup = new Cleanup();
});
afterEach(() => cleanup[Symbol.asyncDispose]());

const start = async (...args: Parameters<typeof startAccessServer>): Promise<AccessServer> =>
  cleanup.use(await startAccessServer(...args));

describe("health", () => {
  it("is told by three endpoints, in upstream's words", async () => {
    const { admin } = await start();
    const text = async (path: string): Promise<string> => (await call(admin, "GET", path)).text;
    for (const endpoint of ["healthz", "livez", "readyz"]) {
      expect(await text(`/${endpoint}`)).toBe("ok");
      expect(await text(`/${endpoint}/ping`)).toBe("ok");
      const verbose = await text(`/${endpoint}?verbose`);
      expect(verbose).toMatch(
        new RegExp(`^\\[\\+\\]ping ok\n\\[\\+\\]log ok\n\\[\\+\\]etcd ok\n[^]*\n${endpoint} check passed\n$`),
      );
      expect(verbose.includes("[+]shutdown ok\n")).toBe(endpoint === "readyz");
      expect(verbose.includes("[+]informer-sync ok\n")).toBe(endpoint === "readyz");
      expect(verbose).toContain("[+]poststarthook/rbac/bootstrap-roles ok\n");
    }
    expect(await text("/readyz/poststarthook/bootstrap-controller")).toBe("ok");
    expect(await text("/livez/shutdown")).toBe("404 page not found\n");
    const excluded = await text("/readyz?verbose&exclude=etcd&exclude=nope");
    expect(excluded).toContain("[+]etcd excluded: ok\n");
    expect(excluded).toMatch(
      /\nwarn: some health checks cannot be excluded: no matches for "nope"\nreadyz check passed\n$/,
    );
  });

  it("is counted", async () => {
    const { admin } = await start();
    await call(admin, "GET", "/readyz");
    const { text } = await call(admin, "GET", "/metrics/slis");
    expect(text).toContain('\nkubernetes_healthcheck{name="etcd",type="livez"} 1\n');
    expect(text).toMatch(/\nkubernetes_healthchecks_total\{name="ping",status="success",type="readyz"\} 1\n/);
  });
});

describe("metrics", () => {
  it("count requests by their codes, and what is stored", async () => {
    const { admin } = await start();
    const path = "/api/v1/namespaces/default/configmaps";
    await call(admin, "POST", path, { metadata: { name: "one" } });
    await call(admin, "GET", `${path}/none`);
    const { text } = await call(admin, "GET", "/metrics");
    expect(text).toMatch(
      /\napiserver_request_total\{code="201",[^\n]*resource="configmaps"[^\n]*verb="CREATE"[^\n]*\} 1\n/,
    );
    expect(text).toMatch(/\napiserver_request_total\{code="404",[^\n]*verb="GET"[^\n]*\} 1\n/);
    expect(text).toMatch(/\napiserver_storage_objects\{resource="configmaps"\} [1-9]\d*\n/);
    expect(text).toMatch(/\nkubernetes_build_info\{[^\n]*git_version="v1\.35/);
    expect(text).toMatch(/\nprocess_start_time_seconds \d+/);
  });
});

describe("the server's certificate", () => {
  it("is exchanged while the server runs, when its files are", async () => {
    const api = await start((dir, pki) => {
      copyFileSync(pki.path("apiserver.crt"), join(dir, "serving.crt"));
      copyFileSync(pki.path("apiserver.key"), join(dir, "serving.key"));
      const main = { certFile: join(dir, "serving.crt"), keyFile: join(dir, "serving.key") };
      return { certificateFiles: { main, named: [] } };
    });
    const shown = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect({ host: "127.0.0.1", port: api.server.port, rejectUnauthorized: false }, () => {
          resolve(socket.getPeerX509Certificate()?.serialNumber ?? "");
          socket.destroy();
        });
        socket.once("error", reject);
      });
    const before = await shown();
    const next = openClusterPki({ dir: join(api.dir, "next"), apiServerNames: ["127.0.0.1"], now: Date.now() });
    writeFileSync(join(api.dir, "serving.crt"), next.apiServer.cert);
    writeFileSync(join(api.dir, "serving.key"), next.apiServer.key);
    expect(await eventually(shown, (serial) => serial !== before)).not.toBe("");
  });
});
