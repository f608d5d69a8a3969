import type { KubeObject, ResourceType } from "@coracle/api";
import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { ConfigMap, Namespace } from "@coracle/api/core/v1";
import { ClusterRole, RoleBinding } from "@coracle/api/rbac/v1";
import { isNotFound, isStatusError } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

interface Widget extends KubeObject {
  readonly spec?: { readonly size?: number };
}

const Widgets: ResourceType<Widget> = {
  group: "shop.example.com",
  version: "v1",
  kind: "Widget",
  listKind: "WidgetList",
  plural: "widgets",
  namespaced: true,
};

const definition = {
  metadata: { name: "widgets.shop.example.com" },
  spec: {
    group: "shop.example.com",
    scope: "Namespaced",
    names: { plural: "widgets", kind: "Widget" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
} as unknown as CustomResourceDefinition;

describe("the controllers know kinds that come while they run", () => {
  let plane: TestControlPlane;
  const isGone = async (attempt: Promise<unknown>): Promise<boolean> => {
    try {
      await attempt;
      return false;
    } catch (error) {
      return isNotFound(error);
    }
  };
  const establish = async (): Promise<void> => {
    await plane.admin.create(CustomResourceDefinition, definition);
    await plane.until("it is established", async () => {
      const { status } = await plane.admin.get(CustomResourceDefinition, { name: "widgets.shop.example.com" });
      return status?.conditions?.some(({ type, status: holds }) => type === "Established" && holds === "True");
    });
  };

  beforeEach(async () => {
    plane = await createTestControlPlane({ components: ["kube-controller-manager"] });
    await establish();
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  it("a custom resource goes with its owner, and an owner that is one takes its dependents along", async () => {
    const namespace = "default";
    const owner = await plane.admin.create(ConfigMap, { metadata: { name: "owner", namespace } });
    const reference = { apiVersion: "v1", kind: "ConfigMap", name: "owner", uid: owner.metadata.uid ?? "" };
    const widget = await plane.admin.create(Widgets, {
      metadata: { name: "owned", namespace, ownerReferences: [reference] },
    });
    const own = { apiVersion: "shop.example.com/v1", kind: "Widget", name: "owned", uid: widget.metadata.uid ?? "" };
    await plane.admin.create(ConfigMap, { metadata: { name: "leaf", namespace, ownerReferences: [own] } });
    await plane.admin.delete(ConfigMap, { namespace, name: "owner" });
    await plane.until("the widget is gone", () => isGone(plane.admin.get(Widgets, { namespace, name: "owned" })));
    await plane.until("and the leaf", () => isGone(plane.admin.get(ConfigMap, { namespace, name: "leaf" })));
  });

  it("a namespace is emptied of custom resources; afterwards their definition may go, too", async () => {
    await plane.admin.create(Namespace, { metadata: { name: "shop" }, spec: {} });
    await plane.admin.create(Widgets, { metadata: { name: "one", namespace: "shop" } });
    await plane.admin.delete(Namespace, { name: "shop" });
    await plane.until("the namespace is gone", () => isGone(plane.admin.get(Namespace, { name: "shop" })));
    await plane.admin.delete(CustomResourceDefinition, { name: "widgets.shop.example.com" });
    await plane.until("the definition is gone", () =>
      isGone(plane.admin.get(CustomResourceDefinition, { name: "widgets.shop.example.com" })),
    );
    await expect(plane.admin.list(Widgets)).rejects.toSatisfy((error) => isStatusError(error, "NotFound"));
  });

  it("rights to custom resources are given as to any other, also through the roles that others are added to", async () => {
    const namespace = "default";
    await plane.admin.create(ClusterRole, {
      metadata: { name: "widget-viewer", labels: { "rbac.authorization.k8s.io/aggregate-to-view": "true" } },
      rules: [{ apiGroups: ["shop.example.com"], resources: ["widgets"], verbs: ["get", "list", "watch"] }],
    });
    await plane.admin.create(RoleBinding, {
      metadata: { name: "viewers", namespace },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "tess" }],
    });
    const tess = plane.clientOf("tess");
    await plane.until("she may list", async () => {
      try {
        return (await tess.list(Widgets, { namespace })).items.length === 0;
      } catch (error) {
        if (isStatusError(error, "Forbidden")) return false;
        throw error;
      }
    });
    const made = tess.create(Widgets, { metadata: { name: "mine", namespace } });
    await expect(made).rejects.toSatisfy((error) => isStatusError(error, "Forbidden"));
  });
});
