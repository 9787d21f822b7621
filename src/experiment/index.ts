import { cifar } from "./cifar/cifar.ts";
import { conformance } from "./conformance/conformance.ts";
import { digits } from "./digits/digits.ts";
import type { Experiment } from "./experiment.ts";
import { largeDepth } from "./large_depth/large_depth.ts";
import { limitDynamics } from "./limit_dynamics/limit_dynamics.ts";
import { workPrecision } from "./work_precision/work_precision.ts";

/** Every experiment that `deeplimit run` knows, in the order of `deeplimit list`. */
export const EXPERIMENTS: readonly Experiment<unknown>[] = [
  digits,
  largeDepth,
  limitDynamics,
  cifar,
  conformance,
  workPrecision,
];
