import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { createFakeClock, systemClock } from "@coracle/base";
import { createAuthority } from "@coracle/pki";
import { describe, expect, it } from "vitest";
import { createOutboundClient } from "./outbound-client.ts";
import { startPeer, testCaBundle, testClient } from "./peer-fixture.ts";
import { postObject } from "./rest-call.ts";
import { targetOf, type TargetDeps, type WebhookClientConfig } from "./target.ts";

const nowhere: TargetDeps = {
  resolve: (_namespace, name) => Promise.reject(new Error(`service "${name}" not found`)),
};

const CONFIG = (url: string): WebhookClientConfig => ({ url, caBundle: testCaBundle });

async function messageOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("did not fail");
}

describe("outbound calls", () => {
  it("posts an object, tells the timeout, and keeps the connection", async () => {
    await using peer = await startPeer(() => ({ body: '{"kind":"Answer"}' }), {});
    await using client = createOutboundClient({ clock: systemClock });
    const target = targetOf(CONFIG(`${peer.url}/a/b`), nowhere);
    for (let i = 0; i < 3; i++) {
      const answer = await postObject(client, target, { body: { n: i }, timeoutMs: 9500 });
      expect(answer).toEqual({ kind: "Answer" });
    }
    expect(peer.seen.map((one) => one.path)).toEqual(Array(3).fill("/a/b?timeout=10s"));
    expect(peer.connections).toBe(1);
  });

  it("speaks HTTP/2 to a peer on this host that offers it, HTTP/1.1 to a service", async () => {
    await using peer = await startPeer(() => ({ body: "{}" }), {
      http2: true,
      names: ["127.0.0.1", "hook.ns.svc"],
    });
    await using client = createOutboundClient({ clock: systemClock });
    const byUrl = targetOf(CONFIG(peer.url), nowhere);
    await Promise.all([1, 2, 3].map(() => postObject(client, byUrl, { body: {} })));
    await postObject(client, byUrl, { body: {} });
    const service = { namespace: "ns", name: "hook", port: 8443 };
    const resolve = (): Promise<{ host: string; port: number }> =>
      Promise.resolve({ host: "127.0.0.1", port: peer.port });
    await postObject(client, targetOf({ service, caBundle: testCaBundle }, { resolve }), { body: {} });
    expect(peer.seen.map((one) => one.httpVersion)).toEqual(["2.0", "2.0", "2.0", "2.0", "1.1"]);
    expect(peer.seen.at(-1)?.headers.host).toBe("hook.ns.svc:8443");
  });

  it("proves itself with the identity for the host", async () => {
    await using peer = await startPeer(() => ({ body: "{}" }));
    await using client = createOutboundClient({ clock: systemClock });
    const asked: string[] = [];
    const target = targetOf(CONFIG(peer.url), {
      ...nowhere,
      identityFor: (hostPort) => {
        asked.push(hostPort);
        return { ...testClient, authorization: () => "Bearer secret" };
      },
    });
    await postObject(client, target, { body: {} });
    expect(asked).toEqual([`127.0.0.1:${peer.port}`]);
    expect(peer.seen[0]?.client).toBe("system:apiserver-client");
    expect(peer.seen[0]?.headers.authorization).toBe("Bearer secret");
  });

  it("says in upstream's words that a service is not there", async () => {
    await using client = createOutboundClient({ clock: systemClock });
    const target = targetOf({ service: { namespace: "ns", name: "hook", path: "/x" } }, nowhere);
    expect(await messageOf(postObject(client, target, { body: {}, timeoutMs: 10_000 }))).toBe(
      'Post "https://hook.ns.svc:443/x?timeout=10s": service "hook" not found',
    );
  });

  it("says in upstream's words that nobody listens", async () => {
    const server = createTcpServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    await using client = createOutboundClient({ clock: systemClock });
    const url = `https://127.0.0.1:${port}`;
    expect(await messageOf(postObject(client, targetOf(CONFIG(url), nowhere), { body: {}, timeoutMs: 1000 }))).toBe(
      `Post "${url}/?timeout=1s": dial tcp 127.0.0.1:${port}: connect: connection refused`,
    );
  });

  it("ends a call at its deadline", async () => {
    const clock = createFakeClock();
    let asked: () => void = () => {};
    const arrived = new Promise<void>((resolve) => (asked = resolve));
    await using peer = await startPeer(() => asked());
    await using client = createOutboundClient({ clock });
    const pending = messageOf(postObject(client, targetOf(CONFIG(peer.url), nowhere), { body: {}, timeoutMs: 1000 }));
    await arrived;
    await clock.advance(1000);
    expect(await pending).toBe(`Post "${peer.url}/?timeout=1s": context deadline exceeded`);
  });

  const cases: readonly (readonly [string, Parameters<typeof startPeer>[1], RegExp])[] = [
    [
      "an unknown authority",
      {
        authority: createAuthority({
          subject: { commonName: "other" },
          notBefore: Date.now() - 1000,
          notAfter: Date.now() + 100_000,
        }),
      },
      /: tls: failed to verify certificate: x509: certificate signed by unknown authority$/,
    ],
    [
      "another name",
      { names: ["other.ns.svc", "www"] },
      /: tls: failed to verify certificate: x509: cannot validate certificate for 127\.0\.0\.1 because it doesn't contain any IP SANs$/,
    ],
    [
      "an expired certificate",
      { notAfter: Date.now() - 5000 },
      /: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time \S+Z is after \S+Z$/,
    ],
  ];
  it.each(cases)("refuses %s in upstream's words", async (_what, options, text) => {
    await using peer = await startPeer(() => ({ body: "{}" }), options);
    await using client = createOutboundClient({ clock: systemClock });
    expect(await messageOf(postObject(client, targetOf(CONFIG(peer.url), nowhere), { body: {} }))).toMatch(text);
    expect(peer.seen).toEqual([]);
  });

  const answers: readonly (readonly [number, string, string, string])[] = [
    [404, "nothing here", "text/plain", "the server could not find the requested resource"],
    [500, "boom", "text/plain", 'an error on the server ("boom") has prevented the request from succeeding'],
    [503, "", "application/json", "the server is currently unable to handle the request"],
    [
      418,
      "{}",
      "application/json",
      "the server responded with the status code 418 but did not return more information",
    ],
    [403, '{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","code":403}', "application/json", "no"],
    [200, "", "application/json", "0-length response with status code: 200 and content type: application/json"],
  ];
  it.each(answers)("takes %i %s as upstream does", async (status, body, type, text) => {
    await using peer = await startPeer(() => ({ status, body, headers: { "content-type": type } }));
    await using client = createOutboundClient({ clock: systemClock });
    expect(await messageOf(postObject(client, targetOf(CONFIG(peer.url), nowhere), { body: {} }))).toBe(text);
  });

  it("bounds what it reads", async () => {
    await using peer = await startPeer(() => ({ body: Buffer.alloc(5000, 0x20) }));
    await using client = createOutboundClient({ clock: systemClock });
    const call = client.call(targetOf(CONFIG(peer.url), nowhere), {
      method: "GET",
      path: "/",
      headers: {},
      maxBytes: 1000,
    });
    expect(await messageOf(call)).toContain("response is longer than 1000 bytes");
  });

  it("keeps to its number of calls to one peer", async () => {
    let running = 0;
    let most = 0;
    let meet: () => void = () => {};
    const two = new Promise<void>((resolve) => (meet = resolve));
    await using peer = await startPeer(async () => {
      most = Math.max(most, ++running);
      if (running === 2) meet();
      await two;
      running--;
      return { body: "{}" };
    });
    await using client = createOutboundClient({ clock: systemClock, maxCalls: 2 });
    const target = targetOf(CONFIG(peer.url), nowhere);
    await Promise.all(Array.from({ length: 20 }, () => postObject(client, target, { body: {} })));
    expect([peer.seen.length, most]).toEqual([20, 2]);
  });

  it("ends a call that waits for its turn, too", async () => {
    const clock = createFakeClock();
    let asked: () => void = () => {};
    const arrived = new Promise<void>((resolve) => (asked = resolve));
    await using peer = await startPeer(() => asked());
    await using client = createOutboundClient({ clock, maxCalls: 1 });
    const target = targetOf(CONFIG(peer.url), nowhere);
    const calls = [2000, 1000].map((timeoutMs) => messageOf(postObject(client, target, { body: {}, timeoutMs })));
    await arrived;
    await clock.advance(1000);
    expect(await calls[1]).toBe(`Post "${peer.url}/?timeout=1s": context deadline exceeded`);
    await clock.advance(1000);
    expect(await calls[0]).toBe(`Post "${peer.url}/?timeout=2s": context deadline exceeded`);
    expect(peer.seen).toHaveLength(1);
  });

  it("asks again on a new connection when the peer closed the idle one", async () => {
    await using peer = await startPeer((_seen, response) => {
      response.shouldKeepAlive = true;
      response.once("finish", () => setImmediate(() => response.socket?.destroy()));
      return { body: "{}" };
    });
    await using client = createOutboundClient({ clock: systemClock });
    const target = targetOf(CONFIG(peer.url), nowhere);
    for (let i = 0; i < 10; i++) await postObject(client, target, { body: {} });
    expect(peer.seen).toHaveLength(10);
  });
});
