import { sleep, systemClock } from "@coracle/base";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startUpstream } from "../webhook/upstream-fixture.ts";
import { startOurs, type Reply, type ServerUnderTest } from "../webhook/webhook-fixture.ts";

/** Path of upstream's kube-apiserver: the same stories are told to it, too. */
const upstream = process.env["UPSTREAM_APISERVER"];
const REGISTRATION = "/apis/admissionregistration.k8s.io/v1";
const MAPS = "/api/v1/namespaces/default/configmaps";

const subjects: readonly (readonly [string, () => Promise<ServerUnderTest>])[] = [
  ["ours", () => startOurs()],
  ...(upstream === undefined ? [] : [["upstream", () => startUpstream(upstream)] as const]),
];

type Parts = Readonly<Record<string, unknown>>;

const RULE = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["configmaps"] };

function policyOf(spec: Parts): Parts {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: "story" },
    spec: { matchConstraints: { resourceRules: [RULE] }, ...spec },
  };
}

function bindingOf(spec: Parts = {}): Parts {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name: "story-binding" },
    spec: { policyName: "story", validationActions: ["Deny"], ...spec },
  };
}

interface Story {
  readonly policy: Parts;
  readonly binding?: Parts;
  /** Created first. */
  readonly params?: Parts;
  readonly object?: Parts;
  readonly status: number;
  readonly message?: string;
  readonly reason?: string;
  readonly warning?: RegExp;
}

const DENIED = "ValidatingAdmissionPolicy 'story' with binding 'story-binding' denied request: ";
const denied = (message: string): string => `configmaps "subject" is forbidden: ${DENIED}${message}`;
const said = (expression: string, more: Parts = {}): Parts => policyOf({ validations: [{ expression, ...more }] });

const stories: Readonly<Record<string, Story>> = {
  "a validation that holds admits": { policy: said("object.data.a == '1'"), status: 201 },
  "one that does not hold names its expression": {
    policy: said("  object.data.a == '2'  "),
    status: 422,
    reason: "Invalid",
    message: denied("failed expression: object.data.a == '2'"),
  },
  "a message replaces the expression": {
    policy: said("object.data.a == '2'", { message: "a must be two" }),
    status: 422,
    message: denied("a must be two"),
  },
  "a computed message replaces the message": {
    policy: said("object.data.a == '2'", { message: "no", messageExpression: "'a must be two, not ' + object.data.a" }),
    status: 422,
    message: denied("a must be two, not 1"),
  },
  "a computed message that fails leaves the message": {
    policy: said("object.data.a == '2'", { message: "no", messageExpression: "string(object.data.zz)" }),
    status: 422,
    message: denied("no"),
  },
  "a reason decides the code": {
    policy: said("false", { reason: "Forbidden" }),
    status: 403,
    reason: "Forbidden",
    message: denied("failed expression: false"),
  },
  "an error denies": {
    policy: said("object.data.zz == '2'"),
    status: 422,
    message: denied("expression 'object.data.zz == '2'' resulted in error: no such key: zz"),
  },
  "an error admits where failures are ignored": {
    policy: policyOf({ failurePolicy: "Ignore", validations: [{ expression: "object.data.zz == '2'" }] }),
    status: 201,
  },
  "variables build on each other": {
    policy: policyOf({
      variables: [
        { name: "a", expression: "object.data.a" },
        { name: "both", expression: "variables.a + variables.a" },
      ],
      validations: [{ expression: "variables.both == '22'", messageExpression: "'both is ' + variables.both" }],
    }),
    status: 422,
    message: denied("both is 11"),
  },
  "a variable that fails is told by its name": {
    policy: policyOf({
      variables: [{ name: "a", expression: "object.data.zz" }],
      validations: [{ expression: "variables.a == '1'" }],
    }),
    status: 422,
    message: denied(
      `expression 'variables.a == '1'' resulted in error: composited variable "a" fails to evaluate: no such key: zz`,
    ),
  },
  "a condition that does not hold keeps the policy out": {
    policy: policyOf({
      matchConditions: [{ name: "named", expression: "object.metadata.name == 'other'" }],
      validations: [{ expression: "false" }],
    }),
    status: 201,
  },
  "a condition that fails denies": {
    policy: policyOf({
      matchConditions: [{ name: "named", expression: "object.data.zz == 'other'" }],
      validations: [{ expression: "true" }],
    }),
    status: 422,
    message: denied("expression 'object.data.zz == 'other'' resulted in error: no such key: zz"),
  },
  "the request can be asked": {
    policy: said(
      "request.operation == 'CREATE' && request.resource.resource == 'configmaps' && request.userInfo.username != '' && request.name == 'subject' && !request.dryRun",
    ),
    status: 201,
  },
  "the namespace can be asked": {
    policy: said("namespaceObject.metadata.name == 'default' && namespaceObject.status.phase == 'Active'"),
    status: 201,
  },
  "the old object is null when there is none": { policy: said("oldObject == null"), status: 201 },
  "the authorizer answers about resources": {
    policy: said("authorizer.group('apps').resource('deployments').namespace('default').check('create').allowed()"),
    status: 201,
  },
  "the authorizer knows the resource of the request": {
    policy: said(
      "authorizer.requestResource.check('delete').allowed() && authorizer.path('/healthz').check('get').allowed()",
    ),
    status: 201,
  },
  "a warning admits": {
    policy: said("false", { message: "careful" }),
    binding: bindingOf({ validationActions: ["Warn"] }),
    status: 201,
    warning: /Validation failed for ValidatingAdmissionPolicy 'story' with binding 'story-binding': careful/,
  },
  "an audit admits": { policy: said("false"), binding: bindingOf({ validationActions: ["Audit"] }), status: 201 },
  "an audit annotation that fails denies": {
    policy: policyOf({ auditAnnotations: [{ key: "note", valueExpression: "string(object.data.zz)" }] }),
    status: 422,
    message: denied("expression 'string(object.data.zz)' resulted in error: no such key: zz"),
  },
  "a binding for other objects keeps the policy out": {
    policy: said("false"),
    binding: bindingOf({ matchResources: { objectSelector: { matchLabels: { is: "wanted" } } } }),
    status: 201,
  },
  "a binding for labelled objects takes them in": {
    policy: said("false"),
    binding: bindingOf({ matchResources: { objectSelector: { matchLabels: { is: "wanted" } } } }),
    object: { metadata: { name: "subject", labels: { is: "wanted" } }, data: { a: "1" } },
    status: 422,
    message: denied("failed expression: false"),
  },
  "a binding for other namespaces keeps the policy out": {
    policy: said("false"),
    binding: bindingOf({ matchResources: { namespaceSelector: { matchLabels: { is: "wanted" } } } }),
    status: 201,
  },
  "rules that exclude win": {
    policy: policyOf({
      matchConstraints: { resourceRules: [RULE], excludeResourceRules: [{ ...RULE, resourceNames: ["subject"] }] },
      validations: [{ expression: "false" }],
    }),
    status: 201,
  },
  "rules by name": {
    policy: policyOf({
      matchConstraints: { resourceRules: [{ ...RULE, resourceNames: ["another"] }] },
      validations: [{ expression: "false" }],
    }),
    status: 201,
  },
  "parameters come from the namespace of the request": {
    policy: policyOf({
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      validations: [
        { expression: "object.data.a == params.data.wanted", messageExpression: "'wanted ' + params.data.wanted" },
      ],
    }),
    binding: bindingOf({ paramRef: { name: "params", parameterNotFoundAction: "Deny" } }),
    params: { metadata: { name: "params" }, data: { wanted: "7" } },
    status: 422,
    message: denied("wanted 7"),
  },
  "parameters by their labels": {
    policy: policyOf({
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      validations: [{ expression: "object.data.a == params.data.wanted" }],
    }),
    binding: bindingOf({ paramRef: { selector: { matchLabels: { is: "params" } }, parameterNotFoundAction: "Deny" } }),
    params: { metadata: { name: "params", labels: { is: "params" } }, data: { wanted: "1" } },
    status: 201,
  },
  "parameters that are missing deny": {
    policy: policyOf({
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      validations: [{ expression: "true" }],
    }),
    binding: bindingOf({ paramRef: { name: "missing", parameterNotFoundAction: "Deny" } }),
    status: 422,
    message: denied(
      "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
    ),
  },
  "parameters that are missing admit": {
    policy: policyOf({
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      validations: [{ expression: "false" }],
    }),
    binding: bindingOf({ paramRef: { name: "missing", parameterNotFoundAction: "Allow" } }),
    status: 201,
  },
  "no parameters are wanted": {
    policy: policyOf({
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      validations: [{ expression: "params == null" }],
    }),
    status: 201,
  },
  "expressions that cost too much deny": {
    policy: said(
      "[1,2,3,4,5,6,7,8,9,0].all(a, [1,2,3,4,5,6,7,8,9,0].all(b, [1,2,3,4,5,6,7,8,9,0].all(c, [1,2,3,4,5,6,7,8,9,0].all(d, [1,2,3,4,5,6,7,8,9,0].all(e, [1,2,3,4,5,6,7,8,9,0].all(f, [a,b,c,d,e,f].size() == 6))))))",
    ),
    status: 422,
    message: denied(
      "expression '[1,2,3,4,5,6,7,8,9,0].all(a, [1,2,3,4,5,6,7,8,9,0].all(b, [1,2,3,4,5,6,7,8,9,0].all(c, [1,2,3,4,5,6,7,8,9,0].all(d, [1,2,3,4,5,6,7,8,9,0].all(e, [1,2,3,4,5,6,7,8,9,0].all(f, [a,b,c,d,e,f].size() == 6))))))' resulted in error: operation cancelled: actual cost limit exceeded",
    ),
  },
};

describe.each(subjects)("validating admission policies of %s", (name, start) => {
  let server: ServerUnderTest;

  beforeAll(async () => {
    server = await start();
  }, 120_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  }, 60_000);

  beforeEach(async () => {
    await server.ask("DELETE", `${REGISTRATION}/validatingadmissionpolicies/story`);
    await server.ask("DELETE", `${REGISTRATION}/validatingadmissionpolicybindings/story-binding`);
    for (const map of ["subject", "params"]) await server.ask("DELETE", `${MAPS}/${map}`);
    await settle();
  });

  const create = (path: string, body: Parts): Promise<Reply> => server.ask("POST", path, body);
  /** Upstream hears of policies a little later than their writer. */
  const settle = async (): Promise<void> => {
    if (name === "upstream") await sleep(systemClock, 1500);
  };

  it.each(Object.entries(stories))(
    "%s",
    async (_name, story) => {
      if (story.params !== undefined) expect((await create(MAPS, story.params)).status).toBe(201);
      expect(await create(`${REGISTRATION}/validatingadmissionpolicies`, story.policy)).toMatchObject({ status: 201 });
      const binding = story.binding ?? bindingOf();
      expect(await create(`${REGISTRATION}/validatingadmissionpolicybindings`, binding)).toMatchObject({ status: 201 });
      await settle();
      const reply = await create(MAPS, story.object ?? { metadata: { name: "subject" }, data: { a: "1" } });
      if (story.status === 201) expect(reply.json["message"]).toBeUndefined();
      expect(reply.status).toBe(story.status);
      if (story.message !== undefined) {
        expect(reply.json["message"]).toBe(story.message);
        const causes = [{ message: story.message.replace(/^configmaps "subject" is forbidden: /, "") }];
        expect(reply.json["details"]).toEqual({ name: "subject", kind: "configmaps", causes });
      }
      if (story.reason !== undefined) expect(reply.json["reason"]).toBe(story.reason);
      if (story.warning !== undefined) expect(String(reply.headers["warning"])).toMatch(story.warning);
    },
    30_000,
  );
});
