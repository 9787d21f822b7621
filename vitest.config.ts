import { defineConfig } from "vitest/config";

// One fork per file: one WebGPU device per process, and a crash of one adapter takes one file with it.
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], pool: "forks", testTimeout: 120_000, hookTimeout: 120_000, maxWorkers: 2 },
});
