/** Attributes that hold a URL, by the elements that have them. */
const URL_ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  a: ["href"],
  applet: ["codebase"],
  area: ["href"],
  audio: ["src"],
  base: ["href"],
  blockquote: ["cite"],
  body: ["background"],
  button: ["formaction"],
  command: ["icon"],
  del: ["cite"],
  embed: ["src"],
  form: ["action"],
  frame: ["longdesc", "src"],
  head: ["profile"],
  html: ["manifest"],
  iframe: ["longdesc", "src"],
  img: ["longdesc", "src", "usemap"],
  input: ["src", "usemap", "formaction"],
  ins: ["cite"],
  link: ["href"],
  object: ["classid", "codebase", "data", "usemap"],
  q: ["cite"],
  script: ["src"],
  source: ["src"],
  video: ["poster", "src"],
};

/** A comment; an element whose content is text, up to its end; or the beginning of a tag. */
const MARKUP = /<!--[\s\S]*?-->|<([a-z][a-z0-9]*)((?:\s(?:"[^"]*"|'[^']*'|[^'">])*)?\/?)>/gi;
const ATTRIBUTE = /(\s([a-z-]+)\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)/gi;
const TEXT_ELEMENTS = new Set(["script", "style", "textarea", "title", "iframe", "noembed", "noframes", "xmp"]);

/** Where a page came from, and where its links shall lead. */
export interface ProxiedPage {
  /** Path of this server that stands for the backend's root. */
  readonly prefix: string;
  /** What goes before the path; absent: nothing, so that links lead to whatever host the page was fetched from. */
  readonly origin?: string | undefined;
  /** Hosts that mean the backend itself: its address, and the host that the client asked for. */
  readonly hosts: readonly string[];
}

/** `/a/../b//c/` is `/b/c/`; what would lead above the root stays below it. */
export function cleanPath(path: string): string {
  const out: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") out.pop();
    else out.push(part);
  }
  const isFolder = path.endsWith("/") && out.length > 0;
  return `/${out.join("/")}${isFolder ? "/" : ""}`;
}

/** A URL that the backend names, seen through the proxy. Relative ones and those of other hosts stay what they are. */
export function proxiedUrl(url: string, { prefix, hosts, origin: own }: ProxiedPage): string {
  const [, scheme = "", host, path = "", rest = ""] = /^([a-z][a-z0-9+.-]*:)?(?:\/\/([^/?#]*))?([^?#]*)(.*)$/i.exec(
    url,
  )!;
  if (scheme !== "" && host === undefined) return url;
  const isElsewhere = host !== undefined && host !== "" && !hosts.includes(host.toLowerCase());
  if (isElsewhere || !path.startsWith("/")) return url;
  // A page that knows the client's own host goes on naming it.
  const origin =
    own !== undefined
      ? own
      : host !== undefined && host !== "" && host.toLowerCase() === hosts[1]
        ? `${scheme}//${host}`
        : "";
  const led = path.startsWith(prefix) ? path : prefix + cleanPath(path);
  return `${origin}${led}${rest}`;
}

/** A page whose links lead through the proxy. */
export function withProxiedLinks(html: string, page: ProxiedPage): string {
  let out = "";
  let at = 0;
  MARKUP.lastIndex = 0;
  for (let tag = MARKUP.exec(html); tag !== null; tag = MARKUP.exec(html)) {
    const name = tag[1]?.toLowerCase();
    out += html.slice(at, tag.index);
    at = MARKUP.lastIndex;
    if (name === undefined) {
      out += tag[0];
      continue;
    }
    const wanted = Object.hasOwn(URL_ATTRIBUTES, name) ? URL_ATTRIBUTES[name]! : [];
    out += wanted.length === 0 ? tag[0] : withProxiedAttributes(tag[0], wanted, page);
    if (!TEXT_ELEMENTS.has(name)) continue;
    const end = html.toLowerCase().indexOf(`</${name}`, at);
    if (end === -1) break;
    MARKUP.lastIndex = end;
    out += html.slice(at, end);
    at = end;
  }
  return out + html.slice(at);
}

function withProxiedAttributes(tag: string, wanted: readonly string[], page: ProxiedPage): string {
  return tag.replace(ATTRIBUTE, (whole, before: string, name: string, value: string) => {
    if (!wanted.includes(name.toLowerCase())) return whole;
    const quote = /^["']/.exec(value)?.[0] ?? "";
    const url = quote === "" ? value : value.slice(1, -1);
    return `${before}${quote}${proxiedUrl(url, page)}${quote}`;
  });
}
