import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startOurs, type RunningEtcd } from "./running-etcd.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe("plain HTTP", () => {
  let server: RunningEtcd;
  beforeAll(async () => {
    server = await startOurs();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const call = async (path: string, body: object, headers: Record<string, string> = {}): Promise<[number, unknown]> => {
    const url = `http://${server.endpoint}${path}`;
    const answer = await fetch(url, { method: "POST", body: JSON.stringify(body), headers });
    return [answer.status, await answer.json()];
  };
  const get = async (path: string): Promise<[number, string]> => {
    const answer = await fetch(`http://${server.endpoint}${path}`);
    return [answer.status, await answer.text()];
  };

  it("the gateway speaks JSON as etcd's does: numbers as text, bytes in base64, zeros left out, errors by code", async () => {
    expect(await call("/v3/kv/put", { key: base64("foo"), value: base64("bar") })).toMatchObject([
      200,
      { header: { revision: "2" } },
    ]);
    const [, found] = await call("/v3/kv/range", { key: base64("foo"), rangeEnd: base64("\0"), sort_order: "DESCEND" });
    expect(found).toMatchObject({ count: "1" });
    expect((found as { kvs: object[] }).kvs).toEqual([
      { key: base64("foo"), create_revision: "2", mod_revision: "2", version: "1", value: base64("bar") },
    ]);
    const compare = [{ key: base64("foo"), result: "EQUAL", target: "VERSION", version: "1" }];
    const success = [{ requestPut: { key: base64("foo"), value: base64("2"), prev_kv: true } }];
    expect(await call("/v3/kv/txn", { compare, success })).toMatchObject([
      200,
      { succeeded: true, responses: [{ response_put: { prev_kv: { value: base64("bar") } } }] },
    ]);
    expect(await call("/v3/kv/range", { key: base64("foo"), revision: 99 })).toEqual([
      400,
      { code: 11, message: "etcdserver: mvcc: required revision is a future revision" },
    ]);
    expect(await call("/v3/kv/range", { key: "%" })).toMatchObject([400, { code: 3 }]);
    expect(await call("/v3/nope", {})).toEqual([404, { code: 5, message: "Not Found" }]);
    expect(await get("/v3/kv/range")).toEqual([501, '{"code":12,"message":"Method Not Allowed"}']);
  });

  it("watches, keep-alives and snapshots are streams of one object a line", async () => {
    await call("/v3/lease/grant", { ID: "77", TTL: "30" });
    const alive = await fetch(`http://${server.endpoint}/v3/lease/keepalive`, { method: "POST", body: '{"ID":"77"}' });
    expect(JSON.parse(await alive.text())).toMatchObject({ result: { ID: "77", TTL: "30" } });
    const stop = new AbortController();
    const watch = await fetch(`http://${server.endpoint}/v3/watch`, {
      method: "POST",
      body: JSON.stringify({ create_request: { key: base64("foo"), start_revision: "2" } }),
      signal: stop.signal,
    });
    let text = "";
    for await (const chunk of watch.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString();
      if (text.split(base64("foo")).length > 2) break;
    }
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { result: { events?: { kv: object }[] } });
    expect(lines[0]).toMatchObject({ result: { created: true } });
    expect(lines.flatMap(({ result }) => result.events ?? [])[0]).toMatchObject({ kv: { mod_revision: "2" } });
    stop.abort();
    const snapshot = await fetch(`http://${server.endpoint}/v3/maintenance/snapshot`, { method: "POST", body: "{}" });
    const pieces = (await snapshot.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { result: { blob: string } });
    const bytes = Buffer.concat(pieces.map(({ result }) => Buffer.from(result.blob, "base64")));
    expect(bytes.length % 512).toBe(32);
  });

  it("locks go to who asked first; who is gone waits no more", async () => {
    const [, first] = await call("/v3/lock/lock", { name: base64("mine") });
    const { key } = first as { key: string };
    expect(Buffer.from(key, "base64").toString()).toMatch(/^mine\/[0-9a-f]+$/);
    const second = call("/v3/lock/lock", { name: base64("mine") });
    const stop = new AbortController();
    const third = fetch(`http://${server.endpoint}/v3/lock/lock`, {
      method: "POST",
      body: JSON.stringify({ name: base64("mine") }),
      signal: stop.signal,
    });
    const places = async (): Promise<number> => {
      const [, found] = await call("/v3/kv/range", {
        key: base64("mine/"),
        range_end: base64("mine0"),
        count_only: true,
      });
      return Number((found as { count: string }).count);
    };
    await expect.poll(places).toBe(3);
    stop.abort();
    await expect(third).rejects.toThrow("aborted");
    await expect.poll(places).toBe(2);
    await call("/v3/lock/unlock", { key });
    const [status] = await second;
    expect(status).toBe(200);
  });

  it("an election's leader proclaims, resigns, and the next one leads", async () => {
    const name = base64("chair");
    expect(await call("/v3/election/leader", { name })).toMatchObject([500, { message: "election: no leader" }]);
    const [, won] = await call("/v3/election/campaign", { name, value: base64("a") });
    const { leader } = won as { leader: { rev: string } };
    const next = call("/v3/election/campaign", { name, value: base64("b") });
    expect((await call("/v3/election/proclaim", { leader, value: base64("a2") }))[0]).toBe(200);
    expect(await call("/v3/election/leader", { name })).toMatchObject([200, { kv: { value: base64("a2") } }]);
    await call("/v3/election/resign", { leader });
    const [, second] = await next;
    expect((second as { leader: { rev: string } }).leader.rev).not.toBe(leader.rev);
    expect(await call("/v3/election/leader", { name })).toMatchObject([200, { kv: { value: base64("b") } }]);
    expect(await call("/v3/election/proclaim", { leader, value: base64("late") })).toMatchObject([
      500,
      { message: "election: not leader" },
    ]);
  });

  it("health, probes, version and metrics are etcd's; an alarm is no good health", async () => {
    expect(await get("/health?serializable=true")).toEqual([200, '{"health":"true","reason":""}']);
    expect(await get("/livez")).toEqual([200, "ok\n"]);
    expect(await get("/livez/serializable_read")).toEqual([200, "ok\n"]);
    expect(await get("/readyz?verbose")).toEqual([
      200,
      "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n",
    ]);
    expect((await get("/livez/other"))[0]).toBe(404);
    expect((await get("/version"))[1]).toContain('"etcdserver":"3.');
    const [, metrics] = await get("/metrics");
    expect(metrics).toContain("etcd_server_has_leader 1\n");
    expect(metrics).toMatch(/etcd_mvcc_put_total [1-9]/);
    expect(metrics).toMatch(/grpc_server_handled_total\{grpc_code="OutOfRange",grpc_method="Range"/);
    await call("/v3/maintenance/alarm", { action: "ACTIVATE", alarm: "CORRUPT" });
    expect(await get("/health")).toEqual([503, '{"health":"false","reason":"ALARM CORRUPT"}']);
    expect((await get("/readyz"))[1]).toContain("[-]data_corruption failed: alarm activated: CORRUPT\n");
    expect(await call("/v3/kv/range", { key: base64("a") })).toEqual([
      500,
      { code: 15, message: "etcdserver: corrupt cluster" },
    ]);
    await call("/v3/maintenance/alarm", { action: "DEACTIVATE", alarm: "CORRUPT" });
    expect((await get("/health"))[0]).toBe(200);
  });

  it("tokens come in the header Authorization", async () => {
    for (const [path, body] of [
      ["user/add", { name: "root", password: "p" }],
      ["user/grant", { user: "root", role: "root" }],
      ["enable", {}],
    ] as const) {
      expect((await call(`/v3/auth/${path}`, body))[0]).toBe(200);
    }
    expect(await call("/v3/kv/range", { key: base64("a") })).toMatchObject([
      400,
      { message: "etcdserver: user name is empty" },
    ]);
    const [, { token }] = (await call("/v3/auth/authenticate", { name: "root", password: "p" })) as [
      number,
      { token: string },
    ];
    const headers = { authorization: token };
    expect((await call("/v3/kv/range", { key: base64("a") }, headers))[0]).toBe(200);
    expect((await call("/v3/kv/range", { key: base64("a") }, { authorization: "no" }))[0]).toBe(401);
    expect((await call("/v3/auth/disable", {}, headers))[0]).toBe(200);
  });
});
