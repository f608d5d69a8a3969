/** One member of a tar archive. */
export type TarMember =
  | { readonly path: string; readonly content: Buffer; readonly mode?: number }
  | { readonly path: string; readonly linkTo: string }
  | { readonly path: string; readonly isFolder: true; readonly mode?: number };

const BLOCK = 512;

/** A POSIX (ustar) archive; the same members give the same bytes. */
export function tarArchive(members: readonly TarMember[]): Buffer {
  const parts: Buffer[] = [];
  for (const member of members) {
    if ("content" in member) {
      parts.push(header(member.path, "0", member.mode ?? 0o644, member.content.length), member.content);
      const rest = member.content.length % BLOCK;
      if (rest > 0) parts.push(Buffer.alloc(BLOCK - rest));
    } else if ("linkTo" in member) parts.push(header(member.path, "2", 0o777, 0, member.linkTo));
    else parts.push(header(`${member.path.replace(/\/$/, "")}/`, "5", member.mode ?? 0o755, 0));
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

function header(path: string, type: string, mode: number, size: number, linkTo = ""): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number): void =>
    void block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
  let name = path;
  let prefix = "";
  if (name.length > 100) {
    const slash = name.indexOf("/", name.length - 101);
    prefix = name.slice(0, slash);
    name = name.slice(slash + 1);
    if (slash === -1 || prefix.length > 155) throw new Error(`path too long for tar: ${path}`);
  }
  if (linkTo.length > 100) throw new Error(`link too long for tar: ${linkTo}`);
  block.write(name, 0, "utf8");
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write("        ", 148, "latin1");
  block.write(type, 156, "latin1");
  block.write(linkTo, 157, "utf8");
  block.write("ustar\u000000", 257, "latin1");
  block.write(prefix, 345, "utf8");
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
