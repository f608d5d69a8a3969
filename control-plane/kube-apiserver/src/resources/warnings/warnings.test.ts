import type { Draft } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import type { ApiObject } from "../../registry/resource-definition.ts";
import { resourceDefinitions } from "../index.ts";
import { warningsForCidr, warningsForIp } from "./address-warnings.ts";
import { warningsForKeyPair } from "./key-pair-warnings.ts";
import { warningsForPod, warningsForTemplate } from "./pod-warnings.ts";

const pod = (spec: Draft, annotations: Draft = {}): string[] =>
  warningsForPod({ metadata: { annotations }, spec: { containers: [{ name: "c", image: "i" }], ...spec } } as never);

const container = (more: Draft): string[] => pod({ containers: [{ name: "c", image: "i", ...more }] });

const definitionOf = (group: string, plural: string): (typeof resourceDefinitions)[number] => {
  const found = resourceDefinitions.find((one) => one.group === group && one.plural === plural);
  if (found === undefined) throw new Error(plural);
  return found;
};

const object = (rest: Draft, metadata: Draft = {}): ApiObject =>
  ({ metadata: { name: "n", ...metadata }, ...rest }) as never;

describe("pods that are sound but odd", () => {
  it("a plain pod is warned of nothing", () => {
    expect(pod({})).toEqual([]);
  });

  it.each([
    [
      "old labels of nodes",
      pod({ nodeSelector: { "beta.kubernetes.io/os": "linux" } }),
      ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'],
    ],
    [
      "volumes that are gone",
      pod({ volumes: [{ name: "a", storageos: {} }] }),
      ["spec.volumes[0].storageOS: deprecated in v1.22, non-functional in v1.25+"],
    ],
    [
      "a secret without name, and one named twice",
      pod({ imagePullSecrets: [{ name: "a" }, { name: "a" }, {}] }),
      ['spec.imagePullSecrets[1].name: duplicate name "a"', 'spec.imagePullSecrets[2].name: invalid empty name ""'],
    ],
    [
      "parts of bytes",
      container({ resources: { limits: { memory: "1500m" }, requests: { "ephemeral-storage": "0.9999" } } }),
      ['spec.containers[0].resources.limits[memory]: fractional byte value "1500m" is invalid, must be an integer'],
    ],
    [
      "variables that hide others",
      container({
        env: [
          { name: "A", value: "1" },
          { name: "A", value: "$(A)2" },
          { name: "A", value: "3" },
        ],
      }),
      ['spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply'],
    ],
    [
      "ports in each other's way",
      container({
        ports: [
          { containerPort: 80, protocol: "TCP", name: "web" },
          { containerPort: 80, protocol: "TCP", hostPort: 90 },
          { containerPort: 80, protocol: "TCP", hostPort: 90, hostIP: "1.2.3.4" },
          { containerPort: 81, protocol: "TCP", name: "web", hostIP: "1.2.3.4" },
        ],
      }),
      [
        "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
        "spec.containers[0].ports[2]: overlapping port definition with spec.containers[0].ports[0]",
        "spec.containers[0].ports[2]: dangerously ambiguous port definition with spec.containers[0].ports[1]",
        "spec.containers[0].ports[3]: hostIP set without hostPort: {Name:web HostPort:0 ContainerPort:81 Protocol:TCP HostIP:1.2.3.4}",
        'spec.containers[0].ports[3]: duplicate port name "web" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]',
      ],
    ],
    [
      "files that overwrite each other",
      pod({
        volumes: [
          {
            name: "v",
            projected: {
              sources: [
                { configMap: { name: "m", items: [{ key: "k", path: "p/" }] } },
                {},
                { serviceAccountToken: { path: "p/q" } },
              ],
            },
          },
        ],
      }),
      [
        'volume "v" (Projected) has no sources provided',
        'volume "v" (Projected): overlapping paths: "p/q" (ServiceAccountToken) with "p" (ConfigMap "m")',
      ],
    ],
    [
      "spreading over no pod",
      pod({ topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "a", whenUnsatisfiable: "DoNotSchedule" }] }),
      ["spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"],
    ],
  ])("%s", (_what, said, wanted) => {
    expect(said).toEqual(wanted);
  });

  it("AppArmor's annotation is told of in templates, unless it says what the pod does", () => {
    const annotations = { "container.apparmor.security.beta.kubernetes.io/c": "runtime/default" };
    const template = (spec: Draft): string[] =>
      warningsForTemplate("spec.template", {
        metadata: { annotations },
        spec: { containers: [{ name: "c" }], ...spec },
      } as never);
    expect(template({})).toEqual([
      'spec.template.metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the "appArmorProfile" field instead',
    ]);
    expect(template({ securityContext: { appArmorProfile: { type: "RuntimeDefault" } } })).toEqual([]);
  });
});

describe("addresses that are oddly written", () => {
  it.each([
    ["10.1.1.1", []],
    [
      "010.1.1.1",
      [
        'f: non-standard IP address "010.1.1.1" will be considered invalid in a future Kubernetes release: use "10.1.1.1"',
      ],
    ],
    [
      "::ffff:1.2.3.4",
      [
        'f: non-standard IP address "::ffff:1.2.3.4" will be considered invalid in a future Kubernetes release: use "1.2.3.4"',
      ],
    ],
    ["2001:DB8::1", ['f: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")']],
  ])("%s", (ip, wanted) => {
    expect(warningsForIp("f", ip)).toEqual(wanted);
  });

  it.each([
    ["10.0.0.0/8", []],
    [
      "10.0.0.1/8",
      ['f: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)'],
    ],
    [
      "10.0.0.0/08",
      [
        'f: non-standard CIDR value "10.0.0.0/08" will be considered invalid in a future Kubernetes release: use "10.0.0.0/8"',
      ],
    ],
    ["2001:DB8::/32", ['f: IPv6 CIDR value "2001:DB8::/32" should be in RFC 5952 canonical format ("2001:db8::/32")']],
  ])("%s", (cidr, wanted) => {
    expect(warningsForCidr("f", cidr)).toEqual(wanted);
  });
});

describe("key pairs that no server could use", () => {
  const pem = (type: string): string => `-----BEGIN ${type}-----\nAAAA\n-----END ${type}-----\n`;
  it.each([
    ["", "", "tls: failed to find any PEM data in certificate input"],
    [
      pem("RSA PRIVATE KEY"),
      "",
      "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
    ],
    [pem("CERTIFICATE"), "", "tls: failed to find any PEM data in key input"],
    [
      pem("CERTIFICATE"),
      pem("CERTIFICATE"),
      "tls: found a certificate rather than a key in the PEM for the private key",
    ],
  ])("%#", (certificate, key, why) => {
    expect(warningsForKeyPair(certificate, key)).toEqual([why]);
  });
});

describe("kinds", () => {
  it("a changed template is looked at again, and nothing else", () => {
    const { update } = definitionOf("apps", "deployments");
    const spec = { template: { spec: { containers: [], terminationGracePeriodSeconds: -1 } } };
    const of = (generation: number): ApiObject => object({ spec }, { generation });
    expect(update?.warnings?.(of(1), of(1))).toEqual([]);
    expect(update?.warnings?.(of(2), of(1))).toHaveLength(1);
  });

  it("a replication controller is warned of the template that it had", () => {
    const { update } = definitionOf("", "replicationcontrollers");
    const of = (generation: number, seconds: number): ApiObject =>
      object({ spec: { template: { spec: { terminationGracePeriodSeconds: seconds } } } }, { generation });
    expect(update?.warnings?.(of(2, -1), of(1, 1))).toEqual([]);
    expect(update?.warnings?.(of(2, 1), of(1, -1))).toHaveLength(1);
  });

  it("names that are no labels are told of where pods are named after them", () => {
    expect(definitionOf("batch", "jobs").createWarnings?.(object({ spec: {} }, { name: "a.b" }))?.[0]).toMatch(
      /^metadata\.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: \[/,
    );
  });

  it("requests above limits in a quota", () => {
    const hard = { cpu: "2", "limits.cpu": "1500m", "requests.memory": "1Gi", "limits.memory": "1Gi" };
    expect(definitionOf("", "resourcequotas").createWarnings?.(object({ spec: { hard } }))).toEqual([
      "ResourceQuota cpu (2) should be less than limits.cpu (1500m)",
    ]);
  });

  it("an account's annotation is told of when it is new", () => {
    const accounts = definitionOf("", "serviceaccounts");
    const marked = object({}, { annotations: { "kubernetes.io/enforce-mountable-secrets": "true" } });
    expect(accounts.createWarnings?.(marked)).toHaveLength(1);
    expect(accounts.update?.warnings?.(marked, object({}))).toHaveLength(1);
    expect(accounts.update?.warnings?.(marked, marked)).toEqual([]);
  });
});
