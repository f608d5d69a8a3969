import type { Conversion } from "../../storage/converted-storage.ts";
import type { ResourceEntry } from "../resource-catalog.ts";
import type { ApiDraft } from "../resource-definition.ts";
import { eventConversion } from "./event.ts";
import { autoscalerConversion } from "./horizontal-pod-autoscaler.ts";

/** Versions of the same fields: only the name of the version differs. */
function renaming(served: string, stored: string): Conversion {
  return {
    fromStored: (object) => ({ ...object, apiVersion: served }),
    toStored: (draft) => ({ ...draft, apiVersion: stored }),
  };
}

/** How a resource is stored when not in its own version; undefined when it is. `finish` sets the stored version's defaults. */
export function conversionOf(entry: ResourceEntry, finish: (draft: ApiDraft) => void): Conversion | undefined {
  const served = entry.group === "" ? entry.version : `${entry.group}/${entry.version}`;
  const stored = entry.storageVersion ?? served;
  if (stored === served) return undefined;
  if (served === "events.k8s.io/v1") return eventConversion;
  if (served === "autoscaling/v1") return autoscalerConversion(finish);
  return renaming(served, stored);
}
