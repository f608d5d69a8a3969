import { defineConfig } from "vitest/config";

// One process for all files of a project: starting one per file costs ten times the tests themselves.
const shared = {
  pool: "forks",
  isolate: false,
  fileParallelism: true,
  testTimeout: 90_000,
  hookTimeout: 60_000,
} as const;

export default defineConfig({
  test: {
    projects: [
      // Rules and in-process servers: needs nothing but loopback.
      {
        test: {
          ...shared,
          name: "unit",
          include: ["{foundation,control-plane,node,addons,distribution}/*/src/**/*.test.ts", "scripts/**/*.test.ts"],
        },
      },
      // Needs root and the host's tools; run by scripts/test.mjs in a network namespace of its own.
      {
        test: {
          ...shared,
          name: "host",
          include: ["{foundation,control-plane,node,addons}/*/test/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 60_000,
        },
      },
      // Whole clusters, real kubectl and helm.
      {
        test: {
          ...shared,
          name: "cluster",
          include: ["distribution/*/test/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
