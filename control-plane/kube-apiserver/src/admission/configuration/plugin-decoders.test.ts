import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPluginConfigurations } from "./plugin-decoders.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "admission-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

const read = (text: string, isOn: (plugin: string) => boolean = () => true): Promise<unknown> =>
  readPluginConfigurations(file("admission.yaml", text), isOn);

const HEAD = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n";

describe("--admission-control-config-file", () => {
  it("tells plugins in place or in files of their own, relative to it", async () => {
    file(
      "quota.yaml",
      "apiVersion: apiserver.config.k8s.io/v1\nkind: ResourceQuotaConfiguration\nlimitedResources:\n- resource: pods\n  matchContains: [cpu]\n",
    );
    const text = `${HEAD}- name: ResourceQuota
  path: quota.yaml
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: { enforce: baseline, enforce-version: v1.30 }
    exemptions: { namespaces: [kube-system] }
- name: EventRateLimit
  configuration:
    apiVersion: eventratelimit.admission.k8s.io/v1alpha1
    kind: Configuration
    limits: [{ type: Server, qps: 10, burst: 20 }]
- name: PodNodeSelector
  configuration: { podNodeSelectorPluginConfig: { clusterDefaultNodeSelector: a=b } }
`;
    expect(await read(text)).toMatchObject({
      ResourceQuota: { limitedResources: [{ apiGroup: "", resource: "pods", matchContains: ["cpu"] }] },
      PodSecurity: {
        defaults: { enforce: { level: "baseline", minor: 30 }, warn: { level: "privileged", minor: undefined } },
        exemptions: { namespaces: ["kube-system"], usernames: [] },
      },
      EventRateLimit: { limits: [{ type: "Server", qps: 10, burst: 20 }] },
      PodNodeSelector: { clusterDefaultNodeSelector: "a=b" },
    });
  });

  it("is not asked about plugins that are off", async () => {
    const text = `${HEAD}- name: EventRateLimit\n  configuration: { kind: Nonsense }\n`;
    expect(await read(text, () => false)).toEqual({});
  });

  it("may be an image policy's own file", async () => {
    const text = "imagePolicy:\n  kubeConfigFile: /k\n  allowTTL: 60\n  denyTTL: -1\n  defaultAllow: true\n";
    expect(await read(text)).toEqual({
      ImagePolicyWebhook: {
        kubeConfigFile: "/k",
        retryBackoffMs: 500,
        allowTtlMs: 60_000,
        denyTtlMs: 0,
        defaultAllow: true,
      },
    });
  });

  it("knows this server by the names of the hosts that it speaks to", async () => {
    const kubeconfig = file(
      "hooks.yaml",
      `users:
- name: 'hook.ns.svc'
  user: { token: one }
- name: '*.example.com:8443'
  user: { username: u, password: p }
- name: '*'
  user: { token: rest }
`,
    );
    const text = `${HEAD}- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: ${kubeconfig}
`;
    const { ValidatingAdmissionWebhook: found } = await readPluginConfigurations(file("a.yaml", text), () => true);
    const authorization = (host: string): string | undefined => found?.identityFor(host)?.authorization?.();
    expect(authorization("hook.ns.svc:443")).toBe("Bearer one");
    expect(authorization("a.example.com:8443")).toBe(`Basic ${Buffer.from("u:p").toString("base64")}`);
    expect(authorization("a.example.com:443")).toBe("Bearer rest");
  });

  it.each([
    ["plugins: []\n", /^failed to read plugin config: Object 'Kind' is missing/],
    ["apiVersion: v1\nkind: Pod\n", /^failed to read plugin config: no kind "Pod" is registered for version "v1"/],
    [`${HEAD}- name: X\n  config: {}\n`, /strict decoding error: unknown field "plugins\[0\]\.config"$/],
    [`${HEAD}- name: ResourceQuota\n  path: missing.yaml\n`, /no such file or directory/],
    [
      `${HEAD}- name: EventRateLimit\n  configuration: { apiVersion: eventratelimit.admission.k8s.io/v1alpha1, kind: Configuration, limits: [{ type: Sometimes, qps: 1, burst: 1 }] }\n`,
      /^couldn't init admission plugin "EventRateLimit": limits\[0\]\.type: Unsupported value: "Sometimes"/,
    ],
    [
      `${HEAD}- name: MutatingAdmissionWebhook\n  configuration: { apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: relative }\n`,
      /kubeConfigFile: Invalid value: "relative": must be an absolute file path$/,
    ],
    ["imagePolicy: { allowTTL: 90000 }\n", /valid value is between 1s and 30m0s, got 25h0m0s$/],
  ])("%j is refused", async (text, message) => {
    await expect(read(text)).rejects.toThrow(message);
  });

  it("must be there", async () => {
    await expect(readPluginConfigurations(join(dir, "nowhere"), () => true)).rejects.toThrow(
      `unable to read admission control configuration from "${join(dir, "nowhere")}" [open ${join(dir, "nowhere")}: no such file or directory]`,
    );
  });
});
