/** How many stacks of one shape run side by side on a device. Pure. */
import type { DenseShape } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import { type DensePlanOptions, planDense, stackBytes } from "./dense.ts";
import { resolveChoice } from "./dense_choice.ts";
import type { DeviceProfile } from "./device_profile.ts";

/**
 * Replicas at most. On SwiftShader and two cores, 2, 4, 8, 16 of them take 1/1.6, 1/1.7, 1/1.9, 1/1.85 of the processor time of as many
 * runs one after another at n = 12, q = 4, m = 8, L = 64; at n = 50, q = 16, m = 32, where one fills both cores, 1/1.04, 1/1.1, 1/1.0,
 * 1/0.9 (2026-11). For hardware a guess: so many small stacks fill it.
 */
const MOST_REPLICAS = { software: 8, hardware: 32 } as const;

/** Device bytes of the parameters and of one training pass of `replicas` stacks. */
export function replicaBytes(
  shape: DenseShape,
  profile: DeviceProfile,
  { tied, ...options }: Pick<DensePlanOptions, "rows" | "replicas"> & { readonly tied: boolean },
): number {
  const sum = (tensors: Readonly<Record<string, number>>) =>
    Object.values(tensors).reduce((total, bytes) => total + bytes, 0);
  return (
    sum(stackBytes(shape, tied, profile, options.replicas)) +
    sum(planDense(shape, profile, { ...options, training: true }).tensors)
  );
}

/**
 * The sizes in which `count` trainings of one shape run side by side, as equal as can be: as few batches as fit, with all
 * their tensors, the bytes of the adapter's largest buffer (which every device has). One by one where a layer is a matrix product.
 */
export function replicaBatches(
  shape: DenseShape,
  profile: DeviceProfile,
  options: { readonly rows: number; readonly tied: boolean },
  count: number,
): number[] {
  const { choice } = resolveChoice(shape, profile, { rows: options.rows, replicas: 2, training: true });
  const most = choice.layout === "matmul" ? 1 : MOST_REPLICAS[profile.kind];
  for (let batches = Math.ceil(count / most); ; batches++) {
    const size = Math.ceil(count / batches);
    if (size === 1 || fits(shape, profile, { ...options, replicas: size }))
      return Array.from(
        { length: batches },
        (_, i) => Math.floor(((i + 1) * count) / batches) - Math.floor((i * count) / batches),
      );
  }
}

function fits(...[shape, profile, options]: Parameters<typeof replicaBytes>): boolean {
  try {
    return replicaBytes(shape, profile, options) <= profile.maxBufferBytes;
  } catch (error) {
    if (error instanceof ConfigError) return false; // a layer of all of them exceeds a binding
    throw error;
  }
}
