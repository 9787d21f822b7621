import { OPTIMISERS } from "../../config/flow.ts";
import { BOSH3, RK4 } from "../../ode/tableaus.ts";
import { type DensePlan, planDense } from "../../plan/dense.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import { layerSums, REDUCE_GROUPS, vectorGrid } from "../../plan/grids.ts";
import {
  combineWork,
  depthMeanWork,
  depthPenaltyWork,
  gradientWork,
  normScaleWork,
  stageErrorWork,
  updateWork,
} from "../../plan/work.ts";
import { depthMean, neighbourDifference } from "../../reference/depth_penalty.ts";
import {
  errorSquare,
  gradientNumber,
  normScale,
  type PartialGradients,
  type Stages,
  stageSum,
  updateDirections,
} from "../../reference/flow.ts";
import { optimiserState, optimiserStep } from "../../reference/optimisers.ts";
import { sizedSum } from "../../reference/sums.ts";
import { at, EPSILON, type KernelRow, normal, paperShape, type RowSizes, sample } from "./row.ts";

/** What the flow passes for no clipping. */
const NO_CLIP = 3.4e38;
const RATE = 0.01;

/** The layers' numbers of a stack, as the flow works on them. */
interface Numbers {
  readonly plan: DensePlan;
  readonly profile: DeviceProfile;
  readonly depth: number;
  readonly layer: number;
  readonly count: number;
  readonly text: string;
}

export function flowRows(profile: DeviceProfile, { stackDepth: depth, rows }: RowSizes): KernelRow[] {
  const plan = planDense(paperShape(depth), profile, { rows, training: true });
  const layer = plan.layerFloats;
  const count = depth * layer;
  const numbers: Numbers = { plan, profile, depth, layer, count, text: `${count} numbers, L ${depth}` };
  return [
    updateRow(numbers, "descent", plan.partialGroups),
    // Clipping by norm and Runge–Kutta methods sum the groups first.
    ...(plan.partialGroups > 1 ? [updateRow(numbers, "descent", 1)] : []),
    updateRow(numbers, "momentum", 1),
    updateRow(numbers, "adam", 1),
    gradientRow(numbers),
    normScaleRow(numbers),
    depthPenaltyRow(numbers),
    depthMeanRow(numbers),
    combineRow(numbers),
    stageErrorRow(numbers),
  ];
}

function updateRow(numbers: Numbers, optimiser: (typeof OPTIMISERS)[number], groups: number): KernelRow {
  const { plan, profile, depth, layer, count, text } = numbers;
  return {
    kernel: "flow/update",
    shape: `${text}, ${groups} partial gradients`,
    work: updateWork({ numbers: count, initial: layer, groups, optimiser }),
    prepare: () => {
      const settings = { optimiser, momentum: 0.9, weightDecay: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
      const decay = optimiser === "descent" ? 0 : settings.weightDecay;
      const gradients: PartialGradients = {
        partials: normal("partials", groups * count),
        groups,
        count,
        unit: plan.unitFloats,
        scales: { w: plan.scales.outer * plan.scales.inner, v: plan.scales.outer },
      };
      const initial = normal("initial", layer);
      const change = normal("change", count, 0.1);
      const weights = Float32Array.from(change, (value, i) => initial[i % layer]! + value);
      const moments = { descent: 0, momentum: 1, adam: 2, adamw: 2 }[optimiser];
      const moment1 = moments > 0 ? normal("moment1", count, 0.1) : new Float32Array(4);
      const moment2 = moments > 1 ? normal("moment2", count, 0.1).map((x) => 0.01 + x * x) : new Float32Array(4);
      const step = 9;
      return {
        variant: optimiser,
        constants: {
          OPTIMISER: OPTIMISERS.indexOf(optimiser),
          CLIP_NORM: false,
          TIED: true,
          LAYER4: layer / 4,
          HALF4: plan.widthPadded / 4,
        },
        tensors: {
          partials: gradients.partials as Float32Array<ArrayBuffer>,
          initial,
          norm_scale: 4,
          replicas: 4,
          change,
          weights,
          moment1,
          moment2,
        },
        params: {
          count4: count / 4,
          groups,
          first_replica: 0,
          scale_w: gradients.scales.w,
          scale_v: gradients.scales.v,
          factor: depth,
          clip: NO_CLIP,
          rate: RATE,
          decay,
          momentum: settings.momentum,
          beta1: settings.beta1,
          beta2: settings.beta2,
          epsilon: settings.epsilon,
          correction1: 1 / (1 - settings.beta1 ** (step + 1)),
          correction2: 1 / (1 - settings.beta2 ** (step + 1)),
        },
        grid: vectorGrid(count, profile),
        expected: () => {
          const state = optimiserState(count);
          state.step = step;
          if (moments > 0) state.moment1.set(moment1);
          if (moments > 1) state.moment2.set(moment2);
          const truth = Float64Array.from(weights);
          const directions = updateDirections(gradients, { factor: depth, clip: Number.POSITIVE_INFINITY, layer });
          optimiserStep(settings, state, truth, directions, RATE);
          // `groups` + 8 roundings of numbers of the size of the step, one of the weights', and one of the change; weights
          // were rounded once before. 10: as in the kernel's test, with moments that are no smaller than 0.1.
          const largest = directions.reduce((most, u) => Math.max(most, Math.abs(u)), 0);
          const bound = 10 * EPSILON * (groups + 8) * RATE * Math.max(largest, 1);
          return [
            {
              output: "change",
              values: truth.map((value, i) => value - initial[i % layer]!),
              tolerance: truth.map((value) => bound + 2 * EPSILON * (Math.abs(value) + 1)),
            },
            {
              output: "weights",
              values: truth,
              tolerance: truth.map((value) => bound + 3 * EPSILON * (Math.abs(value) + 1)),
            },
          ];
        },
      };
    },
  };
}

function gradientRow({ plan, profile, count, text }: Numbers): KernelRow {
  const groups = plan.partialGroups;
  return {
    kernel: "flow/gradient",
    shape: `${text}, ${groups} partial gradients`,
    work: gradientWork(count, groups),
    prepare: () => {
      const scales = { w: plan.scales.outer * plan.scales.inner, v: plan.scales.outer };
      const partials = normal("partials", groups * count);
      return {
        variant: "",
        constants: {},
        tensors: { partials, replicas: 4, grad: count },
        params: {
          count4: count / 4,
          groups,
          layer4: plan.layerFloats / 4,
          unit4: plan.unitFloats / 4,
          half4: plan.unitFloats / 8,
          scale_w: scales.w,
          scale_v: scales.v,
          first_replica: 0,
        },
        grid: vectorGrid(count, profile),
        expected: () => {
          const compared = sample(count);
          const sums = Array.from(compared, (i) =>
            gradientNumber({ partials, groups, count, unit: plan.unitFloats, scales }, i),
          );
          return [
            {
              output: "grad",
              take: at(compared),
              values: sums.map(({ value }) => value),
              // The scale itself is rounded once.
              tolerance: sums.map(({ size }) => (groups + 2) * EPSILON * size),
            },
          ];
        },
      };
    },
  };
}

function normScaleRow({ profile, depth, layer, count, text }: Numbers): KernelRow {
  return {
    kernel: "flow/norm_scale",
    shape: text,
    work: normScaleWork(depth, layer),
    prepare: () => {
      const gradient = normal("gradient", count);
      const { lanes, grid } = layerSums(depth, layer / 4, profile);
      // Half of the layers are inside the ball.
      const bound = depth * Math.sqrt(layer);
      return {
        variant: `LANES ${lanes}`,
        constants: { LANES: lanes },
        tensors: { gradient, y: depth },
        params: { layers: depth, layer4: layer / 4, at: 0, factor: depth, bound },
        grid,
        expected: () => [
          {
            output: "y",
            take: (y) => y.subarray(0, depth),
            values: Array.from({ length: depth }, (_, k) => normScale(gradient, k, layer, depth, bound)),
            // A sum of squares over the invocations and their sum, half of it under the root; quotient and factor.
            tolerance: EPSILON * ((layer / 4 / lanes + lanes) / 2 + 12),
          },
        ],
      };
    },
  };
}

function depthPenaltyRow({ plan, profile, depth, layer, count, text }: Numbers): KernelRow {
  return {
    kernel: "flow/depth_penalty",
    shape: text,
    work: depthPenaltyWork(count),
    prepare: () => {
      const change = normal("change", count);
      const grad = normal("gradient", count);
      const [squaresW, squaresV] = [4, 9];
      const weight = 0.1;
      return {
        variant: "norm",
        constants: { TIED: true, LAYER4: layer / 4, HALF4: plan.widthPadded / 4 },
        tensors: {
          initial: 4,
          change,
          norms: Float32Array.from({ length: 12 }, (_, i) => ({ 8: squaresW, 9: squaresV })[i] ?? 0),
          grad,
        },
        params: { count4: count / 4, weight_w: weight, weight_v: weight },
        grid: vectorGrid(count, profile),
        expected: () => {
          const compared = sample(count);
          const sums = Array.from(compared, (i) => {
            const isW = i % (2 * plan.widthPadded) < plan.widthPadded;
            return neighbourDifference(change, depth, weight / Math.sqrt(isW ? squaresW : squaresV), i);
          });
          return [
            {
              output: "grad",
              take: at(compared),
              values: sums.map(({ value }, j) => grad[compared[j]!]! + value),
              // Two differences and their sum, the factor, its product and the sum with the gradient.
              tolerance: sums.map(({ size }, j) => 8 * EPSILON * (size + Math.abs(grad[compared[j]!]!))),
            },
          ];
        },
      };
    },
  };
}

function depthMeanRow({ profile, depth, layer, count, text }: Numbers): KernelRow {
  return {
    kernel: "flow/depth_mean",
    shape: text,
    work: depthMeanWork(count),
    prepare: () => {
      const grad = normal("gradient", count);
      return {
        variant: "",
        constants: {},
        tensors: { grad },
        params: { depth, stride4: layer / 4 },
        grid: vectorGrid(layer, profile),
        expected: () => {
          const compared = sample(count);
          const sums = Array.from(compared, (i) => depthMean(grad, depth, i));
          return [
            {
              output: "grad",
              take: at(compared),
              values: sums.map(({ value }) => value),
              tolerance: sums.map(({ size }) => (depth + 2) * EPSILON * size),
            },
          ];
        },
      };
    },
  };
}

/** Gradients of the stages of a Runge–Kutta method and the state they start from. */
function stageData({ depth, layer, count }: Numbers, stages: number) {
  const set: Stages = {
    gradients: normal("stages", stages * count, 1e-3),
    stride: count,
    layer,
    layers: depth,
    factor: depth,
    clip: Number.POSITIVE_INFINITY,
  };
  const params = {
    count4: count / 4,
    stride4: count / 4,
    layer4: layer / 4,
    layers: depth,
    stages,
    factor: depth,
    clip: NO_CLIP,
  };
  const coefficientParams = (letter: "c" | "d", coefficients: readonly number[]) =>
    Object.fromEntries(Array.from({ length: 7 }, (_, s) => [`${letter}${s}`, coefficients[s] ?? 0]));
  return {
    set,
    gradients: set.gradients as Float32Array<ArrayBuffer>,
    base: normal("base", count, 0.1),
    params,
    coefficientParams,
  };
}

function combineRow(numbers: Numbers): KernelRow {
  const { profile, layer, count, text } = numbers;
  const stages = RK4.b.length;
  return {
    kernel: "flow/combine",
    shape: `${text}, ${stages} stages`,
    work: combineWork(count, layer, stages),
    prepare: () => {
      const { set, gradients, base, params, coefficientParams } = stageData(numbers, stages);
      const coefficients = RK4.b.map((b) => b * RATE);
      const initial = normal("initial", layer);
      return {
        variant: "Runge–Kutta 4",
        constants: { CLIP_NORM: false },
        tensors: { base, gradients, norm_scale: 4, initial, change: count, weights: count },
        params: { ...params, initial4: layer / 4, ...coefficientParams("c", coefficients) },
        grid: vectorGrid(count, profile),
        expected: () => {
          const compared = sample(count);
          const sums = Array.from(compared, (i) => {
            const { value, size } = stageSum(set, coefficients, i);
            return { value: base[i]! + value, size: Math.abs(base[i]!) + size };
          });
          const relative = EPSILON * (stages + 5);
          return [
            {
              output: "change",
              take: at(compared),
              values: sums.map(({ value }) => value),
              tolerance: sums.map(({ size }) => relative * size),
            },
            {
              output: "weights",
              take: at(compared),
              values: sums.map(({ value }, n) => initial[compared[n]! % layer]! + value),
              tolerance: sums.map(
                ({ value, size }, n) => relative * size + EPSILON * Math.abs(initial[compared[n]! % layer]! + value),
              ),
            },
          ];
        },
      };
    },
  };
}

function stageErrorRow(numbers: Numbers): KernelRow {
  const { count, text } = numbers;
  const stages = BOSH3.error!.length;
  return {
    kernel: "flow/stage_error",
    shape: `${text}, ${stages} stages`,
    work: stageErrorWork(count, stages),
    prepare: () => {
      const { set, gradients, base, params, coefficientParams } = stageData(numbers, stages);
      const coefficients = BOSH3.error!.map((e) => e * RATE);
      const change = normal("change", count, 0.1);
      const [atol, rtol] = [1e-6, 1e-3];
      return {
        variant: "Bogacki–Shampine",
        constants: { CLIP_NORM: false },
        tensors: { base, change, gradients, norm_scale: 4, partial: 2 * REDUCE_GROUPS },
        params: { ...params, at: 0, atol, rtol, ...coefficientParams("d", coefficients) },
        grid: [REDUCE_GROUPS],
        expected: () => {
          let value = 0;
          let size = 0;
          for (let i = 0; i < count; i++) {
            const square = errorSquare(stageSum(set, coefficients, i), base[i]!, change[i]!, atol, rtol);
            value += square.value;
            size += square.size;
          }
          // Twice the roundings of a number's error, its square, and the sums over a stride, a workgroup and the groups.
          const trips = Math.ceil(count / 4 / 32 / REDUCE_GROUPS);
          return [
            {
              output: "partial",
              take: (partial) => [sizedSum(REDUCE_GROUPS, (g) => partial[2 * g]!).value],
              values: [value],
              tolerance: EPSILON * (60 + trips) * size,
            },
          ];
        },
      };
    },
  };
}
