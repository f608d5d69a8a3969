/** One line of a CRI log file. */
export interface LogEntry {
  readonly stream: "stdout" | "stderr";
  /** What the program wrote, its line end included. */
  readonly data: Buffer;
}

const NEWLINE = 0x0a;
const SPACE = 0x20;

/** Splits whole lines off a CRI log; gives them and the unfinished rest. Lines in no known form are left out. */
export function parseLogLines(bytes: Buffer): { readonly entries: LogEntry[]; readonly rest: Buffer } {
  const entries: LogEntry[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    const time = bytes.indexOf(SPACE, start);
    const stream = bytes.indexOf(SPACE, time + 1);
    const tag = bytes.indexOf(SPACE, stream + 1);
    if (time !== -1 && stream !== -1 && tag !== -1 && tag < end) {
      const name = bytes.toString("latin1", time + 1, stream);
      const isPartial = bytes.toString("latin1", stream + 1, tag).startsWith("P");
      // A full line's own end is the log's line end.
      const data = Buffer.from(bytes.subarray(tag + 1, isPartial ? end : end + 1));
      if (name === "stdout" || name === "stderr") entries.push({ stream: name, data });
    }
    start = end + 1;
  }
  return { entries, rest: Buffer.from(bytes.subarray(start)) };
}
