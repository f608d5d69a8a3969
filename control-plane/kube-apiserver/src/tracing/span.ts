import { ProtoWriter } from "@coracle/api";

/** Work that took some time: as OpenTelemetry has it. */
export interface Span {
  readonly traceId: Buffer;
  readonly spanId: Buffer;
  readonly parentId: Buffer | undefined;
  readonly name: string;
  /** Whose side of a call it is; absent: nobody else takes part. */
  readonly side?: "server" | "client" | undefined;
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** Why it failed. */
  readonly failure: string | undefined;
}

const KINDS = { server: 2, client: 3 } as const;
const KIND_INTERNAL = 1;
const STATUS_ERROR = 2;

function part(writer: ProtoWriter, field: number, write: () => void): void {
  writer.uint32((field << 3) | 2);
  const start = writer.open();
  write();
  writer.close(start);
}

function bytes(writer: ProtoWriter, field: number, value: Buffer | string): void {
  writer.uint32((field << 3) | 2);
  if (typeof value === "string") writer.string(value);
  else writer.view(value);
}

function fixed64(writer: ProtoWriter, field: number, value: bigint): void {
  writer.uint32((field << 3) | 1);
  const raw = Buffer.alloc(8);
  raw.writeBigUInt64LE(value);
  writer.raw(raw);
}

function attributes(writer: ProtoWriter, field: number, values: Span["attributes"]): void {
  for (const [key, value] of Object.entries(values)) {
    part(writer, field, () => {
      bytes(writer, 1, key);
      part(writer, 2, () => {
        if (typeof value === "string") return bytes(writer, 1, value);
        writer.uint32(24);
        writer.int64(value);
      });
    });
  }
}

function writeSpan(writer: ProtoWriter, span: Span): void {
  bytes(writer, 1, span.traceId);
  bytes(writer, 2, span.spanId);
  if (span.parentId !== undefined) bytes(writer, 4, span.parentId);
  bytes(writer, 5, span.name);
  writer.uint32(48);
  writer.uint32(span.side === undefined ? KIND_INTERNAL : KINDS[span.side]);
  fixed64(writer, 7, span.startNanos);
  fixed64(writer, 8, span.endNanos);
  attributes(writer, 9, span.attributes);
  const { failure } = span;
  if (failure === undefined) return;
  part(writer, 15, () => {
    bytes(writer, 2, failure);
    writer.uint32(24);
    writer.uint32(STATUS_ERROR);
  });
}

/** The message `ExportTraceServiceRequest` of OTLP. */
export function encodeSpans(service: Readonly<Record<string, string>>, spans: readonly Span[]): Buffer {
  const writer = new ProtoWriter();
  part(writer, 1, () => {
    part(writer, 1, () => attributes(writer, 1, service));
    part(writer, 2, () => {
      part(writer, 1, () => bytes(writer, 1, "coracle"));
      for (const span of spans) part(writer, 2, () => writeSpan(writer, span));
    });
  });
  return writer.finish();
}
