import { parseTable } from "@coracle/api";
import type { JsonObject } from "@coracle/apimachinery";

const API_VERSION = "flowcontrol.apiserver.k8s.io/v1";

interface FlowRow {
  readonly priorityLevel: string;
  readonly matchingPrecedence: number;
  readonly distinguisherMethod?: string;
  readonly rules: readonly {
    readonly subjects: readonly JsonObject[];
    readonly resourceRules?: readonly JsonObject[];
    readonly nonResourceRules?: readonly JsonObject[];
  }[];
}
interface FlowTable {
  readonly common: { readonly annotations: JsonObject };
  readonly priorityLevelConfigurations: Readonly<Record<string, JsonObject>>;
  readonly flowSchemas: Readonly<Record<string, FlowRow>>;
}

/** An object of flow control that every cluster has. */
export interface FlowObject {
  readonly plural: "flowschemas" | "prioritylevelconfigurations";
  readonly name: string;
  readonly object: JsonObject;
  readonly status?: JsonObject;
}

/** All priority levels and flow schemas of a new cluster. `now`: when the schemas were found sound. */
export function readFlowControl(now: number): FlowObject[] {
  const { common, priorityLevelConfigurations, flowSchemas } = parseTable("apf-bootstrap") as FlowTable;
  const metadata = (name: string): JsonObject => ({ name, annotations: common.annotations });
  const levels = Object.entries(priorityLevelConfigurations).map(([name, row]): FlowObject => {
    const { mandatory: _mandatory, ...spec } = row;
    return {
      plural: "prioritylevelconfigurations",
      name,
      object: { kind: "PriorityLevelConfiguration", apiVersion: API_VERSION, metadata: metadata(name), spec },
    };
  });
  const schemas = Object.entries(flowSchemas).map(([name, row]): FlowObject => ({
    plural: "flowschemas",
    name,
    object: { kind: "FlowSchema", apiVersion: API_VERSION, metadata: metadata(name), spec: schemaSpec(row) },
    status: { conditions: [notDangling(row.priorityLevel, now)] },
  }));
  return [...levels, ...schemas];
}

function schemaSpec(row: FlowRow): JsonObject {
  return {
    priorityLevelConfiguration: { name: row.priorityLevel },
    matchingPrecedence: row.matchingPrecedence,
    ...(row.distinguisherMethod === undefined ? {} : { distinguisherMethod: { type: row.distinguisherMethod } }),
    rules: row.rules.map((rule) => ({
      ...rule,
      ...(rule.resourceRules === undefined ? {} : { resourceRules: rule.resourceRules.map(withoutFalseScope) }),
    })) as unknown as JsonObject[],
  };
}

/** A scope that is not wanted is not written. */
function withoutFalseScope(rule: JsonObject): JsonObject {
  const { clusterScope, ...rest } = rule;
  return clusterScope === true ? { ...rest, clusterScope } : rest;
}

const notDangling = (level: string, now: number): JsonObject => ({
  type: "Dangling",
  status: "False",
  lastTransitionTime: new Date(now).toISOString().replace(/\.\d+Z$/, "Z"),
  reason: "Found",
  message: `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(level)} and it exists`,
});
