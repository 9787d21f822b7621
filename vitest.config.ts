import { defineConfig } from "vitest/config";

// One fork per file: one WebGPU device per process, and a crash of one adapter takes one file with it.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // What was tuned on this machine is no part of what is tested.
    env: { DEEPLIMIT_TUNING: "off" },
    pool: "forks",
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
});
