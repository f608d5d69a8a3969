import { describe, expect, it } from "vitest";
import { registeredService, type RegisteredService } from "./api-service.ts";
import { customServiceSpec, planRegistration } from "./auto-registration.ts";

const wanted = customServiceSpec("things.example.com", "v1");
const registered = (label: string | undefined, spec: object = wanted): RegisteredService =>
  registeredService({
    metadata: {
      name: "v1.things.example.com",
      uid: "u",
      ...(label === undefined ? {} : { labels: { "kube-aggregator.kubernetes.io/automanaged": label } }),
    },
    spec: spec as never,
  });

describe("registration of custom resources' group versions", () => {
  it.each([
    ["wanted and not there: made", wanted, undefined, { action: "create", spec: wanted }],
    ["neither wanted nor there: nothing", undefined, undefined, { action: "none" }],
    ["as it should be: nothing", wanted, registered("true"), { action: "none" }],
    [
      "changed: put right",
      wanted,
      registered("true", { ...wanted, versionPriority: 7 }),
      { action: "update", spec: wanted },
    ],
    [
      "led elsewhere: put right",
      wanted,
      registered("true", { ...wanted, service: { namespace: "n", name: "s" } }),
      { action: "update", spec: wanted },
    ],
    ["not wanted any more: deleted, that very one", undefined, registered("true"), { action: "delete", uid: "u" }],
    [
      "somebody's own: left alone",
      wanted,
      registered(undefined, { ...wanted, versionPriority: 7 }),
      { action: "none" },
    ],
    ["somebody's own, not wanted: left alone", undefined, registered(undefined), { action: "none" }],
    ["a built-in one: left alone", undefined, registered("onstart"), { action: "none" }],
  ])("%s", (_, want, current, plan) => {
    expect(planRegistration(want, current)).toEqual(plan);
  });
});
