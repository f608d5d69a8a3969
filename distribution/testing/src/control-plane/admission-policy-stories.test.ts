import { ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding } from "@coracle/api/admissionregistration/v1";
import { Deployment } from "@coracle/api/apps/v1";
import { isStatusError } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const policyOf = (expression: string): ValidatingAdmissionPolicy => ({
  metadata: { name: "replicas" },
  spec: {
    matchConstraints: {
      resourceRules: [
        { apiGroups: ["apps"], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["deployments"] },
      ],
    },
    validations: [{ expression, message: "too many replicas" }],
  },
});

const deployment: Deployment = {
  metadata: { name: "web", namespace: "default" },
  spec: {
    replicas: 9,
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "main", image: "a" }] } },
  },
};

describe("an admission policy", () => {
  let plane: TestControlPlane;

  beforeEach(async () => {
    plane = await createTestControlPlane({ components: ["kube-controller-manager"] });
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  const checked = (): Promise<ValidatingAdmissionPolicy> =>
    plane.until("its types are checked", async () => {
      const policy = await plane.admin.get(ValidatingAdmissionPolicy, { name: "replicas" });
      return policy.status?.observedGeneration === policy.metadata.generation ? policy : undefined;
    });

  it("that fits its kinds is told so in its status, and refuses what it is to refuse", async () => {
    await plane.admin.create(ValidatingAdmissionPolicy, policyOf("object.spec.replicas <= 5"));
    await plane.admin.create(ValidatingAdmissionPolicyBinding, {
      metadata: { name: "replicas" },
      spec: { policyName: "replicas", validationActions: ["Deny"] },
    });
    expect((await checked()).status?.typeChecking).toEqual({});
    await expect(plane.admin.create(Deployment, deployment)).rejects.toSatisfy((error) =>
      isStatusError(error, "Invalid"),
    );
    await plane.admin.create(Deployment, { ...deployment, spec: { ...deployment.spec!, replicas: 1 } });
  });

  it("that cannot work for its kinds is told why", async () => {
    await plane.admin.create(ValidatingAdmissionPolicy, policyOf("object.spec.replicas <= '5'"));
    expect((await checked()).status?.typeChecking?.expressionWarnings).toEqual([
      {
        fieldRef: "spec.validations[0].expression",
        warning:
          "apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:22: found no matching overload for '_<=_' applied to '(int, string)'\n | object.spec.replicas <= '5'\n | .....................^\n",
      },
    ]);
  });
});
