import { join } from "node:path";

/** Where the runtime keeps things. `root` outlives a boot; `state` is void after one. */
export interface RuntimePaths {
  readonly root: string;
  readonly state: string;
  readonly bootId: string;
  readonly images: string;
  readonly sandboxRecords: string;
  readonly containers: string;
  readonly namespaces: string;
  readonly sandboxes: string;
  readonly bundles: string;
  readonly exits: string;
  readonly persist: string;
  readonly oci: string;
}

/** Short folder names keep socket paths below the kernel's 108 bytes. */
export const shortId = (id: string): string => id.slice(0, 24);

/** The layout of both folders. */
export function runtimePaths(root: string, state: string): RuntimePaths {
  return {
    root,
    state,
    bootId: join(root, "boot-id"),
    images: join(root, "images"),
    sandboxRecords: join(root, "sandboxes"),
    containers: join(root, "containers"),
    namespaces: join(state, "ns"),
    sandboxes: join(state, "sandboxes"),
    bundles: join(state, "bundles"),
    exits: join(state, "exits"),
    persist: join(state, "persist"),
    oci: join(state, "oci"),
  };
}
