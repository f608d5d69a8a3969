import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { createAuthority } from "@coracle/pki";

/** The server's certificate (with what it was signed by, if that is ours) and key, PEM. */
export interface ServingCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A year, upstream's life of a certificate that a server makes for itself. */
const LIFE_DAYS = 365;

/**
 * The certificate of `--tls-cert-file`; or the pair `apiserver.crt`, `apiserver.key` in `--cert-dir`, which is made there when it is missing,
 * for `localhost` and the addresses given.
 */
export function findServingCertificate(
  files: { readonly tlsCertFile: string; readonly tlsPrivateKeyFile: string; readonly certDir: string },
  addresses: readonly string[],
  now: number,
): ServingCertificate {
  if (files.tlsCertFile !== "") return readPair(files.tlsCertFile, files.tlsPrivateKeyFile);
  const certFile = join(files.certDir, "apiserver.crt");
  const keyFile = join(files.certDir, "apiserver.key");
  if (existsSync(certFile) && existsSync(keyFile)) return readPair(certFile, keyFile);
  const host = hostname();
  const notBefore = now - 60_000;
  const notAfter = now + LIFE_DAYS * 86_400_000;
  const authority = createAuthority({
    subject: { commonName: `${host}-ca@${Math.floor(now / 1000)}` },
    notBefore,
    notAfter,
  });
  const names = [
    host,
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "127.0.0.1",
    ...addresses,
  ];
  const leaf = authority.issue({
    subject: { commonName: `${host}@${Math.floor(now / 1000)}` },
    usages: ["server"],
    names: [...new Set(names)],
    notBefore,
    notAfter,
  });
  mkdirSync(files.certDir, { recursive: true });
  writeFileSync(keyFile, leaf.key, { mode: 0o600 });
  writeFileSync(certFile, leaf.cert + authority.cert);
  return { cert: leaf.cert + authority.cert, key: leaf.key };
}

const readPair = (certFile: string, keyFile: string): ServingCertificate => ({
  cert: readFileSync(certFile, "utf8"),
  key: readFileSync(keyFile, "utf8"),
});
