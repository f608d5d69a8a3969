import { isStatusError } from "@coracle/apimachinery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRegistryReader } from "../../registry/registry-reader.ts";
import { admin, openRegistryFixture, type RegistryFixture } from "../../registry/registry-fixture.ts";
import type { AdmissionAttributes } from "../../registry/registry.ts";
import type { ApiDraft } from "../../registry/resource-definition.ts";
import { defaultPodSecurity, podSecurity, type PodSecurityConfiguration } from "./pod-security.ts";

const CONFIGURATION: PodSecurityConfiguration = {
  defaults: { ...defaultPodSecurity.defaults, audit: { level: "restricted", minor: 30 } },
  exemptions: { usernames: ["operator"], namespaces: ["exempt"], runtimeClasses: ["sandboxed"] },
};
const BAD = { hostPID: true, containers: [{ name: "c", image: "i" }] };

describe("Pod Security with a configuration", () => {
  let fixture: RegistryFixture;
  let metrics = (): string => "";
  let plugin: ReturnType<typeof podSecurity>;

  beforeAll(async () => {
    fixture = await openRegistryFixture();
    const objects = createRegistryReader(() => fixture.registry);
    plugin = podSecurity(objects, fixture.clock, (lines) => (metrics = lines), CONFIGURATION);
    const namespaces = { group: "", version: "v1", plural: "namespaces" };
    for (const [name, enforce] of [
      ["strict", "baseline"],
      ["exempt", "restricted"],
      ["free", "privileged"],
      ["odd", "none"],
    ] as const) {
      const labels = { "pod-security.kubernetes.io/enforce": enforce };
      await objects.create(namespaces, "", { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
    }
  });
  afterAll(async () => fixture[Symbol.asyncDispose]());

  /** What is said, what the audit log is told, and what the client is warned of. */
  async function decide(part: Partial<AdmissionAttributes> & { readonly user?: string }): Promise<{
    readonly message: string | undefined;
    readonly annotations: Readonly<Record<string, string>>;
    readonly warnings: readonly string[];
  }> {
    const annotations: Record<string, string> = {};
    const warnings: string[] = [];
    const attributes: AdmissionAttributes = {
      operation: "CREATE",
      group: "",
      version: "v1",
      resource: "pods",
      kind: "Pod",
      subresource: "",
      namespace: "strict",
      name: "p",
      object: { metadata: { name: "p" }, spec: BAD } as unknown as ApiDraft,
      oldObject: undefined,
      options: undefined,
      isDryRun: false,
      ...part,
      context: {
        ...admin,
        user: { name: part.user ?? "somebody", groups: [] },
        warnings,
        annotate: (key, value) => void (annotations[key.replace("pod-security.kubernetes.io/", "")] = value),
      },
    };
    let message: string | undefined;
    try {
      await plugin.validate!(attributes);
    } catch (error) {
      if (!isStatusError(error)) throw error;
      ({ message } = error);
    }
    return { message, annotations, warnings };
  }
  const VIOLATION =
    'would violate PodSecurity "restricted:v1.30": host namespaces (hostPID=true), allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")';

  it("refuses, and tells the audit log both what was enforced and what else is wrong", async () => {
    expect(await decide({})).toEqual({
      message: 'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostPID=true)',
      annotations: { "enforce-policy": "baseline:latest", "audit-violations": VIOLATION },
      warnings: [],
    });
  });
  it("a namespace that says privileged is still audited by default", async () => {
    expect(await decide({ namespace: "free" })).toEqual({
      message: undefined,
      annotations: { "enforce-policy": "privileged:latest", "audit-violations": VIOLATION },
      warnings: [],
    });
  });
  it.each<[string, Parameters<typeof decide>[0], string]>([
    ["a namespace", { namespace: "exempt" }, "namespace"],
    ["a user", { user: "operator" }, "user"],
    [
      "a runtime class",
      { object: { metadata: {}, spec: { ...BAD, runtimeClassName: "sandboxed" } } as unknown as ApiDraft },
      "runtimeClass",
    ],
  ])("%s can be exempt", async (_, part, exempt) => {
    expect(await decide(part)).toEqual({ message: undefined, annotations: { exempt }, warnings: [] });
  });
  it("labels that cannot be read are enforced as strictly as can be", async () => {
    const { message, annotations } = await decide({ namespace: "odd" });
    expect(message).toMatch(/^pods "p" is forbidden: violates PodSecurity "restricted:latest": host namespaces/);
    expect(annotations["error"]).toBe(
      'Failed to parse policy: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "none": must be one of privileged, baseline, restricted',
    );
  });
  it("an update of what is there is decided when it brings another program", async () => {
    const object = { metadata: { name: "p" }, spec: BAD } as unknown as ApiDraft;
    const oldObject = object as unknown as NonNullable<AdmissionAttributes["oldObject"]>;
    expect((await decide({ operation: "UPDATE", object, oldObject })).message).toBeUndefined();
    const spec = { ...BAD, containers: [{ name: "c", image: "other" }] };
    const changed = { metadata: { name: "p" }, spec } as unknown as ApiDraft;
    expect((await decide({ operation: "UPDATE", object: changed, oldObject })).message).toContain(
      "violates PodSecurity",
    );
    const debugged = { ...BAD, ephemeralContainers: [{ name: "d", image: "i" }] };
    const subresource = "ephemeralcontainers";
    const more = { metadata: { name: "p" }, spec: debugged } as unknown as ApiDraft;
    expect((await decide({ operation: "UPDATE", subresource, object: more, oldObject })).message).toContain("violates");
  });
  it("an exempt namespace's labels are said to be without effect", async () => {
    const labels = { "pod-security.kubernetes.io/enforce": "baseline" };
    const object = { metadata: { name: "exempt", labels } } as unknown as ApiDraft;
    const { warnings } = await decide({
      resource: "namespaces",
      kind: "Namespace",
      namespace: "",
      name: "exempt",
      object,
    });
    expect(warnings).toEqual([
      'namespace "exempt" is exempt from Pod Security, and the policy (enforce=baseline:latest) will be ignored',
    ]);
  });
  it("counts under upstream's names", () => {
    const text = metrics();
    expect(text).toContain(
      'pod_security_evaluations_total{decision="deny",mode="enforce",policy_level="baseline",policy_version="latest",request_operation="create",resource="pod",subresource=""} 1',
    );
    expect(text).toContain('pod_security_exemptions_total{request_operation="create",resource="pod",subresource=""} 3');
    expect(text).toContain(
      'pod_security_errors_total{fatal="false",request_operation="create",resource="pod",subresource=""} 1',
    );
    expect(text).toContain('mode="audit",policy_level="restricted",policy_version="v1.30"');
  });
});
