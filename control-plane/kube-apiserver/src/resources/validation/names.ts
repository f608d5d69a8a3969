/**
 * Name and value grammars. Each function answers the messages for a bad value, and nothing for a good one; the number
 * of messages is the number of causes a client sees.
 */

const DNS_1123_LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const DNS_1123_SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const DNS_1123_SUBDOMAIN_UNDERSCORE = /^_?[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?(?:\._?[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?)*$/;
const DNS_1035_LABEL = /^[a-z](?:[-a-z0-9]*[a-z0-9])?$/;
const WILDCARD_SUBDOMAIN = /^\*\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED_NAME = /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const LABEL_VALUE = /^(?:(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const C_IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;
const CONFIG_KEY = /^[-._a-zA-Z0-9]+$/;
const HTTP_HEADER_NAME = /^[-A-Za-z0-9]+$/;
const HTTP_PATH = /^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/;
const PERCENT = /^[0-9]+%$/;
const RELAXED_ENV_NAME = /^[ -<>-~]+$/;

const bytes = (value: string): number => Buffer.byteLength(value);
const tooLongBytes = (max: number): string => `must be no more than ${max} bytes`;
function regexMessage(message: string, format: string, ...examples: readonly string[]): string {
  const shown = examples.map((e) => `'${e}'`).join(" or ");
  return `${message} (e.g. ${shown}, regex used for validation is '${format}')`;
}

/** RFC 1123 label: lower-case letters, digits, `-`, at most 63. */
export function dns1123Label(value: string): string[] {
  const out: string[] = [];
  if (bytes(value) > 63) out.push(tooLongBytes(63));
  if (!DNS_1123_LABEL.test(value)) {
    out.push(
      DNS_1123_SUBDOMAIN.test(value)
        ? "must not contain dots"
        : regexMessage(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
            "my-name",
            "123-abc",
          ),
    );
  }
  return out;
}

/** RFC 1123 subdomain: dot-separated labels, at most 253. */
export function dns1123Subdomain(value: string): string[] {
  const out: string[] = [];
  if (bytes(value) > 253) out.push(tooLongBytes(253));
  if (!DNS_1123_SUBDOMAIN.test(value)) {
    out.push(
      regexMessage(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        "example.com",
      ),
    );
  }
  return out;
}

/** The subdomain grammar with underscores, as DNS search paths may have them. */
export function dns1123SubdomainWithUnderscore(value: string): string[] {
  const out: string[] = [];
  if (bytes(value) > 253) out.push(tooLongBytes(253));
  if (!DNS_1123_SUBDOMAIN_UNDERSCORE.test(value)) {
    out.push(
      regexMessage(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        "example.com",
      ),
    );
  }
  return out;
}

/** RFC 1035 label: as RFC 1123, beginning with a letter. */
export function dns1035Label(value: string): string[] {
  const out: string[] = [];
  if (bytes(value) > 63) out.push(tooLongBytes(63));
  if (!DNS_1035_LABEL.test(value)) {
    out.push(
      regexMessage(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        "[a-z]([-a-z0-9]*[a-z0-9])?",
        "my-name",
        "abc-123",
      ),
    );
  }
  return out;
}

/** `*.` and a subdomain. */
export function wildcardSubdomain(value: string): string[] {
  const out: string[] = [];
  if (bytes(value) > 253) out.push(tooLongBytes(253));
  if (!WILDCARD_SUBDOMAIN.test(value)) {
    out.push(
      regexMessage(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        "\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        "*.example.com",
      ),
    );
  }
  return out;
}

/** A subdomain of at least two labels. */
export function fullyQualifiedName(value: string): string[] {
  const out = dns1123Subdomain(value);
  if (out.length === 0 && value.split(".").length < 3)
    out.push("should be a domain with at least three segments separated by dots");
  return out;
}

const QUALIFIED_MESSAGE =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/** Label and annotation keys, finalizers, resource names: optional subdomain prefix, `/`, name. */
export function qualifiedName(value: string): string[] {
  const out: string[] = [];
  const parts = value.split("/");
  let name = value;
  if (parts.length === 2) {
    const prefix = parts[0] ?? "";
    name = parts[1] ?? "";
    if (prefix === "") out.push("prefix part must be non-empty");
    else for (const message of dns1123Subdomain(prefix)) out.push(`prefix part ${message}`);
  } else if (parts.length > 2) {
    out.push(
      `a qualified name ${regexMessage(QUALIFIED_MESSAGE, "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", "MyName", "my.name", "123-abc")} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    );
    return out;
  }
  if (name === "") out.push("name part must be non-empty");
  else if (bytes(name) > 63) out.push(`name part ${tooLongBytes(63)}`);
  if (!QUALIFIED_NAME.test(name)) {
    out.push(
      `name part ${regexMessage(QUALIFIED_MESSAGE, "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", "MyName", "my.name", "123-abc")}`,
    );
  }
  return out;
}

/** A label's value: empty, or at most 63 of the qualified-name characters. */
export function labelValue(value: string): string[] {
  const out: string[] = [];
  if (bytes(value) > 63) out.push(tooLongBytes(63));
  if (!LABEL_VALUE.test(value)) {
    out.push(
      regexMessage(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
        "MyValue",
        "my_value",
        "12345",
      ),
    );
  }
  return out;
}

export function cIdentifier(value: string): string[] {
  return C_IDENTIFIER.test(value)
    ? []
    : [
        regexMessage(
          "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
          "[A-Za-z_][A-Za-z0-9_]*",
          "my_name",
          "MY_NAME",
          "MyName",
        ),
      ];
}

/** Environment variable names: printable ASCII without `=`. */
export function envVarName(value: string): string[] {
  return RELAXED_ENV_NAME.test(value)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}

/** Keys of ConfigMaps and Secrets. */
export function configMapKey(value: string): string[] {
  const out: string[] = [];
  if (bytes(value) > 253) out.push(tooLongBytes(253));
  if (!CONFIG_KEY.test(value)) {
    out.push(
      regexMessage(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        "[-._a-zA-Z0-9]+",
        "key.name",
        "KEY_NAME",
        "key-name",
      ),
    );
  }
  if (value === ".") out.push("must not be '.'");
  else if (value === "..") out.push("must not be '..'");
  else if (value.startsWith("..")) out.push("must not start with '..'");
  return out;
}

export function httpHeaderName(value: string): string[] {
  return HTTP_HEADER_NAME.test(value)
    ? []
    : [
        regexMessage(
          "a valid HTTP header must consist of alphanumeric characters or '-'",
          "[-A-Za-z0-9]+",
          "X-Header-Name",
        ),
      ];
}

/** True for a path as finalizers of domain-prefixed paths allow. */
export const isHttpPath = (value: string): boolean => HTTP_PATH.test(value);

/** `DOMAIN/PATH`: managedBy of a Job, condition reasons. */
export function domainPrefixedPath(value: string): string[] {
  if (value === "") return ["Required"];
  const slash = value.indexOf("/");
  const host = slash < 0 ? value : value.slice(0, slash);
  const path = slash < 0 ? "" : value.slice(slash + 1);
  if (slash < 0 || host === "" || path === "") return ['must be a domain-prefixed path (such as "acme.io/foo")'];
  const out = dns1123Subdomain(host);
  if (!HTTP_PATH.test(path)) out.push(regexMessage("Invalid path", "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+", "path"));
  return out;
}

export const isPercent = (value: string): boolean => PERCENT.test(value);

/** A port's number, 1 to 65535. */
export function portNumber(port: number): string[] {
  return port >= 1 && port <= 65535 ? [] : ["must be between 1 and 65535, inclusive"];
}

/** A container port's or target port's name (IANA service name). */
export function portName(value: string): string[] {
  const out: string[] = [];
  if (value.length > 15) out.push("must be no more than 15 characters");
  if (!/^[-a-z0-9]+$/.test(value)) {
    out.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (!/[a-z]/.test(value)) out.push("must contain at least one letter (a-z)");
  if (value.includes("--")) out.push("must not contain consecutive hyphens");
  if (value !== "" && (value.startsWith("-") || value.endsWith("-"))) out.push("must not begin or end with a hyphen");
  return out;
}

/** Names that only must fit a URL path segment (RBAC). */
export function pathSegmentName(value: string, isPrefix: boolean): string[] {
  const out: string[] = [];
  if (!isPrefix && (value === "." || value === "..")) out.push(`may not be '${value}'`);
  for (const illegal of ["/", "%"]) if (value.includes(illegal)) out.push(`may not contain '${illegal}'`);
  return out;
}

/** A name check for a generateName is the check of its text without a trailing dash. */
function maskTrailingDash(name: string): string {
  return name.length > 1 && name.endsWith("-") ? `${name.slice(0, -2)}a` : name;
}
type NameRule = (name: string, isPrefix: boolean) => string[];
export const nameIsDns1123Subdomain: NameRule = (name, isPrefix) =>
  dns1123Subdomain(isPrefix ? maskTrailingDash(name) : name);
export const nameIsDns1123Label: NameRule = (name, isPrefix) => dns1123Label(isPrefix ? maskTrailingDash(name) : name);
export const nameIsDns1035Label: NameRule = (name, isPrefix) => dns1035Label(isPrefix ? maskTrailingDash(name) : name);
