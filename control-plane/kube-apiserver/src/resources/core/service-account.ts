import type { ResourceDefinition } from "../../registry/resource-definition.ts";

export const serviceAccount: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "serviceaccounts",
  kind: "ServiceAccount",
};
