import { cloneJson, type Draft } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import type { ApiDraft, ApiObject } from "../resource-definition.ts";
import { eventConversion } from "./event.ts";
import { autoscalerConversion } from "./horizontal-pod-autoscaler.ts";

const there = (stored: Draft, conversion: { fromStored(object: ApiObject): ApiObject }): ApiObject =>
  conversion.fromStored(cloneJson(stored) as unknown as ApiObject);

describe("autoscaling/v1 over autoscaling/v2", () => {
  const conversion = autoscalerConversion(() => {});
  const stored: Draft = {
    kind: "HorizontalPodAutoscaler",
    apiVersion: "autoscaling/v2",
    metadata: { name: "x", namespace: "n" },
    spec: {
      scaleTargetRef: { kind: "Deployment", name: "d" },
      minReplicas: 1,
      maxReplicas: 5,
      metrics: [
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } },
        { type: "Resource", resource: { name: "memory", target: { type: "AverageValue", averageValue: "1Gi" } } },
        { type: "Pods", pods: { metric: { name: "q" }, target: { type: "AverageValue", averageValue: "10" } } },
      ],
      behavior: { scaleDown: { stabilizationWindowSeconds: 60 } },
    },
    status: {
      desiredReplicas: 2,
      currentMetrics: [{ type: "Resource", resource: { name: "cpu", current: { averageUtilization: 40 } } }],
      conditions: [{ type: "AbleToScale", status: "True" }],
    },
  };

  it("shows CPU as v1 does, and keeps the rest in annotations", () => {
    const shown = there(stored, conversion);
    expect(shown).toMatchObject({
      apiVersion: "autoscaling/v1",
      spec: { targetCPUUtilizationPercentage: 50, maxReplicas: 5 },
      status: { currentReplicas: 0, desiredReplicas: 2, currentCPUUtilizationPercentage: 40 },
    });
    expect(shown.spec).not.toHaveProperty("metrics");
  });

  it("loses nothing on the way back", () => {
    const back = conversion.toStored(cloneJson(there(stored, conversion)) as unknown as ApiDraft);
    const spec = stored.spec as Draft;
    const [cpu, ...others] = spec.metrics as Draft[];
    // What v1 has a member for comes last.
    expect(back).toEqual({ ...stored, spec: { ...spec, metrics: [...others, cpu] } });
  });
});

describe("events.k8s.io/v1 over core/v1", () => {
  it("has other names for the same members", () => {
    const stored: Draft = {
      kind: "Event",
      apiVersion: "v1",
      metadata: { name: "e" },
      involvedObject: { kind: "Pod" },
      message: "m",
      source: { component: "c" },
      firstTimestamp: null,
      lastTimestamp: null,
      count: 2,
      eventTime: null,
      reportingComponent: "r",
      reportingInstance: "i",
    };
    const shown = there(stored, eventConversion);
    expect(shown).toMatchObject({
      note: "m",
      deprecatedCount: 2,
      reportingController: "r",
      regarding: { kind: "Pod" },
    });
    expect(eventConversion.toStored(cloneJson(shown) as unknown as ApiDraft)).toEqual(stored);
  });
});
