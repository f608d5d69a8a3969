/**
 * The grammars of names and values. Every function returns the reasons why the text is refused, none for a good one;
 * the texts are the API's own and end up after `Invalid value: "…": `.
 */

const LABEL_1123 = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN = `${LABEL_1123}(\\.${LABEL_1123})*`;
const LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE = `(${QUALIFIED})?`;
const UNDERSCORE_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const UNDERSCORE_SUBDOMAIN = `${UNDERSCORE_LABEL}(\\.${UNDERSCORE_LABEL})*`;
const HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
const whole = (source: string): RegExp => new RegExp(`^(?:${source})$`);

/** `MESSAGE (e.g. 'a',  or 'b', regex used for validation is 'GRAMMAR')`. */
export function grammarMessage(message: string, grammar: string, ...examples: string[]): string {
  const regex = `regex used for validation is '${grammar}'`;
  if (examples.length === 0) return `${message} (${regex})`;
  return `${message} (e.g. ${examples.map((example) => `'${example}', `).join(" or ")}${regex})`;
}

export const maxLengthMessage = (bytes: number): string => `must be no more than ${bytes} bytes`;
export const rangeMessage = (low: number, high: number): string => `must be between ${low} and ${high}, inclusive`;
/** Required text that is empty. */
export const EMPTY_MESSAGE = "must be non-empty";
/** A changed field that may not change. */
export const IMMUTABLE_MESSAGE = "field is immutable";
/** A number below zero. */
export const NEGATIVE_MESSAGE = "must be greater than or equal to 0";

/** What is over-long is told in bytes for parts of label keys and for label values, in characters elsewhere. */
const maxCharactersMessage = (characters: number): string => `must be no more than ${characters} characters`;

interface Grammar {
  readonly pattern: RegExp;
  readonly maxBytes: number;
  readonly message: string;
}

function grammar(source: string, maxBytes: number, message: string, ...examples: string[]): Grammar {
  return { pattern: whole(source), maxBytes, message: grammarMessage(message, source, ...examples) };
}

function check(
  value: string,
  { pattern, maxBytes, message }: Grammar,
  tooLong: (limit: number) => string = maxCharactersMessage,
): string[] {
  const errors: string[] = [];
  if (value.length > maxBytes || (value.length * 3 > maxBytes && Buffer.byteLength(value) > maxBytes)) {
    errors.push(tooLong(maxBytes));
  }
  // No run of the grammar's own length limit: the patterns are linear.
  if (!pattern.test(value)) errors.push(message);
  return errors;
}

const dns1123Label = grammar(
  LABEL_1123,
  63,
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  "my-name",
  "123-abc",
);
const dns1123Subdomain = grammar(
  SUBDOMAIN,
  253,
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  "example.com",
);
const dns1123SubdomainWithUnderscore = grammar(
  UNDERSCORE_SUBDOMAIN,
  253,
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
  "example.com",
);
const dns1035Label = grammar(
  LABEL_1035,
  63,
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
  "my-name",
  "abc-123",
);
const wildcardSubdomain = grammar(
  `\\*\\.${SUBDOMAIN}`,
  253,
  "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
  "*.example.com",
);
const labelValue = grammar(
  LABEL_VALUE,
  63,
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  "MyValue",
  "my_value",
  "12345",
);
const qualifiedNameMessage = grammarMessage(
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  QUALIFIED,
  "MyName",
  "my.name",
  "123-abc",
);
const qualifiedNamePattern = whole(QUALIFIED);
const cIdentifier = grammar(
  "[A-Za-z_][A-Za-z0-9_]*",
  Infinity,
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
  "my_name",
  "MY_NAME",
  "MyName",
);
const envVarName = grammar(
  "[-._a-zA-Z][-._a-zA-Z0-9]*",
  Infinity,
  "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
  "my.env-name",
  "MY_ENV.NAME",
  "MyEnvName1",
);
const configMapKey = grammar(
  "[-._a-zA-Z0-9]+",
  253,
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
  "key.name",
  "KEY_NAME",
  "key-name",
);
const httpHeaderName = grammar(
  "[-A-Za-z0-9]+",
  Infinity,
  "a valid HTTP header must consist of alphanumeric characters or '-'",
  "X-Header-Name",
);
const percent = grammar(
  "[0-9]+%",
  Infinity,
  "a valid percent string must be a numeric string followed by an ending '%'",
  "1%",
  "93%",
);
const httpPath = whole(HTTP_PATH);

/** What would be good but for its dots is told so. */
export function isDns1123Label(value: string): string[] {
  const errors = check(value, dns1123Label);
  if (errors.at(-1) === dns1123Label.message && dns1123Subdomain.pattern.test(value))
    errors[errors.length - 1] = "must not contain dots";
  return errors;
}
export const isDns1123Subdomain = (value: string): string[] => check(value, dns1123Subdomain);
/** DNS search paths: labels may have underscores. */
export const isDns1123SubdomainWithUnderscore = (value: string): string[] =>
  check(value, dns1123SubdomainWithUnderscore);
export const isDns1035Label = (value: string): string[] => check(value, dns1035Label);
/** `*.example.com`. */
export const isWildcardDns1123Subdomain = (value: string): string[] => check(value, wildcardSubdomain);
export const isLabelValue = (value: string): string[] => check(value, labelValue, maxLengthMessage);
export const isCIdentifier = (value: string): string[] => check(value, cIdentifier);
export const isHttpHeaderName = (value: string): string[] => check(value, httpHeaderName);
/** `25%`. */
export const isPercent = (value: string): string[] => check(value, percent);

/** Keys of labels and annotations, resource names, finalizers: `name` or `prefix.example.com/name`. */
export function isQualifiedName(value: string): string[] {
  const slash = value.indexOf("/");
  const errors: string[] = [];
  let name = value;
  if (slash !== -1) {
    name = value.slice(slash + 1);
    if (name.includes("/")) {
      return [
        `a valid label key ${qualifiedNameMessage} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
      ];
    }
    const prefix = value.slice(0, slash);
    if (prefix === "") errors.push(`prefix part ${EMPTY_MESSAGE}`);
    else for (const message of check(prefix, dns1123Subdomain, maxLengthMessage)) errors.push(`prefix part ${message}`);
  }
  if (name === "") errors.push(`name part ${EMPTY_MESSAGE}`);
  else if (Buffer.byteLength(name) > 63) errors.push(`name part ${maxLengthMessage(63)}`);
  if (!qualifiedNamePattern.test(name)) errors.push(`name part ${qualifiedNameMessage}`);
  return errors;
}

/** `example.com` with at least one dot: signer names' domains, CSR conditions' owners. */
export function isFullyQualifiedName(value: string): string[] {
  if (value === "") return ["Required value"];
  const errors = isDns1123Subdomain(value);
  if (errors.length > 0) return errors;
  return value.split(".").length < 3 ? ["should be a domain with at least three segments separated by dots"] : [];
}

/** `example.com/path`. */
export function isDomainPrefixedPath(value: string): string[] {
  if (value === "") return ["Required value"];
  const slash = value.indexOf("/");
  if (slash <= 0 || slash === value.length - 1) {
    return ['must be a domain-prefixed path (such as "acme.io/foo")'];
  }
  const domain = isDns1123Subdomain(value.slice(0, slash));
  if (domain.length > 0) return domain;
  const path = value.slice(slash + 1);
  return httpPath.test(path) ? [] : [grammarMessage("Invalid path", HTTP_PATH)];
}

/** Names of environment variables in the strict grammar: keys of config maps that become variables. */
export function isEnvVarName(value: string): string[] {
  const errors = check(value, envVarName);
  errors.push(...forbiddenDots(value));
  return errors;
}

/** Names of environment variables as containers may have them. */
export function isRelaxedEnvVarName(value: string): string[] {
  if (value === "") return [`environment variable name ${EMPTY_MESSAGE}`];
  return /^[ -<>-~]+$/.test(value)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}

/** Keys of config maps and secrets. */
export function isConfigMapKey(value: string): string[] {
  return [...check(value, configMapKey), ...forbiddenDots(value)];
}

function forbiddenDots(value: string): string[] {
  if (value === ".") return ["must not be '.'"];
  if (value === "..") return ["must not be '..'"];
  return value.startsWith("..") ? ["must not start with '..'"] : [];
}

/** Names of ports of containers and services. */
export function isPortName(value: string): string[] {
  const errors: string[] = [];
  if (value.length > 15) errors.push("must be no more than 15 characters");
  if (!/^[-a-z0-9]+$/.test(value)) {
    errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (!/[a-z]/.test(value)) errors.push("must contain at least one letter (a-z)");
  if (value.includes("--")) errors.push("must not contain consecutive hyphens");
  if (value.startsWith("-") || value.endsWith("-")) errors.push("must not begin or end with a hyphen");
  return errors;
}

export const isPortNumber = (port: number): string[] => (port >= 1 && port <= 65535 ? [] : [rangeMessage(1, 65535)]);
/** User ids. */
export const isUserId = (id: number): string[] => (id >= 0 && id <= 2147483647 ? [] : [rangeMessage(0, 2147483647)]);
/** Group ids. */
export const isGroupId = isUserId;

/** One segment of a URL path: names of RBAC objects. `isPrefix`: it is a generateName. */
export function isPathSegmentName(value: string, isPrefix = false): string[] {
  if (!isPrefix && (value === "." || value === "..")) return [`may not be '${value}'`];
  const errors: string[] = [];
  if (value.includes("/")) errors.push("may not contain '/'");
  if (value.includes("%")) errors.push("may not contain '%'");
  return errors;
}

/** A name check for objects, in the form of `ResourceDefinition.validateName`; a prefix may end with a dash. */
export const nameIsDns1123Subdomain = (name: string, isPrefix: boolean): string[] =>
  isDns1123Subdomain(isPrefix ? maskTrailingDash(name) : name);
export const nameIsDns1123Label = (name: string, isPrefix: boolean): string[] =>
  isDns1123Label(isPrefix ? maskTrailingDash(name) : name);
export const nameIsDns1035Label = (name: string, isPrefix: boolean): string[] =>
  isDns1035Label(isPrefix ? maskTrailingDash(name) : name);
export const nameIsPathSegment = isPathSegmentName;

function maskTrailingDash(name: string): string {
  return name.length > 1 && name.endsWith("-") ? `${name.slice(0, -2)}a` : name;
}
