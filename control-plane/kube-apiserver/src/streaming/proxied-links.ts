/** Attributes of HTML elements that hold a URL. */
const URL_ATTRIBUTES =
  "action|archive|background|cite|classid|codebase|data|formaction|href|icon|longdesc|manifest|poster|profile|src|usemap";
const TAG = /<[a-z](?:"[^"]*"|'[^']*'|[^'">])*>/gi;
const ATTRIBUTE = new RegExp(`(\\s(?:${URL_ATTRIBUTES})\\s*=\\s*)("[^"]*"|'[^']*'|[^\\s"'>]+)`, "gi");

/** A path of the backend as a path of this server: `/css` is `PREFIX/css` for who came through the proxy. */
export function proxiedPath(url: string, prefix: string): string {
  const isAbsolutePath = url.startsWith("/") && !url.startsWith("//");
  return isAbsolutePath && !url.startsWith(`${prefix}/`) ? prefix + url : url;
}

/** Where a backend sends its client to, seen through the proxy. Other hosts stay what they are. */
export function proxiedLocation(location: string, prefix: string, backendHost: string): string {
  const own = /^https?:\/\/([^/?#]*)(.*)$/i.exec(location);
  if (own === null) return proxiedPath(location, prefix);
  const [, host = "", path = ""] = own;
  return host.toLowerCase() === backendHost.toLowerCase()
    ? proxiedPath(path.startsWith("/") ? path : `/${path}`, prefix)
    : location;
}

/** A page whose links lead through the proxy. */
export function withProxiedLinks(html: string, prefix: string): string {
  return html.replace(TAG, (tag) =>
    tag.replace(ATTRIBUTE, (_, name: string, value: string) => {
      const quote = /^["']/.exec(value)?.[0] ?? "";
      const url = quote === "" ? value : value.slice(1, -1);
      return `${name}${quote}${proxiedPath(url, prefix)}${quote}`;
    }),
  );
}
