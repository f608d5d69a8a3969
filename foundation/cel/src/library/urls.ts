import type { FunctionDeclaration } from "../check/environment.ts";
import { BOOL, STRING, listType, mapType, objectType } from "../types/cel-type.ts";
import { ArrayList, CelError, CelOpaque, EntryMap, type CelValue } from "../values/value.ts";
import { define, member, overload } from "./define.ts";
import {
  escapedPathOf,
  hostnameOf,
  parseRequestUri,
  parseUrl,
  portOf,
  queryOf,
  textOfUrl,
  type GoUrl,
} from "./go-url.ts";

const URL_TYPE = objectType("kubernetes.URL");

class UrlValue extends CelOpaque {
  readonly type = URL_TYPE;
  readonly url: GoUrl;
  constructor(url: GoUrl) {
    super();
    this.url = url;
  }
  equals(other: CelOpaque): boolean {
    return other instanceof UrlValue && textOfUrl(this.url) === textOfUrl(other.url);
  }
}

function toUrl([text]: readonly CelValue[]): CelValue {
  const request = parseRequestUri(text as string);
  const url = typeof request === "string" ? request : parseUrl(text as string);
  if (typeof url !== "string") return new UrlValue(url);
  return new CelError(`URL parse error during conversion from string: ${url}`);
}

function part(name: string, id: string, of: (url: GoUrl) => string): FunctionDeclaration {
  return define(
    name,
    member(id, [URL_TYPE], STRING, ([url]) => of((url as UrlValue).url)),
  );
}

/** The functions of URLs. */
export const URLS: readonly FunctionDeclaration[] = [
  define("url", overload("string_to_url", [STRING], URL_TYPE, toUrl)),
  part("getScheme", "url_get_scheme", ({ scheme }) => scheme),
  part("getHost", "url_get_host", ({ host }) => host),
  part("getHostname", "url_get_hostname", hostnameOf),
  part("getPort", "url_get_port", portOf),
  part("getEscapedPath", "url_get_escaped_path", escapedPathOf),
  define(
    "getQuery",
    member("url_get_query", [URL_TYPE], mapType(STRING, listType(STRING)), ([url]) => {
      const result = new EntryMap();
      for (const [key, values] of queryOf((url as UrlValue).url)) result.set(key, new ArrayList(values));
      return result;
    }),
  ),
  define(
    "isURL",
    overload("is_url_string", [STRING], BOOL, ([text]) => typeof parseRequestUri(text as string) !== "string"),
  ),
];
