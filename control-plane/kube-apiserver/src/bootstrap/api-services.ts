import { parseTable } from "@coracle/api";
import type { JsonObject } from "@coracle/apimachinery";

interface GroupsTable {
  readonly groups: Readonly<
    Record<
      string,
      {
        readonly group: string;
        readonly versions: readonly {
          readonly version: string;
          readonly groupPriorityMinimum: number | null;
          readonly versionPriority: number | null;
        }[];
      }
    >
  >;
}

const OWN_GROUP = "apiregistration.k8s.io";

/** One APIService for each group and version that this server answers itself. */
export function readApiServices(isServed: (group: string, version: string) => boolean): JsonObject[] {
  const { groups } = parseTable("resources") as GroupsTable;
  return Object.values(groups).flatMap(({ group, versions }) =>
    versions
      .filter(({ version }) => group !== OWN_GROUP && isServed(group, version))
      .map(({ version, groupPriorityMinimum, versionPriority }) => ({
        kind: "APIService",
        apiVersion: `${OWN_GROUP}/v1`,
        metadata: {
          name: `${version}.${group}`,
          labels: { "kube-aggregator.kubernetes.io/automanaged": "onstart" },
        },
        spec: {
          ...(group === "" ? {} : { group }),
          version,
          groupPriorityMinimum: groupPriorityMinimum ?? 0,
          versionPriority: versionPriority ?? 0,
        },
      })),
  );
}

/** What is said of a service that this server is itself. */
export const localServiceStatus = (now: number): JsonObject => ({
  conditions: [
    {
      type: "Available",
      status: "True",
      lastTransitionTime: new Date(now).toISOString().replace(/\.\d+Z$/, "Z"),
      reason: "Local",
      message: "Local APIServices are always available",
    },
  ],
});
