import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type { AuthConfig } from "@coracle/api/cri";
import { CriError } from "../cri-error.ts";
import { httpFetch, readBody, type HttpRequest } from "./http-client.ts";
import { MANIFEST_TYPES } from "./manifest.ts";
import { formatImageReference, type ImageReference } from "./reference.ts";

/** How one registry host is reached; everything has a default. */
export interface RegistryHost {
  /** Base address, e.g. a mirror's; default: https, or http for loopback hosts. */
  readonly endpoint?: string;
  readonly skipVerify?: boolean;
  /** PEM file of further authorities. */
  readonly caFile?: string;
}

/** One repository, opened for pulling. Tokens live as long as this object. */
export interface Repository {
  /** A manifest or index by tag or digest; its digest is checked. */
  manifest(
    reference: string,
    signal?: AbortSignal,
  ): Promise<{ readonly bytes: Buffer; readonly digest: string; readonly mediaType: string }>;
  /** A blob's bytes; the reader checks the digest. */
  blob(digest: string, signal?: AbortSignal): Promise<IncomingMessage>;
}

function defaultEndpoint(domain: string): string {
  if (domain === "docker.io") return "https://registry-1.docker.io";
  const host = domain.replace(/:\d+$/, "");
  const isLoopback = host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
  return `${isLoopback && !domain.endsWith(":443") ? "http" : "https"}://${domain}`;
}

/** Reads `Bearer realm="…",service="…"`; undefined for other forms. */
export function parseChallenge(
  header: string,
): { readonly scheme: string; readonly parameters: Readonly<Record<string, string>> } | undefined {
  const match = /^(\w+)\s*(.*)$/s.exec(header.trim());
  if (match === null) return undefined;
  const parameters: Record<string, string> = {};
  for (const [, name = "", quoted, bare] of (match[2] ?? "").matchAll(/([\w-]+)=(?:"([^"]*)"|([^\s,]+))/g)) {
    parameters[name.toLowerCase()] = quoted ?? bare ?? "";
  }
  return { scheme: (match[1] ?? "").toLowerCase(), parameters };
}

function basicCredentials(auth: AuthConfig | undefined): string | undefined {
  if (auth === undefined) return undefined;
  if ((auth.username ?? "") !== "") return Buffer.from(`${auth.username}:${auth.password ?? ""}`).toString("base64");
  return (auth.auth ?? "") === "" ? undefined : auth.auth;
}

/** Opens a repository; nothing is sent before the first read. */
export function openRepository(
  ref: ImageReference,
  options: { readonly auth?: AuthConfig | undefined; readonly host?: RegistryHost | undefined },
): Repository {
  const { auth, host = {} } = options;
  const base = (host.endpoint ?? defaultEndpoint(ref.domain)).replace(/\/$/, "");
  const full = formatImageReference(ref);
  let authorization = (auth?.registryToken ?? "") === "" ? undefined : `Bearer ${auth?.registryToken}`;
  let ca: Promise<string> | undefined;

  const fetchWith = async (url: string, request: HttpRequest): Promise<IncomingMessage> => {
    if (host.caFile !== undefined) ca ??= readFile(host.caFile, "utf8");
    return httpFetch(url, { ...request, skipVerify: host.skipVerify, ca: await ca });
  };

  const bearerToken = async (
    parameters: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<string> => {
    const realm = parameters["realm"] ?? "";
    const scope = parameters["scope"] ?? `repository:${ref.path}:pull`;
    const service = parameters["service"] ?? "";
    const basic = basicCredentials(auth);
    const identityToken = auth?.identityToken ?? "";
    let response: IncomingMessage;
    if (identityToken !== "") {
      const body = new URLSearchParams({
        grant_type: "refresh_token",
        service,
        scope,
        client_id: "coracle",
        refresh_token: identityToken,
      });
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      response = await fetchWith(realm, { method: "POST", headers, body: body.toString(), signal });
    } else {
      const url = new URL(realm);
      if (service !== "") url.searchParams.set("service", service);
      url.searchParams.set("scope", scope);
      response = await fetchWith(url.href, {
        headers: basic === undefined ? {} : { authorization: `Basic ${basic}` },
        signal,
      });
    }
    const body = await readBody(response);
    if (response.statusCode !== 200) {
      throw denied(
        `failed to authorize: failed to fetch ${basic === undefined ? "anonymous" : "oauth"} token: unexpected status from GET request to ${realm}: ${response.statusCode} ${response.statusMessage}`,
      );
    }
    const answer = JSON.parse(body.toString("utf8")) as { token?: string; access_token?: string };
    const token = answer.token ?? answer.access_token;
    if (token === undefined) throw denied("failed to authorize: failed to fetch anonymous token: no token in response");
    return token;
  };

  const denied = (why: string): CriError =>
    new CriError("UNKNOWN", `failed to pull and unpack image "${full}": failed to resolve reference "${full}": ${why}`);

  const get = async (
    path: string,
    accept: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> => {
    const url = `${base}/v2/${ref.path}/${path}`;
    for (let attempt = 0; ; attempt++) {
      const headers: Record<string, string> = accept.length === 0 ? {} : { accept: accept.join(", ") };
      if (authorization !== undefined) headers["authorization"] = authorization;
      const response = await fetchWith(url, { headers, signal });
      if (response.statusCode === 200) return response;
      const body = (await readBody(response)).toString("utf8");
      if (response.statusCode === 404) throw new NotInRegistry();
      if (response.statusCode === 401 && attempt === 0) {
        const challenge = parseChallenge(response.headers["www-authenticate"] ?? "");
        const basic = basicCredentials(auth);
        if (challenge?.scheme === "bearer") {
          authorization = `Bearer ${await bearerToken(challenge.parameters, signal)}`;
          continue;
        }
        if (challenge?.scheme === "basic" && basic !== undefined) {
          authorization = `Basic ${basic}`;
          continue;
        }
      }
      if (response.statusCode === 401 || response.statusCode === 403) {
        throw denied(
          `pull access denied, repository does not exist or may require authorization: ${serverMessage(body)}authorization failed`,
        );
      }
      throw new Error(`unexpected status from GET request to ${url}: ${response.statusCode} ${response.statusMessage}`);
    }
  };

  return {
    async manifest(reference, signal) {
      let response: IncomingMessage;
      try {
        response = await get(`manifests/${reference}`, MANIFEST_TYPES, signal);
      } catch (error) {
        if (error instanceof CriError) throw error;
        const prefix = `failed to pull and unpack image "${full}": failed to resolve reference "${full}": `;
        if (error instanceof NotInRegistry) throw new CriError("NOT_FOUND", `${prefix}${full}: not found`);
        throw new CriError("UNKNOWN", `${prefix}${(error as Error).message}`, { cause: error });
      }
      const bytes = await readBody(response);
      const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
      if (reference.startsWith("sha256:") && reference !== digest) {
        throw new CriError(
          "UNKNOWN",
          `failed to pull and unpack image "${full}": manifest digest ${digest} does not match ${reference}`,
        );
      }
      return { bytes, digest, mediaType: (response.headers["content-type"] ?? "").split(";")[0] ?? "" };
    },
    async blob(digest, signal) {
      try {
        return await get(`blobs/${digest}`, [], signal);
      } catch (error) {
        if (error instanceof CriError) throw error;
        const why = error instanceof NotInRegistry ? `${digest}: not found` : (error as Error).message;
        const code = error instanceof NotInRegistry ? "NOT_FOUND" : "UNKNOWN";
        throw new CriError(code, `failed to pull and unpack image "${full}": failed to copy: ${why}`, { cause: error });
      }
    },
  };
}

class NotInRegistry extends Error {}

function serverMessage(body: string): string {
  try {
    const [first] = (JSON.parse(body) as { errors?: { code?: string; message?: string }[] }).errors ?? [];
    return first?.message === undefined ? "" : `server message: ${first.code?.toLowerCase() ?? "denied"}: `;
  } catch {
    return "";
  }
}
