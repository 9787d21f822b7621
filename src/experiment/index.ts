import { activationsAndInit } from "./activations_and_init/activations_and_init.ts";
import { cifar } from "./cifar/cifar.ts";
import { clipping } from "./clipping/clipping.ts";
import { conformance } from "./conformance/conformance.ts";
import { depthPenalty } from "./depth_penalty/depth_penalty.ts";
import { digits } from "./digits/digits.ts";
import { doubleLimit } from "./double_limit/double_limit.ts";
import type { Experiment } from "./experiment.ts";
import { generalization } from "./generalization/generalization.ts";
import { largeDepth } from "./large_depth/large_depth.ts";
import { limitDynamics } from "./limit_dynamics/limit_dynamics.ts";
import { longTime } from "./long_time/long_time.ts";
import { meanField } from "./mean_field/mean_field.ts";
import { optimizers } from "./optimizers/optimizers.ts";
import { plCondition } from "./pl_condition/pl_condition.ts";
import { prolongation } from "./prolongation/prolongation.ts";
import { reluCounterexample } from "./relu_counterexample.ts";
import { roughness } from "./roughness/roughness.ts";
import { scalingRegimes } from "./scaling_regimes/scaling_regimes.ts";
import { singleTraining } from "./single_training/single_training.ts";
import { workPrecision } from "./work_precision/work_precision.ts";

/** Every experiment that `deeplimit run` knows, in the order of `deeplimit list`. */
export const EXPERIMENTS: readonly Experiment<unknown>[] = [
  digits,
  largeDepth,
  limitDynamics,
  activationsAndInit,
  cifar,
  conformance,
  scalingRegimes,
  meanField,
  workPrecision,
  singleTraining,
  prolongation,
  generalization,
  depthPenalty,
  reluCounterexample,
  roughness,
  clipping,
  optimizers,
  longTime,
  plCondition,
  doubleLimit,
];
