import type { Clock, Random } from "@coracle/base";
import type { Draft } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import { checkNewObject } from "../registry/new-object-check.ts";
import type { ApiDraft, ApiObject, ResourceDefinition, StrategyContext } from "../registry/resource-definition.ts";
import { apiService } from "./apiregistration/api-service.ts";
import { cronJob } from "./batch/cron-job.ts";
import { certificateSigningRequest } from "./certificates/certificate-signing-request.ts";
import { service } from "./core/service.ts";
import { endpointSlice } from "./discovery/endpoint-slice.ts";
import { eventsEvent } from "./events/event.ts";
import { networkPolicy } from "./networking/network-policy.ts";
import { serviceCidr } from "./networking/service-cidr.ts";
import { podDisruptionBudget } from "./policy/pod-disruption-budget.ts";
import { resourceSlice } from "./resource/resource-slice.ts";

const CONTEXT: StrategyContext = {
  clock: { now: () => 0 } as unknown as Clock,
  random: {} as Random,
  user: { name: "admin", groups: [] },
  isDryRun: true,
  namespace: "default",
};

function fieldsOf(definition: ResourceDefinition, object: Draft): string[] {
  const draft = structuredClone(object) as ApiDraft;
  definition.defaults?.(draft);
  const isNamespaced = draft.metadata["namespace"] !== undefined;
  return checkNewObject(definition, draft as unknown as ApiObject, isNamespaced, CONTEXT).map(({ field }) => field);
}

const slice = (device: object, spec: object = {}): Draft => ({
  metadata: { name: "a" },
  spec: {
    driver: "d.example.com",
    nodeName: "n",
    pool: { name: "p", resourceSliceCount: 1 },
    devices: [device],
    ...spec,
  },
});

describe("several faults of one object are told in upstream's order", () => {
  it.each<[string, ResourceDefinition, Draft, readonly string[]]>([
    [
      "ports of a slice of endpoints before its endpoints",
      endpointSlice,
      { metadata: { name: "a", namespace: "default" }, addressType: "IPv4", endpoints: [{}], ports: [{ name: "A" }] },
      ["ports[0].name", "endpoints[0].addresses"],
    ],
    [
      "what an event says, its name, what its group asks for",
      eventsEvent,
      {
        metadata: { name: "a b", namespace: "default" },
        eventTime: "2026-01-01T00:00:00.000000Z",
        reportingController: "c",
        reportingInstance: "i",
        reason: "r",
        type: "Odd",
      },
      ["action", "metadata.name", "type"],
    ],
    [
      "the name of a budget only where nothing else is wrong",
      podDisruptionBudget,
      { metadata: { namespace: "default" }, spec: { minAvailable: -1 } },
      ["spec.minAvailable"],
    ],
    [
      "the name of a budget that is missing",
      podDisruptionBudget,
      { metadata: { namespace: "default" }, spec: { minAvailable: 1 } },
      ["metadata.name"],
    ],
    [
      "the name of a request that is no part of a path only where nothing else is wrong",
      certificateSigningRequest,
      { metadata: { name: "a/b" }, spec: { signerName: "x", usages: [], request: "AAAA" } },
      ["spec.request", "spec.usages", "spec.signerName"],
    ],
    [
      "the length of a cron job's name last",
      cronJob,
      { metadata: { name: "a".repeat(53), namespace: "default" }, spec: { schedule: "x", jobTemplate: {} } },
      [
        "spec.schedule",
        "spec.jobTemplate.spec.template.spec.containers",
        "spec.jobTemplate.spec.template.spec.restartPolicy",
        "metadata.name",
      ],
    ],
    [
      "the last port of a range before the first",
      networkPolicy,
      {
        metadata: { name: "a", namespace: "default" },
        spec: { podSelector: {}, ingress: [{ ports: [{ port: "-a", endPort: 2 }] }] },
      },
      ["spec.ingress[0].ports[0].endPort", "spec.ingress[0].ports[0].port"],
    ],
    [
      "ranges one by one, then as a pair",
      serviceCidr,
      { metadata: { name: "a" }, spec: { cidrs: ["x", "10.0.0.0/24"] } },
      ["spec.cidrs[0]"],
    ],
    [
      "an API service's name that is none, once",
      apiService,
      {
        metadata: { name: "a/b" },
        spec: { group: "g.example.com", version: "v1", groupPriorityMinimum: 1, versionPriority: 1 },
      },
      ["metadata.name"],
    ],
    [
      "a second port of the same number after the type",
      service,
      {
        metadata: { name: "a", namespace: "default" },
        spec: {
          type: "Odd",
          clusterIPs: [],
          ports: [
            { name: "a", port: 1 },
            { name: "b", port: 1 },
          ],
        },
      },
      ["spec.type", "spec.ports[1]"],
    ],
    [
      "devices one by one, then those named twice",
      resourceSlice,
      slice({ name: "A", attributes: { a: {} } }, { nodeName: "" }),
      ["spec.nodeName", "spec", "spec.devices[0].name", "spec.devices[0].attributes[a]"],
    ],
  ])("%s", (_, definition, object, fields) => {
    expect(fieldsOf(definition, object)).toEqual(fields);
  });
});
