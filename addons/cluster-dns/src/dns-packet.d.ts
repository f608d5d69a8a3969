/** The part of dns-packet's interface that is used here. */
declare module "dns-packet" {
  export interface Question {
    readonly name: string;
    readonly type: string;
    readonly class?: string;
  }
  export interface Answer {
    readonly name: string;
    readonly type: string;
    readonly class?: string;
    readonly ttl?: number;
    readonly data?: unknown;
    readonly udpPayloadSize?: number;
    readonly flags?: number;
    readonly extendedRcode?: number;
    readonly ednsVersion?: number;
    readonly options?: readonly unknown[];
  }
  export interface Packet {
    readonly type?: "query" | "response";
    readonly id?: number;
    readonly flags?: number;
    readonly opcode?: string;
    readonly rcode?: string;
    readonly questions?: readonly Question[];
    readonly answers?: readonly Answer[];
    readonly authorities?: readonly Answer[];
    readonly additionals?: readonly Answer[];
  }
  export const AUTHORITATIVE_ANSWER: number;
  export const TRUNCATED_RESPONSE: number;
  export const RECURSION_DESIRED: number;
  export const RECURSION_AVAILABLE: number;
  export function encode(packet: Packet): Buffer;
  export function decode(bytes: Buffer): Packet;
}
