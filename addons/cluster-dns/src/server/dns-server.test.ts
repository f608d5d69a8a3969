import { Resolver } from "node:dns/promises";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import * as dns from "dns-packet";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSeededRandom, systemClock } from "@coracle/base";
import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { createAnswerCache } from "../forward/answer-cache.ts";
import { createForwarder } from "../forward/forwarder.ts";
import type { ZoneView } from "../zone/records.ts";
import { listenDns, type DnsListeners } from "./listeners.ts";
import { createResponder, type Responder } from "./responder.ts";

const web: Service = {
  metadata: { name: "web", namespace: "a" },
  spec: { clusterIP: "10.96.0.9", clusterIPs: ["10.96.0.9"] },
};
const many: Service = { metadata: { name: "many", namespace: "a" }, spec: { clusterIP: "None", clusterIPs: ["None"] } };
const slice: EndpointSlice = {
  metadata: { name: "many-1", namespace: "a", labels: { "kubernetes.io/service-name": "many" } },
  addressType: "IPv4",
  endpoints: Array.from({ length: 90 }, (_, i) => ({ addresses: [`10.244.1.${i + 1}`] })),
};
const view: ZoneView = {
  service: (_, name) => [web, many].find((s) => s.metadata.name === name),
  servicesByIp: () => [],
  endpointSlices: (_, service) => (service === "many" ? [slice] : []),
  slicesByAddress: () => [],
  hasNamespace: (name) => name === "a",
};

describe("the DNS server", () => {
  let outside: DnsListeners;
  let server: DnsListeners;
  let respond: Responder;
  let asked = 0;
  beforeAll(async () => {
    outside = await listenDns("127.0.0.1", 0, (message) => {
      asked++;
      const query = dns.decode(message);
      return Promise.resolve(
        dns.encode({
          type: "response",
          id: query.id ?? 0,
          flags: dns.RECURSION_AVAILABLE,
          questions: query.questions ?? [],
          answers: [{ name: "example.org", type: "A", ttl: 60, data: "192.0.2.80" }],
        }),
      );
    });
    respond = createResponder({
      view,
      zone: "cluster.local",
      forwarder: createForwarder({
        servers: [`127.0.0.1#${outside.port}`],
        clock: systemClock,
        random: createSeededRandom(1),
      }),
      cache: createAnswerCache(systemClock),
      isSynced: () => true,
      serial: 1,
    });
    server = await listenDns("127.0.0.1", 0, respond);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await outside[Symbol.asyncDispose]();
  });
  const resolver = (): Resolver => {
    const made = new Resolver({ timeout: 1000, tries: 1 });
    made.setServers([`127.0.0.1:${server.port}`]);
    return made;
  };

  it("answers a real resolver", async () => {
    expect(await resolver().resolve4("web.a.svc.cluster.local")).toEqual(["10.96.0.9"]);
    await expect(resolver().resolve4("none.a.svc.cluster.local")).rejects.toMatchObject({ code: "ENOTFOUND" });
    await expect(resolver().resolve6("web.a.svc.cluster.local")).rejects.toMatchObject({ code: "ENODATA" });
  });
  it("keeps the letters' case of the question (resolvers use it against forgery)", async () => {
    const answer = await respond(
      dns.encode({ type: "query", id: 7, questions: [{ name: "WeB.a.SVC.cluster.local", type: "A" }] }),
      "udp",
    );
    expect(dns.decode(answer ?? Buffer.alloc(0)).answers?.[0]).toMatchObject({
      name: "WeB.a.SVC.cluster.local",
      data: "10.96.0.9",
    });
  });
  it("truncates what does not fit a datagram, and gives it whole over TCP", async () => {
    expect(await resolver().resolve4("many.a.svc.cluster.local")).toHaveLength(90);
  });
  it("forwards other names, and remembers the answer", async () => {
    const before = asked;
    expect(await resolver().resolve4("example.org")).toEqual(["192.0.2.80"]);
    expect(await resolver().resolve4("example.org")).toEqual(["192.0.2.80"]);
    expect(asked - before).toBe(1);
  });
  it("lives through any bytes, over UDP and TCP", async () => {
    const random = createSeededRandom(42);
    const valid = dns.encode({ type: "query", id: 1, questions: [{ name: "web.a.svc.cluster.local", type: "A" }] });
    for (let i = 0; i < 3000; i++) {
      const bytes = i % 2 === 0 ? Buffer.from(valid) : Buffer.alloc(Math.floor(random.next() * 60));
      for (let j = 0; j < 4; j++)
        if (bytes.length > 0)
          bytes[2 + Math.floor(random.next() * (bytes.length - 2))] = Math.floor(random.next() * 256);
      bytes[2] = (bytes[2] ?? 0) | 0x80; // an answer: never forwarded
      await respond(bytes, "udp");
      if (i % 2 === 0) {
        bytes[2] = 0;
        bytes.fill(0xc0, 12, 14);
        await respond(bytes, "udp");
      }
    }
    const udp = createSocket("udp4");
    await new Promise<void>((resolve) =>
      udp.send(Buffer.from("hello"), server.port, "127.0.0.1", () => udp.close(() => resolve())),
    );
    const tcp = connect(server.port, "127.0.0.1");
    tcp.end(Buffer.from([0, 3, 1, 2, 3]));
    await new Promise((resolve) => tcp.once("close", resolve).resume());
    expect(await resolver().resolve4("web.a.svc.cluster.local")).toEqual(["10.96.0.9"]);
  });
});
