/** Status codes of gRPC (doc/statuscodes.md of the protocol). */
export const grpcCode = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** A call that ended with another status than OK. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  readonly code: number;
  /** Whether the request may have reached the server: if so, a write may have happened. */
  readonly isSent: boolean;
  constructor(code: number, message: string, options?: ErrorOptions & { readonly isSent?: boolean }) {
    super(message, options);
    this.code = code;
    this.isSent = options?.isSent ?? true;
  }
}

/** `grpc-message` is percent-encoded UTF-8; what is not properly encoded is taken as it is. */
export function decodeGrpcMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Encodes a status message for the `grpc-message` trailer. */
export function encodeGrpcMessage(text: string): string {
  return encodeURIComponent(text).replaceAll("%20", " ").replaceAll("%3A", ":").replaceAll("%2F", "/");
}

/** The code's name as Go writes it: `PermissionDenied`. */
export function grpcCodeName(code: number): string {
  const name = Object.entries(grpcCode).find(([, number]) => number === code)?.[0] ?? `code(${code})`;
  return name === "ok" ? "OK" : `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}
