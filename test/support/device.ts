import { afterAll } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";
import { openNode } from "../../src/gpu/node_adapter.ts";

/** One device per test file; a missing adapter fails the file. `DEEPLIMIT_ADAPTER` picks another one (default software). */
export async function openTestDevice(withoutSubgroups = false): Promise<Gpu> {
  const adapter = (process.env.DEEPLIMIT_ADAPTER ?? "software") as "auto" | "hardware" | "software";
  const { gpu } = await openNode({ adapter, withoutSubgroups });
  afterAll(() => gpu.close());
  return gpu;
}
