import { afterAll } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";
import { type AdapterChoice, type OpenNodeOptions, openNode } from "../../src/gpu/node_adapter.ts";

/** One device per test file; a missing adapter fails the file. `DEEPLIMIT_ADAPTER` picks another one (default swiftshader, the same on every machine). */
export async function openTestDevice(options: Omit<OpenNodeOptions, "adapter"> = {}): Promise<Gpu> {
  const adapter = (process.env.DEEPLIMIT_ADAPTER ?? "swiftshader") as AdapterChoice;
  const { gpu } = await openNode({ tuning: false, ...options, adapter });
  afterAll(() => gpu.close());
  return gpu;
}
