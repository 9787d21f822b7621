import { expect } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";
import { type Grid, type Params, Recorder } from "../../src/gpu/recorder.ts";
import type { Constants } from "../../src/gpu/specialise.ts";
import type { KernelName } from "../../src/plan/kernel_name.ts";

type Data = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Half a unit in the last place of 1: the relative rounding error of one float32 operation. */
export const EPSILON = 2 ** -24;
/** What an output holds before the kernel writes it. */
export const POISON = 12345.678;
const GUARD_WORDS = 64;

/**
 * Runs one dispatch of a kernel on copies of `bindings` and returns the bindings named in `outputs` as they stand after
 * it. Every buffer is bound together with a tail of guard words, which must survive.
 */
export async function runKernel(
  gpu: Gpu,
  name: KernelName,
  constants: Constants,
  bindings: Readonly<Record<string, Data>>,
  outputs: readonly string[],
  params: Params,
  grid: Grid,
): Promise<Record<string, Float32Array<ArrayBuffer>>> {
  const kernel = await gpu.kernel(name, constants);
  const recorder = new Recorder(gpu);
  const tensors = Object.fromEntries(
    Object.entries(bindings).map(([binding, data]) => {
      const guarded = new Uint32Array(data.length + GUARD_WORDS).fill(0x4b1d4b1d);
      guarded.set(new Uint32Array(data.buffer, data.byteOffset, data.length));
      return [binding, gpu.upload(`${name} ${binding}`, guarded)];
    }),
  );
  recorder.dispatch(kernel, tensors, params, grid);
  recorder.submit();
  const result: Record<string, Float32Array<ArrayBuffer>> = {};
  for (const output of outputs) {
    const { length } = bindings[output];
    const after = await gpu.read(tensors[output], 0, 4 * (length + GUARD_WORDS));
    const guards = new Uint32Array(after.buffer, 4 * length, GUARD_WORDS);
    expect(
      guards.every((word) => word === 0x4b1d4b1d),
      `${name} wrote beyond ${output}`,
    ).toBe(true);
    result[output] = after.slice(0, length);
  }
  await gpu.settle();
  recorder.destroy();
  gpu.release(...Object.values(tensors));
  return result;
}

export function poisoned(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(length).fill(POISON);
}
