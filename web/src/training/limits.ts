import { planOf, type SingleTrainingConfig } from "../../../src/experiment/single_training/config.ts";
import type { DeviceProfile } from "../../../src/plan/device_profile.ts";

/** Device memory that a page may ask for, bytes: what is left must draw the rest of the screen. */
const MOST_BYTES = 2 ** 30;
const DEEPEST = 2 ** 16;

/** The greatest power of two at which this network fits the device's buffers and a page's share of its memory. */
export function deepestOf(config: SingleTrainingConfig, profile: DeviceProfile): number {
  let deepest = 2;
  for (let depth = 4; depth <= DEEPEST; depth *= 2) {
    const { bytes, tensors } = planOf({ ...config, depth }, profile);
    if (bytes > MOST_BYTES || Math.max(...Object.values(tensors)) > profile.maxBufferBytes) break;
    deepest = depth;
  }
  return deepest;
}
