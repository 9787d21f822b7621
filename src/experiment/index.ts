import { conformance } from "./conformance.ts";
import { digits } from "./digits.ts";
import type { Experiment } from "./experiment.ts";
import { largeDepth } from "./large_depth.ts";

/** Every experiment that `deeplimit run` knows, in the order of `deeplimit list`. */
export const EXPERIMENTS: readonly Experiment<unknown>[] = [digits, largeDepth, conformance];
