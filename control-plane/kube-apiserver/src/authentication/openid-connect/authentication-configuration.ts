import {
  duplicate,
  forbiddenField,
  invalidValue,
  isDns1123Subdomain,
  required,
  tooMany,
  type FieldError,
} from "@coracle/apimachinery";
import { parseCertificates } from "../client-certificate.ts";
import { readConfigDocument, type ConfigNode } from "../../files/config-document.ts";
import type { OpenIdFlags } from "../settings.ts";

/** A value taken from a claim, or computed. Empty texts: not given. */
export interface ClaimSource {
  readonly claim: string;
  readonly expression: string;
  readonly prefix?: string | undefined;
}

/** How tokens of one issuer are believed, and who their bearers are. */
export interface JwtAuthenticatorEntry {
  readonly issuer: {
    readonly url: string;
    readonly discoveryUrl: string;
    readonly certificateAuthority: string;
    readonly audiences: readonly string[];
    readonly audienceMatchPolicy: string;
    readonly egressSelectorType: string;
  };
  readonly claimValidationRules: readonly {
    readonly claim: string;
    readonly requiredValue: string;
    readonly expression: string;
    readonly message: string;
  }[];
  readonly claimMappings: {
    readonly username: ClaimSource;
    readonly groups: ClaimSource;
    readonly uid: ClaimSource;
    readonly extra: readonly { readonly key: string; readonly valueExpression: string }[];
  };
  readonly userValidationRules: readonly { readonly expression: string; readonly message: string }[];
}

export interface AuthenticationConfiguration {
  readonly jwt: readonly JwtAuthenticatorEntry[];
  readonly anonymous?: { readonly enabled: boolean; readonly paths: readonly string[] } | undefined;
}

/** Which variable an expression is about. */
export type ExpressionSubject = "claims" | "user";
/** Why an expression is none, or has the wrong type; undefined when it is one. */
export type ExpressionCheck = (expression: string, subject: ExpressionSubject, isRule: boolean) => string | undefined;

const VERSIONS = ["v1", "v1beta1", "v1alpha1"];
const MAX_ISSUERS = 64;
const NO_SOURCE: ClaimSource = { claim: "", expression: "" };

function readSource(node: ConfigNode | undefined, hasPrefix: boolean): ClaimSource {
  if (node === undefined) return NO_SOURCE;
  const prefix = hasPrefix ? node.optionalText("prefix") : undefined;
  const source = { claim: node.text("claim"), expression: node.text("expression"), prefix };
  node.close();
  return source;
}

function readIssuer(node: ConfigNode | undefined): JwtAuthenticatorEntry["issuer"] {
  const issuer = {
    url: node?.text("url") ?? "",
    discoveryUrl: node?.text("discoveryURL") ?? "",
    certificateAuthority: node?.text("certificateAuthority") ?? "",
    audiences: node?.texts("audiences") ?? [],
    audienceMatchPolicy: node?.text("audienceMatchPolicy") ?? "",
    egressSelectorType: node?.text("egressSelectorType") ?? "",
  };
  node?.close();
  return issuer;
}

/** Reads each node of a list and says that nothing else is in it. */
function readAll<T>(nodes: readonly ConfigNode[], read: (node: ConfigNode) => T): T[] {
  return nodes.map((node) => {
    const found = read(node);
    node.close();
    return found;
  });
}

function readJwt(node: ConfigNode): JwtAuthenticatorEntry {
  const issuer = readIssuer(node.node("issuer"));
  const claimValidationRules = readAll(node.nodes("claimValidationRules"), (rule) => ({
    claim: rule.text("claim"),
    requiredValue: rule.text("requiredValue"),
    expression: rule.text("expression"),
    message: rule.text("message"),
  }));
  const mappings = node.node("claimMappings");
  const claimMappings = {
    username: readSource(mappings?.node("username"), true),
    groups: readSource(mappings?.node("groups"), true),
    uid: readSource(mappings?.node("uid"), false),
    extra: readAll(mappings?.nodes("extra") ?? [], (extra) => ({
      key: extra.text("key"),
      valueExpression: extra.text("valueExpression"),
    })),
  };
  mappings?.close();
  const userValidationRules = readAll(node.nodes("userValidationRules"), (rule) => ({
    expression: rule.text("expression"),
    message: rule.text("message"),
  }));
  return { issuer, claimValidationRules, claimMappings, userValidationRules };
}

/** Reads the file's text, without judging what it says. */
export function readAuthenticationConfiguration(content: string): Promise<AuthenticationConfiguration> {
  return readConfigDocument(content, "AuthenticationConfiguration", VERSIONS, (root) => {
    const jwt = readAll(root.nodes("jwt"), readJwt);
    const node = root.node("anonymous");
    if (node === undefined) return { jwt };
    const anonymous = {
      enabled: node.flag("enabled") ?? false,
      paths: readAll(node.nodes("conditions"), (condition) => condition.text("path")),
    };
    node.close();
    return { jwt, anonymous };
  });
}

/** What the `--oidc-*` flags mean, in the words of the file. */
export function configurationOfFlags(flags: OpenIdFlags): AuthenticationConfiguration {
  const { usernamePrefix: given, usernameClaim, issuerUrl } = flags;
  // Names of different issuers must not clash; an e-mail address is taken for unique.
  const own = given === "" && usernameClaim !== "email" ? `${issuerUrl}#` : given;
  return {
    jwt: [
      {
        issuer: {
          url: issuerUrl,
          discoveryUrl: "",
          certificateAuthority: flags.ca ?? "",
          audiences: [flags.clientId],
          audienceMatchPolicy: "",
          egressSelectorType: "",
        },
        claimValidationRules: Object.entries(flags.requiredClaims).map(([claim, requiredValue]) => ({
          claim,
          requiredValue,
          expression: "",
          message: "",
        })),
        claimMappings: {
          username: { claim: usernameClaim, expression: "", prefix: own === "-" ? "" : own },
          groups:
            flags.groupsClaim === ""
              ? NO_SOURCE
              : { claim: flags.groupsClaim, expression: "", prefix: flags.groupsPrefix },
          uid: NO_SOURCE,
          extra: [],
        },
        userValidationRules: [],
      },
    ],
  };
}

/** Whether anything in it is an expression. */
export function hasExpressions({ jwt }: AuthenticationConfiguration): boolean {
  return jwt.some(
    ({ claimMappings: { username, groups, uid, extra }, claimValidationRules, userValidationRules }) =>
      [username, groups, uid, ...claimValidationRules].some(({ expression }) => expression !== "") ||
      extra.length > 0 ||
      userValidationRules.length > 0,
  );
}

function urlErrors(url: string, field: string, disallowed: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  if (disallowed.includes(url)) {
    const list = disallowed.toSorted().join(" ");
    errors.push(invalidValue(field, url, `URL must not overlap with disallowed issuers: [${list}]`));
  }
  if (!URL.canParse(url)) {
    // A path alone is a URL, though not one that can be asked.
    const why = /^[\w\-./~%]*$/.test(url) ? "URL scheme must be https" : `parse ${JSON.stringify(url)}: invalid URL`;
    return [...errors, invalidValue(field, url, why)];
  }
  const { protocol, username, password, search, hash } = new URL(url);
  if (protocol !== "https:") errors.push(invalidValue(field, url, "URL scheme must be https"));
  if (username !== "" || password !== "") {
    errors.push(invalidValue(field, url, "URL must not contain a username or password"));
  }
  if (search !== "") errors.push(invalidValue(field, url, "URL must not contain a query"));
  if (hash !== "") errors.push(invalidValue(field, url, "URL must not contain a fragment"));
  return errors;
}

function audienceErrors(audiences: readonly string[], policy: string, path: string): FieldError[] {
  const field = `${path}.audiences`;
  if (audiences.length === 0) return [required(field, `at least one ${field} is required`)];
  const errors: FieldError[] = [];
  for (const [i, audience] of audiences.entries()) {
    if (audience === "") errors.push(required(`${field}[${i}]`, ""));
    if (audiences.indexOf(audience) !== i) errors.push(duplicate(`${field}[${i}]`, audience));
  }
  if (audiences.length > 1 && policy !== "MatchAny") {
    const why = "audienceMatchPolicy must be MatchAny for multiple audiences";
    errors.push(invalidValue(`${path}.audienceMatchPolicy`, policy, why));
  }
  if (audiences.length === 1 && policy !== "" && policy !== "MatchAny") {
    const why = "audienceMatchPolicy must be empty or MatchAny for single audience";
    errors.push(invalidValue(`${path}.audienceMatchPolicy`, policy, why));
  }
  return errors;
}

function issuerErrors(
  issuer: JwtAuthenticatorEntry["issuer"],
  path: string,
  disallowed: readonly string[],
): FieldError[] {
  const { url, discoveryUrl, certificateAuthority, egressSelectorType } = issuer;
  const errors = url === "" ? [required(`${path}.url`, "")] : urlErrors(url, `${path}.url`, disallowed);
  if (discoveryUrl !== "") {
    const bare = (text: string): string => text.replace(/\/+$/, "");
    if (url !== "" && bare(url) === bare(discoveryUrl)) {
      errors.push(invalidValue(`${path}.discoveryURL`, discoveryUrl, "discoveryURL must be different from URL"));
    }
    errors.push(...urlErrors(discoveryUrl, `${path}.discoveryURL`, []));
  }
  errors.push(...audienceErrors(issuer.audiences, issuer.audienceMatchPolicy, path));
  if (certificateAuthority !== "") {
    try {
      parseCertificates(certificateAuthority);
    } catch (error) {
      errors.push(invalidValue(`${path}.certificateAuthority`, "<omitted>", (error as Error).message));
    }
  }
  if (egressSelectorType !== "") {
    const field = `${path}.egressSelectorType`;
    errors.push(
      egressSelectorType === "controlplane" || egressSelectorType === "cluster"
        ? invalidValue(field, egressSelectorType, "no egress selector is configured")
        : invalidValue(field, egressSelectorType, "egress selector must be either controlplane or cluster"),
    );
  }
  return errors;
}

function ruleErrors(
  rules: JwtAuthenticatorEntry["claimValidationRules"],
  path: string,
  check: ExpressionCheck,
): FieldError[] {
  const [claims, expressions] = [new Set<string>(), new Set<string>()];
  return rules.flatMap(({ claim, expression, message, requiredValue }, i): FieldError[] => {
    const field = `${path}[${i}]`;
    if (claim !== "" && expression !== "") {
      return [invalidValue(field, claim, "claim and expression can't both be set")];
    }
    if (claim === "" && expression === "") return [required(field, "claim or expression is required")];
    const errors: FieldError[] = [];
    if (claim !== "") {
      if (message !== "") {
        errors.push(invalidValue(`${field}.message`, message, "may not be specified when claim is set"));
      }
      if (claims.has(claim)) errors.push(duplicate(`${field}.claim`, claim));
      claims.add(claim);
      return errors;
    }
    if (requiredValue !== "") {
      errors.push(invalidValue(`${field}.requiredValue`, requiredValue, "may not be specified when expression is set"));
    }
    if (expressions.has(expression)) return [...errors, duplicate(`${field}.expression`, expression)];
    expressions.add(expression);
    const why = check(expression, "claims", true);
    return why === undefined ? errors : [...errors, invalidValue(`${field}.expression`, expression, why)];
  });
}

function sourceErrors(
  { claim, expression, prefix }: ClaimSource,
  path: string,
  isRequired: boolean,
  check: ExpressionCheck,
): FieldError[] {
  if (claim !== "" && expression !== "") return [invalidValue(path, "", "claim and expression can't both be set")];
  if (claim === "" && expression === "") {
    return isRequired ? [required(path, "claim or expression is required")] : [];
  }
  if (claim !== "") {
    const why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
    return prefix === undefined ? [required(`${path}.prefix`, why)] : [];
  }
  const errors: FieldError[] = [];
  if (prefix !== undefined) {
    errors.push(invalidValue(`${path}.prefix`, prefix, "may not be specified when expression is set"));
  }
  const why = check(expression, "claims", false);
  return why === undefined ? errors : [...errors, invalidValue(`${path}.expression`, expression, why)];
}

const RESERVED = /(^|\.)(kubernetes|k8s)\.io$/;

function extraErrors(
  extra: JwtAuthenticatorEntry["claimMappings"]["extra"],
  path: string,
  check: ExpressionCheck,
): FieldError[] {
  const seen = new Set<string>();
  return extra.flatMap(({ key, valueExpression }, i): FieldError[] => {
    const field = `${path}[${i}].key`;
    const errors: FieldError[] = [];
    const slash = key.indexOf("/");
    const host = slash === -1 ? "" : key.slice(0, slash);
    if (key === "") errors.push(required(field, ""));
    else if (host === "" || slash === key.length - 1) {
      errors.push(invalidValue(field, key, 'must be a domain-prefixed path (such as "acme.io/foo")'));
    } else {
      errors.push(...isDns1123Subdomain(host).map((why) => invalidValue(field, host, why)));
      const rest = key.slice(slash + 1);
      if (!/^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/.test(rest)) {
        errors.push(
          invalidValue(field, rest, "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"),
        );
      }
    }
    if (key !== key.toLowerCase()) errors.push(invalidValue(field, key, "must be lowercase"));
    if (RESERVED.test(host)) {
      errors.push(
        invalidValue(field, key, "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"),
      );
    }
    if (seen.has(key)) return [...errors, duplicate(field, key)];
    seen.add(key);
    const at = `${path}[${i}].valueExpression`;
    if (valueExpression === "") return [...errors, required(at, "")];
    const why = check(valueExpression, "claims", false);
    return why === undefined ? errors : [...errors, invalidValue(at, valueExpression, why)];
  });
}

/** Whether an expression reads a claim by name: `claims.NAME` or `claims.?NAME`, outside of texts. */
function readsClaim(expression: string, claim: string): boolean {
  const code = expression.replace(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/g, '""').replace(/\/\/[^\n]*/g, "");
  return new RegExp(`(?<![\\w.])claims\\s*\\.\\s*\\??\\s*${claim}(?!\\w)`).test(code);
}

function emailErrors({ claimMappings, claimValidationRules }: JwtAuthenticatorEntry, path: string): FieldError[] {
  const { username, extra } = claimMappings;
  if (!readsClaim(username.expression, "email")) return [];
  const others = [
    username.expression,
    ...extra.map(({ valueExpression }) => valueExpression),
    ...claimValidationRules.map(({ expression }) => expression),
  ];
  if (others.some((expression) => readsClaim(expression, "email_verified"))) return [];
  const why =
    "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression";
  return [invalidValue(`${path}.username.expression`, username.expression, why)];
}

function userRuleErrors(
  rules: JwtAuthenticatorEntry["userValidationRules"],
  path: string,
  check: ExpressionCheck,
): FieldError[] {
  const seen = new Set<string>();
  return rules.flatMap(({ expression }, i): FieldError[] => {
    const field = `${path}[${i}].expression`;
    if (expression === "") return [required(field, "")];
    if (seen.has(expression)) return [duplicate(field, expression)];
    seen.add(expression);
    const why = check(expression, "user", true);
    return why === undefined ? [] : [invalidValue(field, expression, why)];
  });
}

/** What is wrong with a configuration. `disallowed`: the server's own issuers. */
export function validateAuthenticationConfiguration(
  { jwt, anonymous }: AuthenticationConfiguration,
  disallowed: readonly string[],
  check: ExpressionCheck,
): FieldError[] {
  if (jwt.length > MAX_ISSUERS) return [tooMany("jwt", jwt.length, MAX_ISSUERS)];
  const errors: FieldError[] = [];
  const [issuers, discoveries] = [new Set<string>(), new Set<string>()];
  for (const [i, entry] of jwt.entries()) {
    const path = `jwt[${i}]`;
    const mappings = `${path}.claimMappings`;
    const { username, groups, uid, extra } = entry.claimMappings;
    errors.push(
      ...issuerErrors(entry.issuer, `${path}.issuer`, disallowed),
      ...ruleErrors(entry.claimValidationRules, `${path}.claimValidationRules`, check),
      ...sourceErrors(username, `${mappings}.username`, true, check),
      ...sourceErrors(groups, `${mappings}.groups`, false, check),
      ...sourceErrors({ ...uid, prefix: uid.claim === "" ? undefined : "" }, `${mappings}.uid`, false, check),
      ...extraErrors(extra, `${mappings}.extra`, check),
      ...emailErrors(entry, mappings),
      ...userRuleErrors(entry.userValidationRules, `${path}.userValidationRules`, check),
    );
    const { url, discoveryUrl } = entry.issuer;
    if (issuers.has(url)) errors.push(duplicate(`${path}.issuer.url`, url));
    issuers.add(url);
    if (discoveryUrl !== "" && discoveries.has(discoveryUrl)) {
      errors.push(duplicate(`${path}.issuer.discoveryURL`, discoveryUrl));
    }
    discoveries.add(discoveryUrl);
  }
  if (anonymous !== undefined && !anonymous.enabled && anonymous.paths.length > 0) {
    const conditions = anonymous.paths.map((path) => ({ Path: path }));
    const why = "enabled should be set to true when conditions are defined";
    errors.push(invalidValue("anonymous.conditions", conditions, why));
  }
  return errors;
}

/** The refusal of a file that changes who may come without a name. */
export const anonymousChanged = (): FieldError =>
  forbiddenField("anonymous", "changed from initial configuration file");
