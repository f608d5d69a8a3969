import * as dns from "dns-packet";
import type { AnswerCache } from "../forward/answer-cache.ts";
import type { Forwarder } from "../forward/forwarder.ts";
import {
  addressOfReverseName,
  answerForAddress,
  answerInZone,
  type ZoneRecord,
  type ZoneView,
} from "../zone/records.ts";

/** Seconds that resolvers may keep answers about the cluster. */
const TTL = 30;
/** Seconds that they may keep a "no such name". */
const NEGATIVE_TTL = 5;
/** Bytes of a UDP answer to a client that announces no size (RFC 1035, 4.2.1). */
const PLAIN_UDP_BYTES = 512;
/** The most that is sent over UDP whatever the client announces: larger datagrams get fragmented. */
const MAX_UDP_BYTES = 1232;

export interface ResponderDeps {
  readonly view: ZoneView;
  readonly zone: string;
  readonly forwarder: Forwarder;
  readonly cache: AnswerCache;
  /** False until the caches are filled: answers before that would deny names that exist. */
  readonly isSynced: () => boolean;
  /** Serial of the zone's SOA: seconds since the epoch at which this server began. */
  readonly serial: number;
}

/** Answers one DNS message; undefined for what is no question (it is dropped). */
export type Responder = (message: Buffer, transport: "udp" | "tcp") => Promise<Buffer | undefined>;

export function createResponder(deps: ResponderDeps): Responder {
  const { zone } = deps;
  const soa: dns.Answer = {
    name: zone,
    type: "SOA",
    ttl: NEGATIVE_TTL,
    data: {
      mname: `ns.dns.${zone}`,
      rname: `hostmaster.${zone}`,
      serial: deps.serial,
      refresh: 7200,
      retry: 1800,
      expire: 86400,
      minimum: NEGATIVE_TTL,
    },
  };

  const local = (question: dns.Question): Partial<dns.Packet> | undefined => {
    const name = question.name.toLowerCase().replace(/\.$/, "");
    const isInZone = name === zone || name.endsWith(`.${zone}`);
    const address = isInZone || question.type !== "PTR" ? undefined : addressOfReverseName(name);
    if (!isInZone && address === undefined) return undefined;
    if (!deps.isSynced()) return { rcode: "SERVFAIL" };
    if (address !== undefined) {
      const records = answerForAddress(deps.view, zone, question.name, address);
      return records.length === 0 ? undefined : { answers: records.map(encodeRecord) };
    }
    if (name === zone && question.type === "SOA") return { answers: [{ ...soa, ttl: TTL }] };
    const found = answerInZone(deps.view, zone, name, question.type);
    if (!found.exists) return { rcode: "NXDOMAIN", authorities: [soa] };
    if (found.records.length === 0) return { authorities: [soa] };
    return {
      answers: found.records.map((record) =>
        encodeRecord(record.name === name ? { ...record, name: question.name } : record),
      ),
      additionals: found.additional.map(encodeRecord),
    };
  };

  const outside = async (message: Buffer, question: dns.Question, overTcp: boolean): Promise<Buffer | undefined> => {
    const key = `${question.name.toLowerCase()} ${question.type} ${question.class ?? "IN"} ${overTcp}`;
    const kept = deps.cache.get(key);
    if (kept !== undefined) {
      const copy = Buffer.from(kept);
      message.copy(copy, 0, 0, 2);
      return copy;
    }
    const answer = await deps.forwarder.forward(message, overTcp);
    if (answer !== undefined) deps.cache.put(key, answer, lifetimeOf(answer));
    return answer;
  };

  return async (message, transport) => {
    let query: dns.Packet;
    try {
      query = dns.decode(message);
    } catch {
      return formatError(message);
    }
    if (query.type !== "query") return undefined;
    const question = query.questions?.[0];
    const reply = (part: Partial<dns.Packet>): Buffer => encodeReply(query, part, transport);
    if (query.opcode !== undefined && query.opcode !== "QUERY") return reply({ rcode: "NOTIMP" });
    if (question === undefined || query.questions?.length !== 1) return reply({ rcode: "FORMERR" });
    const ours = local(question);
    if (ours !== undefined) return reply(ours);
    const answer = await outside(message, question, transport === "tcp");
    return answer ?? reply({ rcode: "SERVFAIL" });
  };
}

function encodeRecord(record: ZoneRecord): dns.Answer {
  const { name, type } = record;
  switch (type) {
    case "A":
    case "AAAA":
      return { name, type, ttl: TTL, data: record.address };
    case "CNAME":
    case "PTR":
    case "NS":
      return { name, type, ttl: TTL, data: record.target };
    case "SRV":
      return {
        name,
        type,
        ttl: TTL,
        data: { priority: 0, weight: record.weight, port: record.port, target: record.target },
      };
    case "TXT":
      return { name, type, ttl: TTL, data: record.text };
  }
}

function encodeReply(query: dns.Packet, part: Partial<dns.Packet>, transport: "udp" | "tcp"): Buffer {
  const edns = query.additionals?.find((record) => record.type === "OPT");
  const flags = (query.flags ?? 0) & dns.RECURSION_DESIRED;
  // The response code is the low nibble of the flags.
  const rcode = { SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, FORMERR: 1 }[part.rcode ?? ""] ?? 0;
  const isAuthoritative = rcode === 0 || rcode === 3;
  const base: dns.Packet = {
    type: "response",
    ...(query.id === undefined ? {} : { id: query.id }),
    flags: flags | dns.RECURSION_AVAILABLE | (isAuthoritative ? dns.AUTHORITATIVE_ANSWER : 0) | rcode,
    questions: query.questions ?? [],
  };
  const opt: dns.Answer[] =
    edns === undefined
      ? []
      : [
          {
            name: ".",
            type: "OPT",
            udpPayloadSize: MAX_UDP_BYTES,
            flags: 0,
            extendedRcode: 0,
            ednsVersion: 0,
            options: [],
          },
        ];
  const whole = dns.encode({
    ...base,
    answers: part.answers ?? [],
    authorities: part.authorities ?? [],
    additionals: [...(part.additionals ?? []), ...opt],
  });
  const limit = Math.max(PLAIN_UDP_BYTES, Math.min(edns?.udpPayloadSize ?? 0, MAX_UDP_BYTES));
  if (transport === "tcp" || whole.length <= limit) return whole;
  // The client asks again over TCP.
  return dns.encode({ ...base, flags: (base.flags ?? 0) | dns.TRUNCATED_RESPONSE, additionals: opt });
}

/** The lowest lifetime of an answer's records, in seconds; 0 for failures, a moment for "no such name". */
function lifetimeOf(answer: Buffer): number {
  try {
    const packet = dns.decode(answer);
    if (packet.rcode === "NXDOMAIN") return NEGATIVE_TTL;
    if (packet.rcode !== "NOERROR") return 0;
    const records = (packet.answers ?? []).filter((record) => record.type !== "OPT");
    return records.length === 0 ? NEGATIVE_TTL : Math.min(...records.map((record) => record.ttl ?? 0));
  } catch {
    return 0; // forwarded as it came, not kept
  }
}

/** FORMERR for a message whose head can be read; nothing for anything shorter, or an answer. */
function formatError(message: Buffer): Buffer | undefined {
  if (message.length < 12 || ((message[2] ?? 0) & 0x80) !== 0) return undefined;
  const head = Buffer.alloc(12);
  message.copy(head, 0, 0, 2);
  head[2] = 0x80;
  head[3] = 0x01;
  return head;
}
