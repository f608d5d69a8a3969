import type { FlowSchema, PriorityLevelConfiguration } from "@coracle/api/flowcontrol/v1";
import { readFlowControl } from "../bootstrap/flow-control.ts";
import type { MandatoryFlowObjects } from "./flow-control.ts";

/** Levels and schemas that there always are. */
export const MANDATORY: ReadonlySet<string> = new Set(["exempt", "catch-all"]);

/** They themselves, as a new cluster has them. */
export function mandatoryFlowObjects(): MandatoryFlowObjects {
  const objects = readFlowControl(0).filter(({ name }) => MANDATORY.has(name));
  const of = (wanted: string): unknown[] => objects.filter(({ plural }) => plural === wanted).map((one) => one.object);
  return {
    levels: of("prioritylevelconfigurations") as PriorityLevelConfiguration[],
    schemas: of("flowschemas") as FlowSchema[],
  };
}
