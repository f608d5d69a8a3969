import type { CustomResourceSubresourceScale } from "@coracle/api/apiextensions/v1";
import { internalError, isObject, type Draft } from "@coracle/apimachinery";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { ScaleShape } from "../registry/subresources/scale.ts";

/** `.spec.replicas` as the members it leads through. */
const split = (path: string): readonly string[] => path.replace(/^\./, "").split(".");

function valueAt(object: unknown, path: readonly string[]): unknown {
  let value = object;
  for (const member of path) {
    if (!isObject(value)) return undefined;
    value = value[member];
  }
  return value;
}

/** A value with one member far below replaced; what is on the way is copied. */
function withValue(value: unknown, [member, ...rest]: readonly string[], wanted: unknown): unknown {
  if (member === undefined) return wanted;
  const known = isObject(value) ? value : {};
  return { ...known, [member]: withValue(known[member], rest, wanted) };
}

/** Reads and writes the numbers where a definition's scale subresource says they are. */
export function createScaleShape(scale: CustomResourceSubresourceScale): ScaleShape {
  const wished = split(scale.specReplicasPath);
  const seen = split(scale.statusReplicasPath);
  const selector = scale.labelSelectorPath === undefined ? undefined : split(scale.labelSelectorPath);
  return {
    judgesNumber: true,
    check(old) {
      if (valueAt(old, wished) === undefined) {
        throw internalError(`the spec replicas field ${JSON.stringify(scale.specReplicasPath)} does not exist`);
      }
    },
    of(object) {
      const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
      const replicas = (valueAt(object, wished) as number | undefined) ?? 0;
      const text = selector === undefined ? "" : ((valueAt(object, selector) as string | undefined) ?? "");
      return {
        kind: "Scale",
        apiVersion: "autoscaling/v1",
        metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion, creationTimestamp },
        spec: replicas === 0 ? {} : { replicas },
        status: {
          replicas: (valueAt(object, seen) as number | undefined) ?? 0,
          ...(text === "" ? {} : { selector: text }),
        },
      } as unknown as ApiObject;
    },
    set(draft, replicas) {
      const [first = "", ...rest] = wished;
      draft[first] = withValue(draft[first], rest, replicas);
    },
    config: (replicas) => withValue({}, wished, replicas) as Draft,
  };
}
