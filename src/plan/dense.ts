import { type DenseShape, denseScales } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import type { DeviceProfile } from "./device_profile.ts";
import type { KernelName } from "./kernel_name.ts";

/** One kernel variant: the constants that specialise the shader and the grid computed from the same numbers. */
export interface KernelPlan {
  readonly name: KernelName;
  readonly constants: Readonly<Record<string, number | boolean>>;
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

export interface DensePlan {
  readonly shape: DenseShape;
  readonly layout: DenseLayout;
  /** n, and n rounded up to whole workgroups. */
  readonly rows: number;
  readonly rowsPadded: number;
  /** q rounded up as `paddedWidth` says. */
  readonly widthPadded: number;
  /** Floats of one hidden unit (W_j, V_·j), of one layer, and of one stored state (a multiple of 64). */
  readonly unitFloats: number;
  readonly layerFloats: number;
  readonly slotFloats: number;
  readonly segments: readonly Segment[];
  /** `stored`: every state of the forward pass is kept; `recomputed`: every segment's first one. */
  readonly states: "stored" | "recomputed";
  /** Slots of the states tensor. */
  readonly slots: number;
  /** Partial weight gradients summed by the update: one for each quad of invocations (rows layout), or 1. */
  readonly partialGroups: number;
  readonly kernels: { readonly forward?: KernelPlan; readonly adjoint?: KernelPlan; readonly gradient?: KernelPlan };
  readonly scales: { readonly outer: number; readonly inner: number };
  /** Device bytes of this pass by tensor (parameters are the stack's, see `stackBytes`). */
  readonly tensors: Readonly<Record<string, number>>;
  /** What a user should know: fall-backs and their reason. */
  readonly notes: readonly string[];
}

export interface DensePlanOptions {
  readonly rows: number;
  /** Without training only a forward pass is planned, and no state is stored. */
  readonly training: boolean;
  /** Bytes allowed for stored states. Default: the adapter's largest buffer. */
  readonly stateBytes?: number;
  /** Longest dispatch, in milliseconds; the time of a layer comes from `nanosecondsPerLayer` or is estimated. */
  readonly timeBudgetMs?: number;
  readonly nanosecondsPerLayer?: number;
  readonly layout?: DenseLayout;
}

const PARTIAL_BYTES = 268_435_456;
/** The rows layout keeps coordinates in quads of chunks of four. */
const ROWS_WIDTH = 16;
const MAX_REGISTER_CHUNKS = 28; // ROWS · WIDTH/4 vec4 a lane; more costs seconds of compilation (SwiftShader, 2026-11)

/**
 * Shapes and limits → layout, segments, bytes. Pure.
 * @throws ConfigError when a tensor of one layer exceeds the adapter's largest binding.
 */
export function planDense(shape: DenseShape, profile: DeviceProfile, options: DensePlanOptions): DensePlan {
  const { depth, hidden } = shape;
  const { rows, training } = options;
  const widthPadded = paddedWidth(shape.width, profile);
  const unitFloats = 2 * widthPadded;
  const layerFloats = hidden * unitFloats;
  const notes: string[] = [];

  const layout = options.layout ?? chooseLayout(shape, profile, rows);
  if (
    layout === "rows" &&
    (!profile.subgroups || widthPadded % ROWS_WIDTH !== 0 || widthPadded / 4 > MAX_REGISTER_CHUNKS)
  )
    throw new ConfigError(
      "layout",
      `rows needs subgroups and a width padded to ${ROWS_WIDTH} of at most ${4 * MAX_REGISTER_CHUNKS}`,
    );
  const tile = layout === "rows" ? rowsTile(widthPadded, rows, profile) : undefined;
  const block = layout === "tile" ? workgroupTile(widthPadded, hidden, rows, profile) : undefined;
  const lanes = rowsWorkgroup(profile);
  const rowsPadded = tile
    ? ceilTo(rows, lanes * tile)
    : block
      ? ceilTo(rows, Math.max(block.rows, block.gradientRows))
      : rows;
  const groups = tile ? rowsPadded / (lanes * tile) : block ? rowsPadded / block.rows : 1;
  const partialGroups = tile ? rowsPadded / (4 * tile) : 1;
  const slotFloats = ceilTo(rowsPadded * widthPadded, 64);

  const layerBytes = 4 * layerFloats;
  const slotBytes = 4 * slotFloats;
  for (const [what, bytes] of [
    ["the weights of one layer", layerBytes],
    ["one layer's states", 2 * slotBytes],
  ] as const)
    if (bytes > profile.maxBindingBytes)
      throw new ConfigError(
        "model",
        `${what} (${bytes} bytes) exceed the adapter's largest binding, ${profile.maxBindingBytes} bytes`,
      );

  // Layers a dispatch may walk: by time, by what one binding holds, by the partial gradients.
  const nanoseconds = options.nanosecondsPerLayer ?? estimateLayer(shape, rowsPadded, profile);
  const byTime = Math.floor(((options.timeBudgetMs ?? 100) * 1e6) / nanoseconds);
  const byWeights = Math.floor(profile.maxBindingBytes / layerBytes);
  const byStates = Math.floor(profile.maxBindingBytes / slotBytes) - 1;
  const byPartials = Math.floor(Math.min(PARTIAL_BYTES, profile.maxBindingBytes) / (partialGroups * layerBytes));
  const align = profile.offsetAlignment / gcd(profile.offsetAlignment, layerBytes);
  const aligned = (limit: number) =>
    limit >= depth ? depth : Math.min(depth, Math.max(align, Math.floor(limit / align) * align));
  let segmentLayers = aligned(Math.max(1, Math.min(byTime, byWeights, byStates, training ? byPartials : depth)));

  const stateBudget = Math.min(options.stateBytes ?? profile.maxBufferBytes, profile.maxBufferBytes);
  const stored = training && (depth + 1) * slotBytes <= stateBudget;
  if (training && !stored) {
    const bySlots = Math.floor(stateBudget / slotBytes) - 1;
    segmentLayers = aligned(
      Math.max(1, Math.min(segmentLayers, bySlots, ceilTo(Math.ceil(Math.sqrt(2 * depth)), align))),
    );
    notes.push(
      `states of ${depth + 1} layers do not fit ${stateBudget} bytes: every ${segmentLayers}th is stored, the others are recomputed`,
    );
  }
  const segments: Segment[] = [];
  for (let first = 0; first < depth; first += segmentLayers)
    segments.push({ first, count: Math.min(segmentLayers, depth - first) });
  const slots = training ? (stored ? depth + 1 : segmentLayers + 1) : 1;

  const dense = { WIDTH: widthPadded, HIDDEN: hidden };
  let kernels: DensePlan["kernels"] = {};
  if (tile) {
    kernels = {
      forward: {
        name: "dense/rows_forward",
        constants: { ...dense, ROWS: tile, WORKGROUP: lanes },
        grid: [groups, 1, 1],
      },
      ...(training && {
        adjoint: {
          name: "dense/rows_adjoint",
          constants: { ...dense, ROWS: tile, WORKGROUP: lanes },
          grid: [groups, 1, 1],
        },
      }),
    };
  } else if (block) {
    const constants = { ...dense, ROWS: block.rows, WORKGROUP: block.workgroup };
    kernels = {
      forward: { name: "dense/tile_forward", constants, grid: [groups, 1, 1] },
      ...(training && {
        adjoint: { name: "dense/tile_adjoint", constants, grid: [groups, 1, 1] },
        gradient: {
          name: "dense/tile_gradient",
          constants: { ...dense, ROWS: block.gradientRows, UNITS: block.gradientUnits, WORKGROUP: block.workgroup },
          grid: [Math.ceil(hidden / block.gradientUnits), Math.min(segmentLayers, profile.maxGroupsPerDimension), 1],
        },
      }),
    };
  } else if (!options.layout) {
    notes.push(`width ${shape.width} and hidden ${hidden} exceed the depth-fused kernels: one matrix product a layer`);
  }

  const tensors: Record<string, number> = {
    input: 4 * rows * shape.inputs,
    states: slots * slotBytes,
    stateLow: slotBytes,
    output: 4 * rows * shape.outputs,
    gradOutput: 4 * rows * shape.outputs,
    target: 4 * rows * shape.outputs,
    rowLoss: 8 * rows,
  };
  if (training) {
    tensors.adjoint = slotBytes;
    tensors.adjointLow = slotBytes;
    tensors.partials = partialGroups * segmentLayers * layerBytes;
    if (layout === "tile") tensors.adjoints = segmentLayers * slotBytes;
    if (!stored) tensors.checkpoints = 2 * segments.length * slotBytes;
  }
  if (!stored) tensors.embedded = slotBytes;
  if (layout === "matmul") {
    tensors.activated = 4 * rows * hidden;
    tensors.derivative = 4 * rows * hidden;
    tensors.unitAdjoint = 4 * rows * hidden;
  }
  return {
    shape,
    layout,
    rows,
    rowsPadded,
    widthPadded,
    unitFloats,
    layerFloats,
    slotFloats,
    segments,
    states: stored ? "stored" : "recomputed",
    slots,
    partialGroups,
    kernels,
    scales: denseScales(shape),
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
  const { depth } = plan.shape;
  const forward = plan.layout === "matmul" ? 2 * depth : segments;
  const again = plan.states === "recomputed" ? forward : 0;
  const adjoint = plan.layout === "matmul" ? 5 * depth : plan.layout === "tile" ? 2 * segments : segments;
  // Output, loss, its sum and the adjoint's seed; embedding, gradient and update of A; gradient and update of B.
  return 4 + forward + again + adjoint + (trained.Z ? segments : 0) + (trained.A ? 3 : 0) + (trained.B ? 2 : 0);
}

/** Floats that hold one row of q coordinates: q rounded up to 16 where the rows layout is used, else to 4. */
export function paddedWidth(width: number, profile: DeviceProfile): number {
  const quads = ceilTo(width, ROWS_WIDTH);
  return usesRows(profile) && quads / 4 <= MAX_REGISTER_CHUNKS ? quads : ceilTo(width, 4);
}

function usesRows(profile: DeviceProfile): boolean {
  return profile.kind === "software" && profile.subgroups;
}

/** Device bytes of a stack's parameters: weights in use, change from the initial value, and the initial value. */
export function stackBytes(shape: DenseShape, tied: boolean, profile: DeviceProfile): Readonly<Record<string, number>> {
  const layerBytes = 4 * shape.hidden * 2 * paddedWidth(shape.width, profile);
  const ends = 4 * (ceilTo(shape.width * shape.inputs, 4) + ceilTo(shape.width * shape.outputs, 4));
  return {
    weights: shape.depth * layerBytes + ends,
    change: shape.depth * layerBytes + ends,
    initial: (tied ? layerBytes : shape.depth * layerBytes) + ends,
  };
}

function chooseLayout(shape: DenseShape, profile: DeviceProfile, rows: number): DenseLayout {
  const width = paddedWidth(shape.width, profile);
  if (usesRows(profile)) return width / 4 <= MAX_REGISTER_CHUNKS ? "rows" : "matmul";
  const fits = 4 * (2 * width + shape.hidden) <= profile.maxWorkgroupStorageBytes;
  // From 128 × 128 on, a layer's weights are worth more reuse than one workgroup's rows give.
  const wide = width * shape.hidden >= 16_384 && rows >= 64;
  return fits && !wide ? "tile" : "matmul";
}

/** Invocations of a workgroup in the rows layout: a subgroup, so that every lane of the processor's vectors has a row. */
function rowsWorkgroup(profile: DeviceProfile): number {
  return Math.min(16, Math.max(4, profile.subgroupSize));
}

/** Rows an invocation: the least (waves of workgroups) × (cost shared by a quad + cost of its rows). */
function rowsTile(width: number, rows: number, profile: DeviceProfile): number {
  const chunks = width / 4;
  // Nanoseconds of a hidden unit in a whole step, measured at WIDTH 16 on SwiftShader 5.0 (2026-11-23).
  const shared = 70 * width;
  const perRow = 16 * width;
  let best = 1;
  let bestCost = Number.POSITIVE_INFINITY;
  // LLVM compiles quadratically in the rows: 2.1 + 3.5 s at 4, 6.5 + 13 s at 7, for a third of the time of a step
  // (lavapipe 25.0.7, 2026-11-23). Mesa caches compiled kernels on disk.
  const most = profile.subgroupSize > 4 ? 4 : 7;
  for (let tile = 1; tile <= Math.max(1, Math.floor(MAX_REGISTER_CHUNKS / chunks)) && tile <= most; tile++) {
    const waves = Math.ceil(Math.ceil(rows / (rowsWorkgroup(profile) * tile)) / profile.parallelGroups);
    const cost = waves * (shared + tile * perRow);
    if (cost < bestCost) {
      best = tile;
      bestCost = cost;
    }
  }
  return best;
}

function workgroupTile(width: number, hidden: number, rows: number, profile: DeviceProfile) {
  const floats = Math.floor(profile.maxWorkgroupStorageBytes / 4);
  let tile = 1;
  while (tile < 16 && 2 * tile * profile.parallelGroups <= rows && 2 * tile * (2 * width + hidden) <= floats) tile *= 2;
  const workgroup = Math.min(profile.maxInvocations, Math.max(32, powerOfTwo(tile * Math.max(hidden, width / 4))));
  const gradientUnits = Math.max(1, Math.min(hidden, 64, Math.floor((8 * workgroup) / (width / 4))));
  let gradientRows = 8;
  while (gradientRows > 1 && gradientRows * (2 * width + 2 * gradientUnits) > floats) gradientRows /= 2;
  return { rows: tile, workgroup, gradientRows, gradientUnits };
}

/** A guess, refined by measurement at start: flops at a modest rate plus the sequential latency of a layer. */
function estimateLayer(shape: DenseShape, rowsPadded: number, profile: DeviceProfile): number {
  const flops = 10 * rowsPadded * paddedWidth(shape.width, profile) * shape.hidden;
  return profile.kind === "software" ? flops / (1.5 * profile.parallelGroups) : 2000 + flops / 1000;
}

export function ceilTo(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

function powerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}
