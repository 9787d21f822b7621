/** Single entries and whole layers of a stack, read without the rest of it: 4,096 layers are 16 MB, their picture is 4 kB. */
import type { Gpu, Tensor } from "../../../src/gpu/device.ts";
import { BUFFER_USAGE, MAP_READ } from "../../../src/gpu/device.ts";
import type { DenseStack } from "../../../src/model/dense_stack.ts";
import type { Family } from "../training/protocol.ts";

/** More points than a chart has pixels say nothing. */
const MOST_POINTS = 512;
/** Layers that are read whole for a roughness, in pairs of neighbours. */
const MOST_LAYERS = 128;

export interface Entries {
  /** s = k/L. */
  readonly depths: Float64Array<ArrayBuffer>;
  readonly V: Float64Array<ArrayBuffer>;
  readonly W: Float64Array<ArrayBuffer>;
}

/** The first entry of V_k and W_k of at most 512 layers, evenly chosen: initial value plus change, added in float64. */
export async function readEntries(stack: DenseStack): Promise<Entries> {
  const { shape, groups, gpu } = stack;
  const layers = evenly(shape.depth, MOST_POINTS);
  const { Z } = groups;
  const layerBytes = (4 * Z.floats) / shape.depth;
  const half = 4 * stack.widthPadded;
  const numbers = (tensor: Tensor, at: readonly number[], bytes: number) =>
    gather(
      gpu,
      tensor,
      at.flatMap((k) => [
        { offset: k * bytes, bytes: 4 },
        { offset: k * bytes + half, bytes: 4 },
      ]),
    );
  const tied = Z.initialFloats < Z.floats;
  const [change, initial] = await Promise.all([
    numbers(Z.change, layers, layerBytes),
    numbers(Z.initial, tied ? [0] : layers, layerBytes),
  ]);
  const family = (part: 0 | 1) =>
    Float64Array.from(layers, (_, i) => initial[(tied ? 0 : 2 * i) + part]! + change[2 * i + part]!);
  return { depths: Float64Array.from(layers, (k) => (k + 1) / shape.depth), W: family(0), V: family(1) };
}

/**
 * Half of von Neumann's ratio over depth, as `roughness` of the experiments; of stacks deeper than 128 layers from 64 pairs of
 * neighbours. What tied layers share cancels, so that their change alone is read.
 */
export async function readRoughness(stack: DenseStack): Promise<Record<Family, number | null>> {
  const { shape, groups, gpu } = stack;
  const { Z } = groups;
  const floats = Z.floats / shape.depth;
  const whole = shape.depth <= MOST_LAYERS;
  const first = whole ? [0] : evenly(shape.depth - 1, MOST_LAYERS / 2);
  const run = whole ? shape.depth : 2;
  const ranges = first.map((k) => ({ offset: 4 * k * floats, bytes: 4 * run * floats }));
  const moving = Float64Array.from(await gather(gpu, Z.change, ranges));
  if (Z.initialFloats === Z.floats) {
    const initial = await gather(gpu, Z.initial, ranges);
    for (let i = 0; i < moving.length; i++) moving[i]! += initial[i]!;
  }
  return ratios(moving, floats, stack.widthPadded, run);
}

/** @param layers runs of `run` neighbouring layers, each layer [m, 2·half]: W's row, then V's column */
export function ratios(layers: Float64Array, floats: number, half: number, run: number): Record<Family, number | null> {
  const count = layers.length / floats;
  const sums = { W: { steps: 0, spread: 0 }, V: { steps: 0, spread: 0 } };
  let steps = 0;
  for (let k = 1; k < count; k++) if (k % run !== 0) steps++;
  for (let i = 0; i < floats; i++) {
    const sum = sums[i % (2 * half) < half ? "W" : "V"];
    let mean = 0;
    for (let k = 0; k < count; k++) mean += layers[k * floats + i]! / count;
    for (let k = 0; k < count; k++) {
      const value = layers[k * floats + i]!;
      sum.spread += (value - mean) ** 2 / (count - 1);
      if (k % run !== 0) sum.steps += (value - layers[(k - 1) * floats + i]!) ** 2 / steps;
    }
  }
  const ratio = ({ steps: step, spread }: { steps: number; spread: number }) =>
    spread > 0 ? step / (2 * spread) : null;
  return { V: ratio(sums.V), W: ratio(sums.W) };
}

function evenly(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / (most - 1)));
}

/** Ranges of a buffer, one after another. */
async function gather(
  gpu: Gpu,
  tensor: Tensor,
  ranges: readonly { readonly offset: number; readonly bytes: number }[],
): Promise<Float32Array<ArrayBuffer>> {
  gpu.check();
  const staging = gpu.device.createBuffer({
    label: `samples of ${tensor.label}`,
    size: ranges.reduce((sum, { bytes }) => sum + bytes, 0),
    usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
  });
  try {
    const encoder = gpu.device.createCommandEncoder();
    let to = 0;
    for (const { offset, bytes } of ranges) {
      encoder.copyBufferToBuffer(tensor.buffer, offset, staging, to, bytes);
      to += bytes;
    }
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.guard(staging.mapAsync(MAP_READ));
    return new Float32Array(staging.getMappedRange().slice(0));
  } finally {
    staging.destroy();
  }
}
