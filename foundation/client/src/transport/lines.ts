const NEWLINE = 0x0a;

/** The newline-separated parts of a stream as text; keeps only the unfinished one. A last line needs no newline. */
export async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const piece = chunk.subarray(start, end);
      start = end + 1;
      if (rest.length > 0) {
        rest.push(piece);
        const whole = Buffer.concat(rest);
        rest = [];
        yield whole.toString("utf8");
      } else if (piece.length > 0) yield piece.toString("utf8");
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
  }
  if (rest.length > 0) yield Buffer.concat(rest).toString("utf8");
}
