import { badRequest } from "@coracle/apimachinery";

/** Where a chunked list goes on. */
export interface ContinueToken {
  /** -1: in the latest state, whatever that is. */
  readonly revision: number;
  /** Key relative to the collection, with a zero byte at the end when it was the last one given. */
  readonly start: string;
}

/** As upstream writes it: URL-safe base64 of `{"v":"meta.k8s.io/v1","rv":N,"start":"name\0"}`. */
export function encodeContinue(token: ContinueToken): string {
  return Buffer.from(JSON.stringify({ v: "meta.k8s.io/v1", rv: token.revision, start: token.start })).toString(
    "base64url",
  );
}

/** Refuses what is no token with a 400. */
export function decodeContinue(text: string): ContinueToken {
  const fail = (why: string): never => {
    throw badRequest(`invalid continue token: continue key is not valid: ${why}`);
  };
  const stray = text.search(/[^A-Za-z0-9_-]/);
  if (stray !== -1) fail(`illegal base64 data at input byte ${stray}`);
  // A last group of one character, or one with bits left over, encodes nothing.
  if (text.length % 4 === 1) fail(`illegal base64 data at input byte ${text.length - 1}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
  const { v, rv, start } = (parsed ?? {}) as { v?: unknown; rv?: unknown; start?: unknown };
  if (v !== "meta.k8s.io/v1") fail(`server does not recognize this encoded version ${typeof v === "string" ? v : ""}`);
  if (typeof rv !== "number" || !Number.isSafeInteger(rv) || rv === 0) {
    fail("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  }
  if (typeof start !== "string" || start === "") fail("encoded start key empty (version meta.k8s.io/v1)");
  if (`/${start as string}`.split("/").includes("..")) fail(String(start));
  return { revision: rv as number, start: start as string };
}
