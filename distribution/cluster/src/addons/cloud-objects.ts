import type { ClusterRole, ClusterRoleBinding } from "@coracle/api/rbac/v1";

/** The user that cloud-controller-manager is, and the name of its role. */
export const CLOUD_CONTROLLER_MANAGER = "system:cloud-controller-manager";

const GROUP = "rbac.authorization.k8s.io";

/** What cloud-controller-manager may do; upstream leaves this to each cloud's manifests. */
export function cloudControllerManagerRole(): { readonly role: ClusterRole; readonly binding: ClusterRoleBinding } {
  const rule = (apiGroup: string, resources: readonly string[], ...verbs: readonly string[]) => ({
    apiGroups: [apiGroup],
    resources: [...resources],
    verbs: [...verbs],
  });
  return {
    role: {
      metadata: { name: CLOUD_CONTROLLER_MANAGER },
      rules: [
        rule("coordination.k8s.io", ["leases"], "create", "get", "list", "update", "watch"),
        rule("", ["events"], "create", "patch", "update"),
        rule("", ["nodes"], "delete", "get", "list", "patch", "update", "watch"),
        rule("", ["nodes/status"], "patch", "update"),
        rule("", ["services"], "get", "list", "patch", "update", "watch"),
        rule("", ["services/status"], "patch", "update"),
        rule("discovery.k8s.io", ["endpointslices"], "get", "list", "watch"),
        // Each controller acts as its own account, with upstream's role for it.
        rule("", ["serviceaccounts"], "create", "get"),
        rule("", ["serviceaccounts/token"], "create"),
        rule("authentication.k8s.io", ["tokenreviews"], "create"),
        rule("authorization.k8s.io", ["subjectaccessreviews"], "create"),
      ],
    },
    binding: {
      metadata: { name: CLOUD_CONTROLLER_MANAGER },
      roleRef: { apiGroup: GROUP, kind: "ClusterRole", name: CLOUD_CONTROLLER_MANAGER },
      subjects: [{ apiGroup: GROUP, kind: "User", name: CLOUD_CONTROLLER_MANAGER }],
    },
  };
}
