import { type DenseShape, denseScales } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import { type ChoiceOptions, paddedWidth, type ResolvedChoice, resolveChoice } from "./dense_choice.ts";
import type { DeviceProfile } from "./device_profile.ts";
import type { KernelName } from "./kernel_name.ts";
import { type MatmulPlan, type MatmulShape, type MatmulVariant, planMatmul } from "./matmul.ts";
import { ceilTo, gcd } from "./rounding.ts";
import { adjointStages, checkSolver, type DepthSolver, forwardStages } from "./stages.ts";
import type { DenseChoice } from "./tuning.ts";

export { paddedWidth } from "./dense_choice.ts";
export { ceilTo } from "./rounding.ts";

/** One kernel variant: the constants that specialise the shader and the grid computed from the same numbers. */
export interface KernelPlan {
  readonly name: KernelName;
  readonly constants: Readonly<Record<string, number | boolean | readonly number[]>>;
  readonly grid: readonly [number, number, number];
}

/**
 * `rows`: one invocation carries rows in registers, quads share weights; no barrier (CPU adapters).
 * `tile`: a workgroup carries rows in workgroup memory (GPUs, and adapters without subgroups).
 * `matmul`: a matrix product per layer, for widths that neither holds.
 */
export type DenseLayout = "rows" | "tile" | "matmul";

/** Consecutive layers walked by one dispatch. */
export interface Segment {
  readonly first: number;
  readonly count: number;
}

/** The products of the matmul layout; weight gradients are made for `layers` layers in one go. */
export interface DenseProducts {
  /** [n,q] · [q,m]: hidden units of a state, and of an adjoint. */
  readonly hidden: MatmulPlan;
  /** [n,m] · [m,q]: what hidden units add to a state or to an adjoint. */
  readonly state: MatmulPlan;
  /** [m,n] · [n,q]: a half of the weight gradients. */
  readonly gradient: MatmulPlan;
  readonly layers: number;
  /** Floats of a row of m hidden units. */
  readonly hiddenPadded: number;
}

export interface DensePlan {
  readonly shape: DenseShape;
  readonly layout: DenseLayout;
  /** The layout with its tile sizes. */
  readonly choice: ResolvedChoice;
  /** R, stacks side by side in every dispatch. */
  readonly replicas: number;
  /** n of a replica, and n rounded up to whole workgroups. */
  readonly rows: number;
  readonly rowsPadded: number;
  /** q rounded up as `paddedWidth` says. */
  readonly widthPadded: number;
  /** Floats of one hidden unit (W_j, V_·j), of one layer of all replicas, and of their stored state (a multiple of 64). */
  readonly unitFloats: number;
  readonly layerFloats: number;
  readonly slotFloats: number;
  /** Layers that the sweeps walk: the stack's, or the stages of all steps of a solver over depth. */
  readonly layers: number;
  /** Stages of a step of that solver, else 1. */
  readonly stages: number;
  readonly segments: readonly Segment[];
  /** `stored`: every state of the forward pass is kept; `recomputed`: every segment's first one. */
  readonly states: "stored" | "recomputed";
  /** Slots of the states tensor. */
  readonly slots: number;
  /** Partial weight gradients summed by the update: one for each workgroup of a replica's rows, or 1. */
  readonly partialGroups: number;
  readonly kernels: { readonly forward?: KernelPlan; readonly adjoint?: KernelPlan; readonly gradient?: KernelPlan };
  readonly products?: DenseProducts;
  readonly scales: { readonly outer: number; readonly inner: number };
  /** Device bytes of this pass by tensor (parameters are the stack's, see `stackBytes`). */
  readonly tensors: Readonly<Record<string, number>>;
  /** What a user should know: fall-backs and their reason. */
  readonly notes: readonly string[];
}

export interface DensePlanOptions extends ChoiceOptions {
  readonly rows: number;
  /** Stacks side by side, each with `rows` rows; default 1. */
  readonly replicas?: number;
  /** Without training only a forward pass is planned, and no state is stored. */
  readonly training: boolean;
  /** Bytes allowed for stored states. Default: the adapter's largest buffer. */
  readonly stateBytes?: number;
  /** Longest dispatch, in milliseconds; the time of a layer comes from `nanosecondsPerLayer` or is estimated. */
  readonly timeBudgetMs?: number;
  readonly nanosecondsPerLayer?: number;
  /** Instead of the device's tuning and the plan's own choice: only the layout, or also its tile sizes. */
  readonly layout?: DenseLayout;
  readonly choice?: DenseChoice;
  /** The stack's layers are weights of a neural ODE, solved so: `beta` and `depth` of the shape do not scale it. Default: the residual network. */
  readonly solver?: DepthSolver;
}

const PARTIAL_BYTES = 268_435_456;
/** Bytes of hidden units and adjoints that the matmul layout keeps, so that several layers' gradients are one dispatch. */
const BATCH_BYTES = 67_108_864;

/**
 * Shapes and limits → layout, segments, bytes. Pure.
 * @throws ConfigError when a tensor of one layer exceeds the adapter's largest binding, the solver does not fit, or replicas
 * are asked for where a layer is a matrix product.
 */
export function planDense(shape: DenseShape, profile: DeviceProfile, options: DensePlanOptions): DensePlan {
  const { hidden } = shape;
  const { rows, replicas = 1, training, solver } = options;
  if (solver) checkSolver(solver, shape.depth);
  const stages = solver?.b.length ?? 1;
  const layers = solver ? solver.steps * stages : shape.depth;
  const widthPadded = paddedWidth(shape.width, profile);
  const unitFloats = 2 * widthPadded;
  const layerFloats = replicas * hidden * unitFloats;
  const notes: string[] = [];

  const { choice, note } = resolveChoice(shape, profile, options);
  if (note !== undefined) notes.push(note);
  const { layout } = choice;
  if (replicas > 1 && layout === "matmul")
    throw new ConfigError(
      "replicas",
      `must be 1 where a layer is a matrix product (width ${shape.width}, hidden ${hidden}, rows ${rows})`,
      replicas,
    );
  const rowsPadded =
    choice.layout === "rows"
      ? ceilTo(rows, choice.workgroup * choice.rows)
      : choice.layout === "tile"
        ? ceilTo(rows, Math.max(choice.rows, choice.gradientRows))
        : rows;
  const partialGroups = choice.layout === "rows" ? rowsPadded / (choice.workgroup * choice.rows) : 1;
  const slotFloats = ceilTo(replicas * rowsPadded * widthPadded, 64);
  const hiddenPadded = ceilTo(hidden, 4);

  const layerBytes = 4 * layerFloats;
  const slotBytes = 4 * slotFloats;
  for (const [what, bytes] of [
    ["the weights of one layer", layerBytes],
    ["one layer's states", 2 * slotBytes],
    ["one layer's hidden units", layout === "matmul" ? 4 * rows * hiddenPadded : 0],
    ["the coefficients of the weights", solver?.blend ? shape.depth * layerBytes : 0],
  ] as const)
    if (bytes > profile.maxBindingBytes)
      throw new ConfigError(
        "model",
        `${what} (${bytes} bytes) exceed the adapter's largest binding, ${profile.maxBindingBytes} bytes`,
      );

  // Layers a dispatch may walk: by time, by what one binding holds, by the partial gradients.
  const nanoseconds = options.nanosecondsPerLayer ?? estimateLayer(shape, replicas * rowsPadded, profile);
  const byTime = Math.floor(((options.timeBudgetMs ?? 100) * 1e6) / nanoseconds);
  const byWeights = Math.floor(profile.maxBindingBytes / layerBytes);
  const byStates = Math.floor(profile.maxBindingBytes / slotBytes) - 1;
  const byPartials = Math.floor(Math.min(PARTIAL_BYTES, profile.maxBindingBytes) / (partialGroups * layerBytes));
  const offsets = profile.offsetAlignment / gcd(profile.offsetAlignment, layerBytes);
  // Segments begin where a binding may, and with the first stage of a step.
  const align = (offsets * stages) / gcd(offsets, stages);
  const aligned = (limit: number) =>
    limit >= layers ? layers : Math.min(layers, Math.max(align, Math.floor(limit / align) * align));
  let segmentLayers = aligned(Math.max(1, Math.min(byTime, byWeights, byStates, training ? byPartials : layers)));

  const stateBudget = Math.min(options.stateBytes ?? profile.maxBufferBytes, profile.maxBufferBytes);
  const stored = training && (layers + 1) * slotBytes <= stateBudget;
  if (training && !stored) {
    const bySlots = Math.floor(stateBudget / slotBytes) - 1;
    segmentLayers = aligned(
      Math.max(1, Math.min(segmentLayers, bySlots, ceilTo(Math.ceil(Math.sqrt(2 * layers)), align))),
    );
    notes.push(
      `states of ${layers + 1} layers do not fit ${stateBudget} bytes: every ${segmentLayers}th is stored, the others are recomputed`,
    );
  }
  const segments: Segment[] = [];
  for (let first = 0; first < layers; first += segmentLayers)
    segments.push({ first, count: Math.min(segmentLayers, layers - first) });
  const slots = training ? (stored ? layers + 1 : segmentLayers + 1) : 1;

  const kernels = fusedKernels(
    choice,
    shape,
    widthPadded,
    { rowsPadded, replicas, segmentLayers },
    profile,
    training,
    solver,
  );
  const products =
    choice.layout === "matmul"
      ? planProducts(shape, { layers, stages }, widthPadded, hiddenPadded, rows, slotBytes, profile, choice.product)
      : undefined;
  if (products && note === undefined && !options.layout && !options.choice)
    notes.push(
      profile.kind === "software" && !profile.subgroups
        ? "a software adapter without subgroups: matrix products of single layers, which need no barriers"
        : `width ${shape.width} and hidden ${hidden} exceed the depth-fused kernels: matrix products of single layers`,
    );

  const allRows = replicas * rows;
  const tensors: Record<string, number> = {
    input: 4 * allRows * shape.inputs,
    states: slots * slotBytes,
    stateLow: slotBytes,
    output: 4 * allRows * shape.outputs,
    gradOutput: 4 * allRows * shape.outputs,
    target: 4 * allRows * shape.outputs,
    rowLoss: 8 * allRows,
    scales: 8 * replicas,
  };
  if (training) {
    tensors.adjoint = slotBytes;
    tensors.adjointLow = slotBytes;
    tensors.partials = partialGroups * segmentLayers * layerBytes;
    if (layout === "tile") tensors.adjoints = segmentLayers * slotBytes;
    if (!stored) tensors.checkpoints = 2 * segments.length * slotBytes;
  }
  if (!stored) tensors.embedded = slotBytes;
  if (solver?.blend) {
    tensors.stageWeights = layers * layerBytes;
    if (training) tensors.blended = shape.depth * layerBytes;
    if (training && solver.blend.metric) tensors.direction = shape.depth * layerBytes;
  }
  if (products) {
    const hiddenBytes = 4 * rows * hiddenPadded;
    tensors.activated = (training ? products.layers : 1) * hiddenBytes;
    if (training) {
      tensors.derivative = hiddenBytes;
      tensors.unitAdjoint = products.layers * hiddenBytes;
      tensors.adjoints = (products.layers + 1) * slotBytes;
    }
    if (stages > 1) {
      tensors.slopes = stages * slotBytes;
      tensors.stepStart = slotBytes;
    }
  }
  return {
    shape,
    layout,
    choice,
    replicas,
    rows,
    rowsPadded,
    widthPadded,
    unitFloats,
    layerFloats,
    slotFloats,
    layers,
    stages,
    segments,
    states: stored ? "stored" : "recomputed",
    slots,
    partialGroups,
    kernels,
    ...(products && { products }),
    // A step of a solver is 1/N long.
    scales: denseScales(solver ? { ...shape, depth: solver.steps, beta: 1 } : shape),
    tensors,
    notes,
  };
}

/** Dispatches of one explicit Euler step; a bounded number that does not grow with depth unless segments or layers do. */
export function dispatchesPerStep(
  plan: DensePlan,
  trained: { readonly A: boolean; readonly Z: boolean; readonly B: boolean },
): number {
  const segments = plan.segments.length;
  const depth = plan.layers;
  const blended = plan.tensors.stageWeights !== undefined;
  const combined = plan.stages > 1 ? 1 : 0;
  const forward = plan.layout === "matmul" ? (2 + combined) * depth : segments;
  const again = plan.states === "recomputed" ? forward : 0;
  const adjoint = plan.products
    ? (3 + combined) * depth + (2 + combined) * batches(plan, plan.products)
    : plan.layout === "tile"
      ? 2 * segments
      : segments;
  // Output, loss, its sum and the adjoint's seed; embedding, gradient and update of A; gradient and update of B.
  const metric = plan.tensors.direction === undefined ? 0 : 1;
  const blends = blended ? segments + (trained.Z ? segments + metric : 0) : 0;
  const updates = trained.Z ? (blended ? 1 : segments) : 0;
  return 4 + blends + forward + again + adjoint + updates + (trained.A ? 3 : 0) + (trained.B ? 2 : 0);
}

function batches({ segments }: DensePlan, { layers }: DenseProducts): number {
  return segments.reduce((sum, { count }) => sum + Math.ceil(count / layers), 0);
}

/** Device bytes of the parameters of `replicas` stacks: weights in use, change from the initial value, and the initial value. */
export function stackBytes(
  shape: DenseShape,
  tied: boolean,
  profile: DeviceProfile,
  replicas = 1,
): Readonly<Record<string, number>> {
  const layerBytes = 4 * replicas * shape.hidden * 2 * paddedWidth(shape.width, profile);
  const ends = 4 * replicas * (ceilTo(shape.width * shape.inputs, 4) + ceilTo(shape.width * shape.outputs, 4));
  return {
    weights: shape.depth * layerBytes + ends,
    change: shape.depth * layerBytes + ends,
    initial: (tied ? layerBytes : shape.depth * layerBytes) + ends,
  };
}

function fusedKernels(
  choice: ResolvedChoice,
  { hidden }: DenseShape,
  widthPadded: number,
  { rowsPadded, replicas, segmentLayers }: { rowsPadded: number; replicas: number; segmentLayers: number },
  profile: DeviceProfile,
  training: boolean,
  solver: DepthSolver | undefined,
): DensePlan["kernels"] {
  if (choice.layout === "matmul") return {};
  const constants = {
    ...{ WIDTH: widthPadded, HIDDEN: hidden, ROWS: choice.rows, WORKGROUP: choice.workgroup },
  };
  const single = solver === undefined || solver.b.length === 1;
  const down = { ...constants, ...(!single && forwardStages(solver)) };
  const up = { ...constants, ...(!single && adjointStages(solver)) };
  if (choice.layout === "rows") {
    const grid = [rowsPadded / (choice.workgroup * choice.rows), replicas, 1] as const;
    return {
      forward: { name: "dense/rows_forward", constants: down, grid },
      ...(training && { adjoint: { name: "dense/rows_adjoint", constants: up, grid } }),
    };
  }
  const { gradientRows, gradientUnits } = choice;
  const grid = [rowsPadded / choice.rows, replicas, 1] as const;
  return {
    forward: { name: "dense/tile_forward", constants: down, grid },
    ...(training && {
      adjoint: { name: "dense/tile_adjoint", constants: up, grid },
      gradient: {
        name: "dense/tile_gradient",
        constants: { ...constants, ROWS: gradientRows, UNITS: gradientUnits },
        grid: [Math.ceil(hidden / gradientUnits), Math.min(segmentLayers, profile.maxGroupsPerDimension), replicas],
      },
    }),
  };
}

/** Gradients of one layer rarely fill a device: those of as many layers as do, within the memory kept for it, are one dispatch. */
function planProducts(
  { width, hidden }: DenseShape,
  walked: { readonly layers: number; readonly stages: number },
  widthPadded: number,
  hiddenPadded: number,
  rows: number,
  slotBytes: number,
  profile: DeviceProfile,
  variant: MatmulVariant | undefined,
): DenseProducts {
  const unitFloats = 2 * widthPadded;
  const hiddenBytes = 4 * rows * hiddenPadded;
  const tiles = Math.ceil(width / 64) * Math.ceil(hidden / 64);
  const wanted = Math.min(
    walked.layers,
    Math.ceil((8 * profile.parallelGroups) / tiles),
    Math.floor(BATCH_BYTES / (2 * hiddenBytes + slotBytes)),
  );
  // Whole steps, where a layer is a stage.
  const layers = Math.max(1, Math.floor(wanted / walked.stages)) * walked.stages;
  const plan = (shape: MatmulShape) => planMatmul(shape, profile, variant);
  return {
    hidden: plan({
      ...{ rows, columns: hidden, inner: width, bTransposed: true },
      ...{ aStride: widthPadded, bStride: unitFloats, yStride: hiddenPadded },
    }),
    state: plan({
      ...{ rows, columns: width, inner: hidden },
      ...{ aStride: hiddenPadded, bStride: unitFloats, yStride: widthPadded },
    }),
    gradient: plan({
      ...{ rows: hidden, columns: width, inner: rows, layers, aTransposed: true },
      ...{ aStride: hiddenPadded, bStride: widthPadded, yStride: unitFloats },
    }),
    layers,
    hiddenPadded,
  };
}

/** Nanoseconds of a layer in a training step, a guess, refined by measurement at start: flops at a modest rate plus the sequential latency of a layer. */
export function estimateLayer(shape: DenseShape, rowsPadded: number, profile: DeviceProfile): number {
  const flops = 10 * rowsPadded * paddedWidth(shape.width, profile) * shape.hidden;
  return profile.kind === "software" ? flops / (1.5 * profile.parallelGroups) : 2000 + flops / 1000;
}
