/** Splits lines of comma-separated values, with quotes as in RFC 4180; empty lines do not count. Throws on stray quotes. */
export function parseCsv(text: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  let line = 1;
  let at = 0;
  const endRecord = (): void => {
    if (record.length > 1 || record[0] !== "") records.push(record);
    record = [];
    line += 1;
  };
  while (at < text.length) {
    let field = "";
    if (text[at] === '"') {
      for (at += 1; ; at++) {
        if (at >= text.length) throw new Error(`record on line ${line}: extraneous or missing " in quoted-field`);
        if (text[at] !== '"') field += text[at];
        else if (text[at + 1] === '"') field += text[at++];
        else break;
      }
      at += 1;
      if (at < text.length && !",\r\n".includes(text[at]!)) {
        throw new Error(`record on line ${line}: extraneous or missing " in quoted-field`);
      }
    } else {
      const end = /[,\r\n]|$/.exec(text.slice(at))!.index + at;
      field = text.slice(at, end);
      if (field.includes('"')) throw new Error(`parse error on line ${line}: bare " in non-quoted-field`);
      at = end;
    }
    record.push(field);
    if (text[at] === ",") {
      at += 1;
      if (at === text.length) record.push("");
      continue;
    }
    if (text[at] === "\r") at += 1;
    if (text[at] === "\n") at += 1;
    endRecord();
  }
  if (record.length > 0) endRecord();
  return records;
}
