import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Logger } from "@coracle/base";
import { watchFile } from "../files/watched-file.ts";

/** A certificate and its key, in files. */
export interface CertificatePair {
  readonly certFile: string;
  readonly keyFile: string;
}

/** The certificates that a server shows. */
export interface CertificateFiles {
  /** Absent: the server made its own. */
  readonly main?: CertificatePair | undefined;
  /** For who asks for one of the names. */
  readonly named: readonly (CertificatePair & { readonly names: readonly string[] })[];
}

/** Whoever shows certificates. */
export interface CertificateShower {
  setCertificate(pair: { readonly cert: string; readonly key: string }, names?: readonly string[]): void;
}

async function readPair({
  certFile,
  keyFile,
}: CertificatePair): Promise<{ readonly cert: string; readonly key: string }> {
  const [cert, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw new Error("the certificate and the key do not belong together");
  }
  return { cert, key };
}

/** Takes changed files over while they belong together; until then what was shown before is shown. */
export async function followCertificates(
  files: CertificateFiles,
  shower: CertificateShower,
  logger: Logger,
): Promise<AsyncDisposable> {
  const followed: (AsyncDisposable & { check(): Promise<void> })[] = [];
  const follow = async (pair: CertificatePair, names?: readonly string[]): Promise<void> => {
    const takeOver = async (): Promise<void> => shower.setCertificate(await readPair(pair), names);
    for (const path of [pair.certFile, pair.keyFile]) {
      const initial = await readFile(path, "utf8");
      followed.push(watchFile({ path, logger, initial, onChange: takeOver }));
    }
  };
  if (files.main !== undefined) await follow(files.main);
  for (const { names, ...pair } of files.named) await follow(pair, names);
  for (const file of followed) await file.check();
  return {
    async [Symbol.asyncDispose]() {
      for (const file of followed) await file[Symbol.asyncDispose]();
    },
  };
}
