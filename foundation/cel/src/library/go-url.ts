/** A URL as Go's parser sees it. */
export interface GoUrl {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly rawQuery: string;
  readonly fragment: string;
  readonly opaque: string;
  readonly user: string;
}

const quote = (text: string): string => JSON.stringify(text);

/** The URL of a request, without fragment; a message when it is none. */
export function parseRequestUri(text: string): GoUrl | string {
  return parse(text, text, true);
}

/** The URL with its fragment; a message when it is none. */
export function parseUrl(text: string): GoUrl | string {
  const hash = text.indexOf("#");
  if (hash === -1) return parse(text, text, false);
  const url = parse(text, text.slice(0, hash), false);
  return typeof url === "string" ? url : { ...url, fragment: text.slice(hash + 1) };
}

function parse(whole: string, text: string, viaRequest: boolean): GoUrl | string {
  const failed = (reason: string): string => `parse ${quote(whole)}: ${reason}`;
  if (Array.from(text).some((char) => char < " " || char === "\u007f"))
    return failed("net/url: invalid control character in URL");
  if (text === "" && viaRequest) return failed("empty url");
  const base: GoUrl = { scheme: "", host: "", path: "", rawQuery: "", fragment: "", opaque: "", user: "" };
  if (text === "*") return { ...base, path: "*" };
  const scheme = schemeOf(text);
  if (scheme === undefined) return failed("missing protocol scheme");
  let rest = scheme === "" ? text : text.slice(scheme.length + 1);
  const question = rest.indexOf("?");
  const rawQuery = question === -1 ? "" : rest.slice(question + 1);
  if (question !== -1) rest = rest.slice(0, question);
  const common = { ...base, scheme: scheme.toLowerCase(), rawQuery };
  if (!rest.startsWith("/")) {
    if (scheme !== "") return { ...common, opaque: rest };
    if (viaRequest) return failed("invalid URI for request");
    const colon = rest.indexOf(":");
    if (colon >= 0 && !rest.slice(0, colon).includes("/"))
      return failed("first path segment in URL cannot contain colon");
  }
  let host = "";
  let user = "";
  if ((scheme !== "" || (!viaRequest && !rest.startsWith("///"))) && rest.startsWith("//")) {
    const slash = rest.indexOf("/", 2);
    const authority = slash === -1 ? rest.slice(2) : rest.slice(2, slash);
    rest = slash === -1 ? "" : rest.slice(slash);
    const at = authority.lastIndexOf("@");
    if (at !== -1) user = authority.slice(0, at);
    host = authority.slice(at + 1);
    const problem = hostProblem(host);
    if (problem !== undefined) return failed(problem);
    if (/[^A-Za-z0-9\-._:~!$&'()*+,;=%@]/.test(user)) return failed("net/url: invalid userinfo");
  }
  const escape = badEscape(rest);
  if (escape !== undefined) return failed(`invalid URL escape ${quote(escape)}`);
  return { ...common, host, user, path: rest };
}

/** The scheme, empty when there is none, undefined when the text starts with a colon. */
function schemeOf(text: string): string | undefined {
  for (let index = 0; index < text.length; index++) {
    const char = text.charAt(index);
    if (/[A-Za-z]/.test(char)) continue;
    if (/[0-9+\-.]/.test(char)) {
      if (index === 0) return "";
      continue;
    }
    if (char !== ":") return "";
    return index === 0 ? undefined : text.slice(0, index);
  }
  return "";
}

function hostProblem(host: string): string | undefined {
  if (host.startsWith("[")) {
    const end = host.lastIndexOf("]");
    if (end < 0) return "missing ']' in host";
    const port = host.slice(end + 1);
    return isPort(port) ? undefined : `invalid port ${quote(port)} after host`;
  }
  const colon = host.lastIndexOf(":");
  if (colon !== -1 && !isPort(host.slice(colon))) return `invalid port ${quote(host.slice(colon))} after host`;
  const bad = /[\s"<>\\^`{|}]/.exec(host);
  if (bad !== null) return `invalid character ${quote(bad[0])} in host name`;
  const escape = badEscape(host);
  return escape === undefined ? undefined : `invalid URL escape ${quote(escape)}`;
}

function isPort(text: string): boolean {
  return text === "" || /^:\d*$/.test(text);
}

function badEscape(text: string): string | undefined {
  for (let at = text.indexOf("%"); at !== -1; at = text.indexOf("%", at + 1)) {
    if (!/^%[0-9A-Fa-f]{2}/.test(text.slice(at))) return text.slice(at, at + 3);
  }
  return undefined;
}

/** The host without its port. */
export function hostnameOf({ host }: GoUrl): string {
  const colon = host.lastIndexOf(":");
  const bare =
    colon !== -1 && isPort(host.slice(colon)) && !/^\[[^\]]*$/.test(host.slice(0, colon)) ? host.slice(0, colon) : host;
  return bare.startsWith("[") && bare.endsWith("]") ? bare.slice(1, -1) : bare;
}

/** The port, or nothing. */
export function portOf({ host }: GoUrl): string {
  const match = /:(\d*)$/.exec(host);
  if (match === null || (host.startsWith("[") && host.lastIndexOf("]") > match.index)) return "";
  return match[1] ?? "";
}

/** The path with everything escaped that must be. */
export function escapedPathOf({ path }: GoUrl): string {
  if (path === "*") return "*";
  if (/^[A-Za-z0-9\-._~!$&'()*+,;=:@%/[\]]*$/.test(path)) return path;
  return encodeURI(decodeSafely(path)).replaceAll(/[?#]/g, (char) => encodeURIComponent(char));
}

function decodeSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The values of each key of the query. */
export function queryOf({ rawQuery }: GoUrl): Map<string, string[]> {
  const result = new Map<string, string[]>();
  for (const part of rawQuery.split("&")) {
    if (part === "" || part.includes(";")) continue;
    const equals = part.indexOf("=");
    const rawKey = equals === -1 ? part : part.slice(0, equals);
    const rawValue = equals === -1 ? "" : part.slice(equals + 1);
    if (badEscape(rawKey) !== undefined || badEscape(rawValue) !== undefined) continue;
    const key = decodeSafely(rawKey.replaceAll("+", " "));
    result.set(key, [...(result.get(key) ?? []), decodeSafely(rawValue.replaceAll("+", " "))]);
  }
  return result;
}

/** The URL as text, for comparing two. */
export function textOfUrl(url: GoUrl): string {
  const authority = url.host === "" && url.user === "" ? "" : `//${url.user === "" ? "" : `${url.user}@`}${url.host}`;
  const query = url.rawQuery === "" ? "" : `?${url.rawQuery}`;
  const fragment = url.fragment === "" ? "" : `#${url.fragment}`;
  return `${url.scheme === "" ? "" : `${url.scheme}:`}${url.opaque}${authority}${escapedPathOf(url)}${query}${fragment}`;
}
