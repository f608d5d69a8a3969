import type { Pod, Secret } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { judgedFrom, planToken, secretsOf, startOfDay } from "./plan.ts";

const DAY_MS = 86_400_000;
const now = Date.parse("2026-03-01T10:00:00Z");
const periodMs = 10 * DAY_MS;
const account = { metadata: { name: "old", uid: "u" }, secrets: [{ name: "t" }] };

const token = (labels: Record<string, string> = {}, metadata: Partial<Secret["metadata"]> = {}): Secret => ({
  type: "kubernetes.io/service-account-token",
  metadata: {
    name: "t",
    namespace: "d",
    creationTimestamp: "2025-01-01T00:00:00Z",
    annotations: { "kubernetes.io/service-account.name": "old", "kubernetes.io/service-account.uid": "u" },
    labels: Object.fromEntries(Object.entries(labels).map(([key, day]) => [`kubernetes.io/legacy-token-${key}`, day])),
    ...metadata,
  },
});
const facts = { account, used: new Set<string>(), periodMs, now };

describe("a former token of a service account", () => {
  it.each<[string, Secret, object, string]>([
    ["never used", token(), {}, "invalidate"],
    ["used long ago", token({ "last-used": "2026-02-18" }), {}, "invalidate"],
    ["used lately", token({ "last-used": "2026-02-19" }), {}, "keep"],
    ["used nobody knows when", token({ "last-used": "yesterday" }), {}, "keep"],
    ["made lately", token({}, { creationTimestamp: "2026-02-20T00:00:00Z" }), {}, "keep"],
    ["invalid for long", token({ "invalid-since": "2026-02-18" }), {}, "delete"],
    ["invalid lately", token({ "invalid-since": "2026-02-19" }), {}, "keep"],
    ["invalid since nobody knows when", token({ "invalid-since": "x" }), {}, "invalidate"],
    ["mounted", token(), { used: new Set(["t"]) }, "keep"],
    ["of no account", token(), { account: undefined }, "keep"],
    [
      "of another account of that name",
      token(),
      { account: { ...account, metadata: { name: "old", uid: "v" } } },
      "keep",
    ],
    ["made by hand", token(), { account: { ...account, secrets: [] } }, "keep"],
    ["being deleted", token({}, { deletionTimestamp: "2026-03-01T00:00:00Z" }), {}, "keep"],
    ["of another type", { ...token(), type: "Opaque" }, {}, "keep"],
  ])("%s", (_what, secret, part, action) => {
    expect(planToken({ secret, ...facts, ...part }).action).toBe(action);
  });
  it("is judged only after uses were written down for a whole period, from the next day on", () => {
    expect(startOfDay("2026-02-30")).toBeUndefined();
    expect(judgedFrom(startOfDay("2026-02-18") ?? 0, periodMs)).toBe(Date.parse("2026-03-01T00:00:00Z"));
  });
  it("is used by whatever of a pod names it", () => {
    const pod: Pod = {
      metadata: {},
      spec: {
        imagePullSecrets: [{ name: "a" }],
        containers: [{ name: "c", image: "i", envFrom: [{ secretRef: { name: "b" } }] }],
        initContainers: [
          { name: "d", image: "i", env: [{ name: "E", valueFrom: { secretKeyRef: { name: "c", key: "k" } } }] },
        ],
        volumes: [
          { name: "v", secret: { secretName: "d" } },
          { name: "w", projected: { sources: [{ secret: { name: "e" } }] } },
          { name: "x", csi: { driver: "z", nodePublishSecretRef: { name: "f" } } },
        ],
      },
    };
    expect(secretsOf(pod).toSorted()).toEqual(["a", "b", "c", "d", "e", "f"]);
  });
});
