import type { Container, Pod } from "@coracle/api/core/v1";

/** A pod or a pod template, as the checks see it. */
export interface PodView {
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: NonNullable<Pod["spec"]>;
  /** Init containers, containers and ephemeral ones, in this order. */
  readonly containers: readonly Container[];
}

/** What a check finds wrong: in a word, and in detail. */
export interface Violation {
  readonly reason: string;
  readonly detail: string;
}

/** One rule, from one version on. */
export type PodCheck = (pod: PodView) => Violation | undefined;

/** The view on a pod's metadata and spec. */
export function podView(metadata: Pod["metadata"] | undefined, spec: NonNullable<Pod["spec"]>): PodView {
  return {
    annotations: metadata?.annotations ?? {},
    spec,
    containers: [
      ...(spec.initContainers ?? []),
      ...(spec.containers ?? []),
      ...((spec.ephemeralContainers ?? []) as readonly unknown[] as readonly Container[]),
    ],
  };
}

/** `"a", "b"`. */
export const quoted = (texts: readonly string[]): string => texts.map((text) => `"${text}"`).join(", ");

/** The word for one, or the one for many. */
export const plural = (one: string, many: string, count: number): string => (count === 1 ? one : many);

/** `container "a"`, `containers "a", "b"`. */
export const named = (names: readonly string[]): string =>
  `${plural("container", "containers", names.length)} ${quoted(names)}`;

/** Sorted, each once. */
export const sortedSet = (texts: Iterable<string>): string[] => [...new Set(texts)].toSorted();

/** `pod and container "a"`: who set something. */
export function setters(isPod: boolean, names: readonly string[]): string {
  return [...(isPod ? ["pod"] : []), ...(names.length > 0 ? [named(names)] : [])].join(" and ");
}

/** Names of the containers for which `is` holds. */
export const containersThat = (pod: PodView, is: (container: Container) => boolean): string[] =>
  pod.containers.filter(is).map(({ name }) => name);
