import { ACTIVATIONS, type DenseShape } from "../../config/dense.ts";
import { packLayers, unpackLayers } from "../../model/dense_stack.ts";
import { initialWeights } from "../../model/initialisation.ts";
import { RK4 } from "../../ode/tableaus.ts";
import { inverseMass, stageBasis } from "../../plan/basis.ts";
import { type DenseLayout, type DensePlan, type KernelPlan, planDense } from "../../plan/dense.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import { vectorGrid } from "../../plan/grids.ts";
import type { KernelName } from "../../plan/kernel_name.ts";
import {
  type MatmulPlace,
  type MatmulPlan,
  type MatmulVariant,
  matmulDispatch,
  offersMatmul,
  planMatmul,
} from "../../plan/matmul.ts";
import { blendNumbers, forwardStages, packBlend, transposed } from "../../plan/stages.ts";
import {
  blendWork,
  denseAdjointWork,
  denseBackwardWork,
  denseForwardWork,
  denseGradientWork,
  matmulWork,
  stageWork,
  type Work,
} from "../../plan/work.ts";
import { activation, activationDerivative } from "../../reference/activations.ts";
import { denseAdjoint, denseForward } from "../../reference/dense.ts";
import { blendNumber, stageNumber } from "../../reference/layers.ts";
import { productElement } from "../../reference/sums.ts";
import {
  at,
  constantsText,
  EPSILON,
  type Expectation,
  type KernelCase,
  type KernelRow,
  normal,
  paperShape,
  type RowSizes,
  sample,
} from "./row.ts";

export function denseRows(profile: DeviceProfile, sizes: RowSizes): KernelRow[] {
  return [
    ...sizes.depths.flatMap((depth) => sweepRows("rows", paperShape(depth), sizes.rows, profile)),
    ...sizes.tileDepths.flatMap((depth) => sweepRows("tile", paperShape(depth), sizes.rows, profile)),
    ...blendRows(sizes.stackDepth, sizes.rows, profile),
    embeddingRow(sizes.rows, profile),
    ...sizes.wide.flatMap(({ width, rows }) => [
      ...layerProducts(width, rows, profile),
      stageRow(width, rows, profile),
    ]),
    ...sizes.products.flatMap(({ width, rows, variants }) => {
      const planned = widePlan(width, rows, profile).products!.hidden.variant;
      return variants
        .filter((variant) => variant !== planned && offersMatmul(variant, profile))
        .flatMap((variant) => layerProducts(width, rows, profile, variant));
    }),
  ];
}

// ------------------------------------------------------------------------------------------------------------ sweeps

/** Random weights, independent over depth, and what float64 makes of them: states from h_0, adjoints back from p_L. */
class SweepProblem {
  readonly shape: DenseShape;
  readonly rows: number;
  readonly W: Float32Array<ArrayBuffer>;
  readonly V: Float32Array<ArrayBuffer>;
  /** p_L [n,q]. */
  readonly last: Float32Array<ArrayBuffer>;
  /** h_0 … h_L, [L+1,n,q]: float64 states, and their float32, which the kernels that read states get. */
  readonly states: Float64Array;
  readonly states32: Float32Array<ArrayBuffer>;
  #backward: ReturnType<typeof denseAdjoint> | undefined;

  constructor(shape: DenseShape, rows: number) {
    const { width } = shape;
    this.shape = shape;
    this.rows = rows;
    const { W, V } = initialWeights({ shape, seed: 0, initialisation: "iid", outputScale: 1 });
    this.W = W;
    this.V = V;
    this.last = normal("p_L", rows * width);
    const identity = Float64Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? 1 : 0));
    const { states } = denseForward(
      { ...shape, inputs: width, outputs: width },
      { A: identity, V: Float64Array.from(V), W: Float64Array.from(W), B: identity },
      normal("h_0", rows * width),
      rows,
    );
    this.states = states;
    this.states32 = Float32Array.from(states);
  }

  get backward() {
    const { shape, rows } = this;
    this.#backward ??= denseAdjoint(
      shape,
      { V: Float64Array.from(this.V), W: Float64Array.from(this.W) },
      Float64Array.from(this.states32),
      this.last,
      rows,
    );
    return this.#backward;
  }

  /** [count,n,q] → slots of the device. */
  slots(plan: DensePlan, values: ArrayLike<number>, count: number): Float32Array<ArrayBuffer> {
    const { width } = this.shape;
    const out = new Float32Array(count * plan.slotFloats);
    for (let k = 0; k < count; k++)
      for (let r = 0; r < this.rows; r++)
        for (let i = 0; i < width; i++)
          out[k * plan.slotFloats + r * plan.widthPadded + i] = values[(k * this.rows + r) * width + i]!;
    return out;
  }

  /** `count` slots of the device from slot `first` on → [count,n,q]. */
  fromSlots(plan: DensePlan, values: Float32Array, first: number, count: number): Float32Array {
    const { width } = this.shape;
    const out = new Float32Array(count * this.rows * width);
    for (let k = 0; k < count; k++)
      for (let r = 0; r < this.rows; r++)
        for (let i = 0; i < width; i++)
          out[(k * this.rows + r) * width + i] = values[(first + k) * plan.slotFloats + r * plan.widthPadded + i]!;
    return out;
  }
}

type SweepRole = "forward" | "adjoint" | "gradient";

function sweepRows(
  layout: Exclude<DenseLayout, "matmul">,
  shape: DenseShape,
  rows: number,
  profile: DeviceProfile,
): KernelRow[] {
  const { width, hidden, depth } = shape;
  let problem: SweepProblem | undefined;
  const row = (kernel: KernelName, role: SweepRole, work: Work): KernelRow => ({
    kernel,
    shape: `q ${width}, m ${hidden}, n ${rows}, L ${depth}`,
    work,
    // The gradients of all layers are made side by side.
    ...(role !== "gradient" && { layers: depth }),
    prepare: () => {
      problem ??= new SweepProblem(shape, rows);
      // No time limit: the row states the depth of one dispatch.
      const plan = planDense(shape, profile, { rows, training: true, layout, nanosecondsPerLayer: 1 });
      if (plan.segments.length > 1)
        throw new Error(`${depth} layers need ${plan.segments.length} dispatches on this device`);
      const kernelPlan = plan.kernels[role]!;
      const tensorsOf = { forward: forwardCase, adjoint: adjointCase, gradient: gradientCase }[role];
      return { ...variantOf(shape, kernelPlan), grid: kernelPlan.grid, ...tensorsOf(plan, problem) };
    },
  });
  if (layout === "rows")
    return [
      row("dense/rows_forward", "forward", denseForwardWork(shape, rows, depth, true)),
      row("dense/rows_adjoint", "adjoint", denseBackwardWork(shape, rows, depth)),
    ];
  return [
    row("dense/tile_forward", "forward", denseForwardWork(shape, rows, depth, true)),
    row("dense/tile_adjoint", "adjoint", denseAdjointWork(shape, rows, depth, true)),
    row("dense/tile_gradient", "gradient", denseGradientWork(shape, rows, depth)),
  ];
}

function variantOf({ activation: name }: DenseShape, { constants }: KernelPlan) {
  const tuned = Object.keys(constants).filter((key) => key !== "WIDTH" && key !== "HIDDEN");
  return {
    variant: `${name}, ${constantsText(constants, tuned)}`,
    constants: { ...constants, ACTIVATION: ACTIVATIONS.indexOf(name) },
  };
}

type SweepCase = Pick<KernelCase, "tensors" | "params" | "expected">;

function forwardCase(plan: DensePlan, problem: SweepProblem): SweepCase {
  const { shape, states, states32, rows } = problem;
  const { depth } = shape;
  const start = problem.slots(plan, states32, 1);
  const all = new Float32Array((depth + 1) * plan.slotFloats);
  all.set(start);
  return {
    tensors: { weights: packed(plan, problem), scales: scalesOf(plan), states: all, state_low: plan.slotFloats },
    params: { layer_count: depth, replicas: 1, slot_step: 1, slot4: plan.slotFloats / 4, inner: plan.scales.inner },
    expected: () => [
      {
        output: "states",
        take: (x) => problem.fromSlots(plan, x, 1, depth),
        values: states.subarray(rows * shape.width),
        tolerance: sweepTolerance(states, shape.width + shape.hidden),
      },
    ],
  };
}

function adjointCase(plan: DensePlan, problem: SweepProblem): SweepCase {
  const { shape, rows } = problem;
  const { depth, width, hidden } = shape;
  const { inner } = plan.scales;
  const state = rows * width;
  const fused = plan.kernels.gradient === undefined;
  const partials = plan.partialGroups * depth * plan.layerFloats;
  return {
    tensors: {
      weights: packed(plan, problem),
      scales: scalesOf(plan),
      states: problem.slots(plan, problem.states32, depth + 1),
      adjoint: problem.slots(plan, problem.last, 1),
      adjoint_low: plan.slotFloats,
      ...(fused ? { partials } : { adjoints: depth * plan.slotFloats }),
    },
    params: { layer_count: depth, replicas: 1, slot4: plan.slotFloats / 4, inner },
    expected: () => {
      const { adjoints } = problem.backward;
      const tolerance = sweepTolerance(adjoints, width + hidden);
      return [
        {
          output: "adjoint",
          take: (x) => problem.fromSlots(plan, x, 0, 1),
          values: adjoints.subarray(0, state),
          tolerance,
        },
        ...(fused
          ? gradientExpectations(plan, problem)
          : [
              {
                output: "adjoints",
                take: (x: Float32Array) => problem.fromSlots(plan, x, 0, depth),
                values: adjoints.subarray(state),
                tolerance,
              },
            ]),
      ];
    },
  };
}

function gradientCase(plan: DensePlan, problem: SweepProblem): SweepCase {
  const { shape, rows } = problem;
  const { depth, width } = shape;
  return {
    tensors: {
      weights: packed(plan, problem),
      states: problem.slots(plan, problem.states32, depth + 1),
      adjoints: problem.slots(plan, problem.backward.adjoints.subarray(rows * width), depth),
      partials: depth * plan.layerFloats,
    },
    params: {
      layer_count: depth,
      replicas: 1,
      slot4: plan.slotFloats / 4,
      rows: plan.rowsPadded,
      inner: plan.scales.inner,
    },
    expected: () => gradientExpectations(plan, problem),
  };
}

/** Σ over the groups of `partials` is dW / (outer · inner) and dV / outer. */
function gradientExpectations(plan: DensePlan, problem: SweepProblem): Expectation[] {
  const { shape, rows } = problem;
  const { depth, width, hidden } = shape;
  const { outer, inner } = plan.scales;
  const { dW, dV } = problem.backward;
  const length = depth * plan.layerFloats;
  const gradients = (x: Float32Array) => {
    const sum = new Float32Array(length);
    for (let i = 0; i < x.length; i++) sum[i % length] += x[i]!;
    return unpackLayers(shape, depth, plan.widthPadded, sum);
  };
  const expectation = (family: "W" | "V", gradient: Float64Array, scale: number): Expectation => {
    const values = gradient.map((value) => value / scale);
    return {
      output: "partials",
      take: (x) => gradients(x)[family],
      values,
      tolerance: sweepTolerance(values, width + hidden + rows),
    };
  };
  return [expectation("W", dW, outer * inner), expectation("V", dV, outer)];
}

/** (outer · inner, outer) of the one stack. */
function scalesOf({ scales: { outer, inner } }: DensePlan) {
  return Float32Array.of(outer * inner, outer);
}

function packed(plan: DensePlan, { shape, W, V }: SweepProblem) {
  return packLayers(shape, shape.depth, plan.widthPadded, W, V);
}

/**
 * Sums of so many products a layer, of which rounding enters each layer once; 8 covers the chain of operations of a layer
 * (the bound of the tests of whole steps). Relative to the largest number.
 */
function sweepTolerance(values: Float64Array, products: number): number {
  return 8 * EPSILON * products * values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}

// ------------------------------------------------------------------------------------------------------ neural ODEs

/** Weights of RK4's stages from knots, the gradients of the stages back, and these in L²: as many stages as the stack has layers. */
function blendRows(stackDepth: number, rows: number, profile: DeviceProfile): KernelRow[] {
  const steps = Math.ceil(stackDepth / 4);
  const basis = { kind: "linear", count: steps + 1 } as const;
  const stages = steps * RK4.b.length;
  const toStages = stageBasis(basis, steps, RK4.c);
  const plan = planDense(paperShape(stages), profile, { rows, training: true });
  const size = plan.layerFloats;
  const row = (what: string, matrix: Float64Array, blended: number, groups: number): KernelRow => {
    const columns = matrix.length / blended;
    const nonzeros = matrix.reduce((count, value) => count + (value === 0 ? 0 : 1), 0);
    return {
      kernel: "dense/blend",
      shape: `${what}: ${columns} → ${blended} of ${size} numbers, ${groups} partial gradients`,
      work: blendWork({ rows: blended, columns, nonzeros }, groups, size),
      prepare: () => {
        const matrix32 = Float32Array.from(matrix);
        const layers = normal("layers", groups * columns * size);
        return {
          variant: "",
          constants: {},
          tensors: { ...packBlend(matrix32, blended, columns), x: layers, y: blended * size },
          params: {
            ...{ rows: blended, first_row: 0, columns, first_column: 0, stride: columns },
            ...{ groups, layer4: size / 4, add: 0 },
          },
          grid: vectorGrid(blendNumbers(blended, size), profile),
          expected: () => {
            const compared = sample(blended * size);
            const sums = Array.from(compared, (i) =>
              blendNumber({ matrix: matrix32, columns, layers, groups, size }, Math.floor(i / size), i % size),
            );
            return [
              {
                output: "y",
                take: at(compared),
                values: sums.map(({ value }) => value),
                tolerance: sums.map((sum) => EPSILON * sum.size * (columns + groups + 2)),
              },
            ];
          },
        };
      },
    };
  };
  return [
    row("knots → stages", toStages, stages, 1),
    row("stages → knots", transposed(toStages, stages, basis.count), basis.count, plan.partialGroups),
    row("knots in L²", inverseMass(basis), basis.count, 1),
  ];
}

/** The end of a step of RK4 in the matmul layout. */
function stageRow(width: number, rows: number, profile: DeviceProfile): KernelRow {
  const { slotFloats, widthPadded } = widePlan(width, rows, profile);
  const count = rows * widthPadded;
  const { STAGES, COMBINE } = forwardStages({ steps: 1, a: RK4.a, b: RK4.b });
  return {
    kernel: "dense/stage",
    shape: `n ${rows}, q ${width}, ${STAGES} slopes`,
    work: stageWork(count, STAGES),
    prepare: () => {
      const slopes = normal("slopes", STAGES * slotFloats, 0.01);
      const base = normal("base", count);
      return {
        variant: "",
        constants: {},
        tensors: { coefficients: Float32Array.from(COMBINE), slopes, base, low: count, y: count },
        params: {
          ...{ count4: count / 4, slot4: slotFloats / 4, row: (STAGES - 1) * STAGES, first: 0, end: STAGES },
          ...{ y_at4: 0, complete: 1, share: 1, y_share: 1 },
        },
        grid: vectorGrid(count, profile),
        expected: () => {
          const compared = sample(count);
          const sums = Array.from(compared, (i) => stageNumber(base[i]!, RK4.b, slopes, slotFloats, i));
          const tolerance = sums.map((sum) => EPSILON * sum.size * (STAGES + 4));
          const values = sums.map(({ value }) => value);
          return ["y", "base"].map((output) => ({ output, take: at(compared), values, tolerance }));
        },
      };
    },
  };
}

// -------------------------------------------------------------------------------------------------- matrix products

type Epilogue = 0 | 1 | 2 | 3 | 4;
type Floats = Float32Array<ArrayBuffer>;

interface Product {
  /** What is computed, with the shapes. */
  readonly shape: string;
  readonly epilogue: Epilogue;
  readonly plan: MatmulPlan;
  readonly place: MatmulPlace;
  /** Operands, results before, and the second operand or result of the epilogue; drawn when the row runs. */
  data(): { a: Floats; b: Floats; y: Floats; second: Floats };
}

const EPILOGUES = ["store", "σ", "σ and σ'", "times a matrix", "added, compensated"] as const;
/** Errors of the shader's own GELU and of its derivative (shaders/common/activation.wgsl), |GELU'| and |GELU''| at most. */
const GELU = { error: 8e-7, derivativeError: 5e-7, slope: 1.13, curvature: 0.8 };

function embeddingRow(rows: number, profile: DeviceProfile): KernelRow {
  const { width, inputs } = paperShape(1);
  const sizes = { rows, columns: width, inner: inputs, aStride: inputs, bStride: inputs, yStride: width };
  return productRow({
    shape: `h_0 = X Aᵀ: n ${rows}, d ${inputs}, q ${width}`,
    epilogue: 0,
    plan: planMatmul({ ...sizes, bTransposed: true }, profile, "registers"),
    place: {},
    data: () => ({
      a: normal("X", rows * inputs),
      b: normal("A", width * inputs),
      y: new Float32Array(rows * width),
      second: new Float32Array(4),
    }),
  });
}

/** A stack of q = m in the matmul layout, so deep that a dispatch may take the gradients of several layers. */
function widePlan(width: number, rows: number, profile: DeviceProfile, variant?: MatmulVariant): DensePlan {
  const shape: DenseShape = { ...paperShape(64), inputs: width, width, hidden: width, outputs: width };
  const choice = { layout: "matmul", ...(variant !== undefined && { product: variant }) } as const;
  return planDense(shape, profile, { rows, training: true, choice });
}

/**
 * The kinds of product of a layer in the matmul layout (src/model/dense_pass.ts), one of each, by the kernel that the plan
 * chooses for it; or, with `variant`, the first of them by another kernel.
 */
function layerProducts(width: number, rows: number, profile: DeviceProfile, variant?: MatmulVariant): KernelRow[] {
  const plan = widePlan(width, rows, profile, variant);
  const { slotFloats, layerFloats, widthPadded } = plan;
  const { hidden, state, gradient, hiddenPadded, layers } = plan.products!;
  const { outer, inner } = plan.scales;
  const sizes = `n ${rows}, q ${width}, m ${width}`;
  const hiddenFloats = rows * hiddenPadded;
  const weights = () => normal("weights", layerFloats);
  const states = () => normal("states", slotFloats);
  const units = () => normal("hidden units", hiddenFloats);
  const none = () => new Float32Array(4);
  const first: Product = {
    shape: `σ(h Wᵀ): ${sizes}`,
    epilogue: 1,
    plan: hidden,
    place: { alpha: inner },
    data: () => ({ a: states(), b: weights(), y: new Float32Array(hiddenFloats), second: none() }),
  };
  if (variant !== undefined) return [productRow(first)];
  const others: Product[] = [
    {
      shape: `h + a Vᵀ: ${sizes}`,
      epilogue: 4,
      plan: state,
      place: { bAt: widthPadded, yAt: slotFloats, alpha: outer },
      data: () => ({
        a: units(),
        b: weights(),
        y: normal("two states", 2 * slotFloats),
        second: new Float32Array(slotFloats),
      }),
    },
    {
      shape: `σ, σ'(h Wᵀ): ${sizes}`,
      epilogue: 2,
      plan: hidden,
      place: { alpha: inner },
      data: () => ({ ...first.data(), second: new Float32Array(hiddenFloats) }),
    },
    {
      shape: `(p V) ∘ σ': ${sizes}`,
      epilogue: 3,
      plan: hidden,
      place: { bAt: widthPadded },
      data: () => ({ ...first.data(), second: units() }),
    },
    {
      shape: `gᵀ h: ${sizes}${layers > 1 ? `, ${layers} layers` : ""}`,
      epilogue: 0,
      plan: gradient,
      place: { layers, aLayer: hiddenFloats, bLayer: slotFloats, yLayer: layerFloats },
      data: () => ({
        a: normal("hidden units", layers * hiddenFloats),
        b: normal("states", layers * slotFloats),
        y: new Float32Array(layers * layerFloats),
        second: none(),
      }),
    },
  ];
  return [first, ...others].map(productRow);
}

function productRow(product: Product): KernelRow {
  const { epilogue, plan, place, shape } = product;
  const { rows, columns, inner } = plan.shape;
  const layers = place.layers ?? 1;
  const one = matmulWork(rows, columns, inner, epilogue);
  return {
    kernel: plan.kernel.name,
    shape,
    work: { flops: layers * one.flops, bytes: layers * one.bytes, sequential: one.sequential },
    prepare: () => {
      const data = product.data();
      return {
        variant: `${plan.variant}, ${EPILOGUES[epilogue]}`,
        constants: {
          ...plan.kernel.constants,
          EPILOGUE: epilogue,
          ...(epilogue !== 0 && { ACTIVATION: ACTIVATIONS.indexOf("gelu") }),
        },
        tensors: data,
        ...matmulDispatch(plan, { ...place, layers }),
        expected: () => productExpectations(product, data),
      };
    },
  };
}

function productExpectations(
  { epilogue, plan, place }: Product,
  { a, b, y, second }: ReturnType<Product["data"]>,
): Expectation[] {
  const { rows, columns, inner, aStride, bStride, yStride, aTransposed, bTransposed } = plan.shape;
  const { aAt = 0, bAt = 0, yAt = 0, fromAt = 0, aLayer = 0, bLayer = 0, yLayer = 0, layers = 1, alpha = 1 } = place;
  const strided = (data: Floats, at: number, stride: number, transposed: boolean | undefined) =>
    transposed ? { data, at, row: 1, column: stride } : { data, at, row: stride, column: 1 };
  const elements = sample(layers * rows * columns);
  const results = new Uint32Array(elements.length);
  const places = new Uint32Array(elements.length);
  const values = new Float64Array(elements.length);
  const tolerance = new Float64Array(elements.length);
  const derivatives = new Float64Array(elements.length);
  const derivativeTolerance = new Float64Array(elements.length);
  elements.forEach((e, n) => {
    const layer = Math.floor(e / (rows * columns));
    const [i, j] = [Math.floor(e / columns) % rows, e % columns];
    places[n] = i * yStride + j;
    results[n] = yAt + layer * yLayer + places[n]!;
    const left = strided(a, aAt + layer * aLayer, aStride, aTransposed);
    const right = strided(b, bAt + layer * bLayer, bStride, bTransposed);
    const sum = productElement(left, right, inner, i, j);
    const z = alpha * sum.value;
    // `inner` products and sums and one factor, each rounded once (Higham, Accuracy and Stability, 3.1).
    const error = Math.abs(alpha) * sum.size * EPSILON * (inner + 2);
    values[n] = z;
    tolerance[n] = error;
    if (epilogue === 1 || epilogue === 2) {
      values[n] = activation("gelu", z);
      tolerance[n] = GELU.slope * error + GELU.error;
      derivatives[n] = activationDerivative("gelu", z);
      derivativeTolerance[n] = GELU.curvature * error + GELU.derivativeError;
    } else if (epilogue === 3) {
      const factor = second[places[n]!]!;
      values[n] = z * factor;
      tolerance[n] = error * Math.abs(factor) + 2 * EPSILON * Math.abs(values[n]);
    } else if (epilogue === 4) {
      values[n] = y[fromAt + places[n]!]! + z;
      tolerance[n] = error + EPSILON * (2 * Math.abs(z) + 1.01 * Math.abs(values[n]));
    }
  });
  return [
    { output: "y", take: at(results), values, tolerance },
    ...(epilogue === 2
      ? [{ output: "second", take: at(places), values: derivatives, tolerance: derivativeTolerance }]
      : []),
  ];
}
