import { cifar } from "./cifar.ts";
import { conformance } from "./conformance.ts";
import { digits } from "./digits.ts";
import type { Experiment } from "./experiment.ts";
import { largeDepth } from "./large_depth.ts";
import { limitDynamics } from "./limit_dynamics.ts";
import { workPrecision } from "./work_precision.ts";

/** Every experiment that `deeplimit run` knows, in the order of `deeplimit list`. */
export const EXPERIMENTS: readonly Experiment<unknown>[] = [
  digits,
  largeDepth,
  limitDynamics,
  cifar,
  conformance,
  workPrecision,
];
