/** The gRPC codes that CRI clients tell apart. */
export type CriCode =
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "FAILED_PRECONDITION"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "UNKNOWN";

/** A failure with the gRPC status that the caller of CRI gets to see. */
export class CriError extends Error {
  readonly code: CriCode;
  constructor(code: CriCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CriError";
    this.code = code;
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
