import { expect, it } from "vitest";
import {
  readAuthenticationConfiguration,
  validateAuthenticationConfiguration,
} from "./authentication-configuration.ts";
import { checkExpression } from "./expressions.ts";

/** A file with much that is wrong; what is said of it is what upstream's API server was seen to say. */
const FILE = `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "http://a?x=1#y", discoveryURL: "http://a", audiences: [k, k], audienceMatchPolicy: ""}
  claimMappings:
    username: {claim: sub}
    groups: {expression: "claims.", claim: ""}
    uid: {claim: a, expression: b}
    extra:
    - {key: Foo, valueExpression: "claims.x"}
    - {key: k8s.io/x, valueExpression: ""}
  claimValidationRules:
  - {claim: a, message: m}
  - {expression: "1"}
  - {}
  userValidationRules:
  - {expression: "user.nope == 'x'"}
- issuer: {url: "https://kubernetes.default.svc", audiences: [k], audienceMatchPolicy: Foo, certificateAuthority: x}
  claimMappings:
    username: {expression: "claims.email"}
anonymous: {enabled: false, conditions: [{path: /x}]}
`;

it("all that is wrong with a file is said at once, in upstream's words", async () => {
  const config = await readAuthenticationConfiguration(FILE);
  const errors = validateAuthenticationConfiguration(config, ["https://kubernetes.default.svc"], checkExpression);
  expect(errors.map(({ field, message }) => `${field}: ${message.split("\n")[0]}`)).toEqual([
    'jwt[0].issuer.url: Invalid value: "http://a?x=1#y": URL scheme must be https',
    'jwt[0].issuer.url: Invalid value: "http://a?x=1#y": URL must not contain a query',
    'jwt[0].issuer.url: Invalid value: "http://a?x=1#y": URL must not contain a fragment',
    'jwt[0].issuer.discoveryURL: Invalid value: "http://a": URL scheme must be https',
    'jwt[0].issuer.audiences[1]: Duplicate value: "k"',
    'jwt[0].issuer.audienceMatchPolicy: Invalid value: "": audienceMatchPolicy must be MatchAny for multiple audiences',
    'jwt[0].claimValidationRules[0].message: Invalid value: "m": may not be specified when claim is set',
    'jwt[0].claimValidationRules[1].expression: Invalid value: "1": must evaluate to bool',
    "jwt[0].claimValidationRules[2]: Required value: claim or expression is required",
    "jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing",
    "jwt[0].claimMappings.groups.expression: Invalid value: \"claims.\": compilation failed: ERROR: <input>:1:8: Syntax error: no viable alternative at input '.'",
    'jwt[0].claimMappings.uid: Invalid value: "": claim and expression can\'t both be set',
    'jwt[0].claimMappings.extra[0].key: Invalid value: "Foo": must be a domain-prefixed path (such as "acme.io/foo")',
    'jwt[0].claimMappings.extra[0].key: Invalid value: "Foo": must be lowercase',
    'jwt[0].claimMappings.extra[1].key: Invalid value: "k8s.io/x": k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use',
    "jwt[0].claimMappings.extra[1].valueExpression: Required value",
    "jwt[0].userValidationRules[0].expression: Invalid value: \"user.nope == 'x'\": compilation failed: ERROR: <input>:1:5: undefined field 'nope'",
    'jwt[1].issuer.url: Invalid value: "https://kubernetes.default.svc": URL must not overlap with disallowed issuers: [https://kubernetes.default.svc]',
    'jwt[1].issuer.audienceMatchPolicy: Invalid value: "Foo": audienceMatchPolicy must be empty or MatchAny for single audience',
    'jwt[1].issuer.certificateAuthority: Invalid value: "<omitted>": data does not contain any valid RSA or ECDSA certificates',
    'jwt[1].claimMappings.username.expression: Invalid value: "claims.email": claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression',
    'anonymous.conditions: Invalid value: [{"Path":"/x"}]: enabled should be set to true when conditions are defined',
  ]);
});

it.each([
  ["kind: Foo", "Object 'apiVersion' is missing"],
  ["apiVersion: apiserver.config.k8s.io/v1", "Object 'Kind' is missing"],
  [
    "apiVersion: v9\nkind: AuthenticationConfiguration",
    'no kind "AuthenticationConfiguration" is registered for version "v9"',
  ],
  [
    "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: [{issuer: {uri: x}}]\nmore: 1",
    'strict decoding error: unknown field "jwt[0].issuer.uri", unknown field "more"',
  ],
  [
    "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: [{issuer: {url: 1, audiences: [2]}}]",
    "strict decoding error: jwt[0].issuer.url: expected a string, jwt[0].issuer.audiences: expected a list of strings",
  ],
])("%j is refused: %s", async (content, message) => {
  await expect(readAuthenticationConfiguration(content)).rejects.toThrow(message);
});
