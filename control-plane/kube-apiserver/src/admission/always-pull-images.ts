import { notSupported } from "@coracle/apimachinery";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import type { MutablePodSpec } from "./pod-draft.ts";
import { refusalOf } from "./refusal.ts";

interface Place {
  readonly path: string;
  readonly container: Record<string, unknown>;
}

function placesOf(spec: MutablePodSpec | undefined): Place[] {
  const ephemeral = (spec as { ephemeralContainers?: Record<string, unknown>[] } | undefined)?.ephemeralContainers;
  return (
    [
      ["initContainers", spec?.initContainers],
      ["containers", spec?.containers],
      ["ephemeralContainers", ephemeral],
    ] as const
  ).flatMap(([list, containers]) =>
    (containers ?? []).map((container, i) => ({ path: `spec.${list}[${i}].imagePullPolicy`, container })),
  );
}

/** The specs before and after; undefined: the update brings no image that was not there. */
function specOf({ operation, object, oldObject }: AdmissionAttributes): MutablePodSpec | undefined {
  const spec = object?.["spec"] as MutablePodSpec | undefined;
  if (operation !== "UPDATE") return spec;
  const known = new Set(
    placesOf(oldObject?.["spec"] as unknown as MutablePodSpec).map(({ container }) => container["image"]),
  );
  return placesOf(spec).every(({ container }) => known.has(container["image"])) ? undefined : spec;
}

const imageOf = (volume: Record<string, unknown>): Record<string, unknown> | undefined =>
  (volume["image"] ?? undefined) as Record<string, unknown> | undefined;

/** Images are asked for anew at each start, so that nobody runs an image that he may not pull. */
export const alwaysPullImages: AdmissionPlugin = {
  name: "AlwaysPullImages",
  scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods"] },
  admit(attributes) {
    const spec = specOf(attributes);
    for (const { container } of placesOf(spec)) container["imagePullPolicy"] = "Always";
    for (const volume of spec?.volumes ?? []) {
      const image = imageOf(volume);
      if (image !== undefined) image["pullPolicy"] = "Always";
    }
  },
  validate(attributes) {
    const spec = specOf(attributes);
    const wrong = placesOf(spec)
      .filter(({ container }) => container["imagePullPolicy"] !== "Always")
      .map(({ path, container }) => notSupported(path, container["imagePullPolicy"] ?? "", ["Always"]));
    for (const [i, volume] of (spec?.volumes ?? []).entries()) {
      const image = imageOf(volume);
      if (image === undefined || image["pullPolicy"] === "Always") continue;
      wrong.push(notSupported(`spec.volumes[${i}].image.pullPolicy`, image["pullPolicy"] ?? "", ["Always"]));
    }
    const [first] = wrong;
    if (first !== undefined) throw refusalOf(attributes, `${first.field}: ${first.message}`);
  },
};
