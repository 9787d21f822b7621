/** Matrix products: which kernel and tile, its grid and its parameters. Pure. */
import type { KernelPlan } from "./dense.ts";
import type { DeviceProfile } from "./device_profile.ts";
import { matmulGrid } from "./grids.ts";

/** `registers`: blocks of 4 × 4 or 8 × 8 without workgroup memory or barriers; the others are tiles in workgroup memory. */
export const MATMUL_VARIANTS = ["registers", "small", "medium", "medium-wide", "large"] as const;
export type MatmulVariant = (typeof MATMUL_VARIANTS)[number];
type TiledVariant = Exclude<MatmulVariant, "registers">;

interface Tile {
  /** A workgroup makes TM × TN results, TK products of each at a time; an invocation BLOCK_M × BLOCK_N of them. */
  readonly TM: number;
  readonly TN: number;
  readonly TK: number;
  readonly BLOCK_M: number;
  readonly BLOCK_N: number;
}

/** Constants of `dense/matmul_tiled`, the largest tile first; `large` takes exactly the 16 KiB that every device has. */
export const MATMUL_TILES: Readonly<Record<TiledVariant, Tile>> = {
  large: { TM: 128, TN: 128, TK: 16, BLOCK_M: 8, BLOCK_N: 8 },
  medium: { TM: 64, TN: 64, TK: 16, BLOCK_M: 8, BLOCK_N: 8 },
  "medium-wide": { TM: 64, TN: 64, TK: 16, BLOCK_M: 4, BLOCK_N: 4 },
  small: { TM: 32, TN: 32, TK: 32, BLOCK_M: 4, BLOCK_N: 4 },
};

/** y [rows, columns] = a [rows, inner] · b [inner, columns], for each of `layers`. */
export interface MatmulShape {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly layers?: number;
  /** a is stored [inner, rows], b is stored [columns, inner]. */
  readonly aTransposed?: boolean;
  readonly bTransposed?: boolean;
  /** Floats from one line of the stored matrix to the next, multiples of 4. */
  readonly aStride: number;
  readonly bStride: number;
  readonly yStride: number;
}

export interface MatmulPlan {
  readonly variant: MatmulVariant;
  readonly shape: MatmulShape;
  /** Without the constant EPILOGUE; the grid is that of all layers. */
  readonly kernel: KernelPlan;
}

/** @param variant default: by shape and device */
export function planMatmul(shape: MatmulShape, profile: DeviceProfile, variant?: MatmulVariant): MatmulPlan {
  const { rows, columns, layers = 1 } = shape;
  const chosen = variant ?? chooseMatmul(shape, profile);
  if (chosen === "registers") {
    const block = blockOf(shape, profile);
    const [x, y = 1] = matmulGrid(rows, columns, block);
    const constants = { BLOCK_M: block, BLOCK_N: block };
    return { variant: chosen, shape, kernel: { name: "dense/matmul", constants, grid: [x, y, layers] } };
  }
  const tile = MATMUL_TILES[chosen];
  const orientation = { A_TRANSPOSED: shape.aTransposed === true, B_TRANSPOSED: shape.bTransposed === true };
  return {
    variant: chosen,
    shape,
    kernel: {
      name: "dense/matmul_tiled",
      constants: { ...tile, ...orientation },
      grid: [Math.ceil(columns / tile.TN), Math.ceil(rows / tile.TM), layers],
    },
  };
}

/** Whether a device can run a variant. */
export function offersMatmul(variant: MatmulVariant, profile: DeviceProfile): boolean {
  if (variant === "registers") return true;
  const tile = MATMUL_TILES[variant];
  return (
    invocations(tile) <= profile.maxInvocations && 4 * tile.TK * (tile.TM + tile.TN) <= profile.maxWorkgroupStorageBytes
  );
}

/** Invocations that keep a compute unit busy: two workgroups of 256. */
const ENOUGH_INVOCATIONS = 512;
/** Below this, half of the smallest tile would be padding. */
const LEAST_EXTENT = 16;

/**
 * No barriers on software adapters. Elsewhere the largest tile of which there are enough for every compute unit (more
 * results for each number read), unless its padding is a quarter more than the smallest tile's; the smallest when there are not.
 */
function chooseMatmul({ rows, columns, layers = 1 }: MatmulShape, profile: DeviceProfile): MatmulVariant {
  if (profile.kind === "software" || Math.min(rows, columns) < LEAST_EXTENT) return "registers";
  const padded = ({ TM, TN }: Tile) => Math.ceil(rows / TM) * TM * Math.ceil(columns / TN) * TN;
  const fits = (variant: TiledVariant) => {
    const tile = MATMUL_TILES[variant];
    const tiles = (padded(tile) / (tile.TM * tile.TN)) * layers;
    return (
      tiles * invocations(tile) >= ENOUGH_INVOCATIONS * profile.parallelGroups &&
      padded(tile) <= 1.25 * padded(MATMUL_TILES.small)
    );
  };
  const variants = (Object.keys(MATMUL_TILES) as TiledVariant[]).filter((variant) => offersMatmul(variant, profile));
  return variants.find(fits) ?? variants.at(-1) ?? "registers";
}

/** Results of a workgroup of `dense/matmul` with blocks of 8 × 8. */
const LARGE_BLOCKS = { rows: 32, columns: 64 };

/**
 * Side of an invocation's block in `dense/matmul`. Products on a software adapter are bound by their gathers: blocks of 8 × 8
 * need half as many and take half the time (6.5 ms for 12.1 ms at 256³, SwiftShader, 2026-11), where they fill two workgroups a core.
 */
function blockOf({ rows, columns }: MatmulShape, { kind, parallelGroups }: DeviceProfile): 4 | 8 {
  const groups = Math.floor(rows / LARGE_BLOCKS.rows) * Math.floor(columns / LARGE_BLOCKS.columns);
  return kind === "software" && groups >= 2 * parallelGroups ? 8 : 4;
}

function invocations({ TM, TN, BLOCK_M, BLOCK_N }: Tile): number {
  return (TM / BLOCK_M) * (TN / BLOCK_N);
}

/** Where the operands of a product begin, in floats (multiples of 4), and how far one layer is from the next. */
export interface MatmulPlace {
  readonly aAt?: number;
  readonly bAt?: number;
  readonly yAt?: number;
  /** Epilogue 4: where what is added to begins. */
  readonly fromAt?: number;
  readonly aLayer?: number;
  readonly bLayer?: number;
  readonly yLayer?: number;
  /** Default: those of the plan. */
  readonly layers?: number;
  readonly alpha?: number;
}

export interface MatmulDispatch {
  readonly params: Readonly<Record<string, number>>;
  readonly grid: readonly [number, number, number];
}

/** Parameters and grid of a product, of all layers in one dispatch. */
export function matmulDispatch({ shape, variant, kernel }: MatmulPlan, place: MatmulPlace = {}): MatmulDispatch {
  const { rows, columns, inner, aStride, bStride, yStride } = shape;
  const { aAt = 0, bAt = 0, yAt = 0, fromAt = 0, aLayer = 0, bLayer = 0, yLayer = 0, alpha = 1 } = place;
  const layers = place.layers ?? shape.layers ?? 1;
  const [x, y] = kernel.grid;
  if (variant !== "registers") {
    const params = {
      rows,
      columns,
      inner,
      a_stride4: aStride / 4,
      b_stride4: bStride / 4,
      y_stride4: yStride / 4,
      a_at4: aAt / 4,
      b_at4: bAt / 4,
      y_at4: yAt / 4,
      from_at4: fromAt / 4,
      a_layer4: aLayer / 4,
      b_layer4: bLayer / 4,
      y_layer4: yLayer / 4,
      alpha,
    };
    return { params, grid: [x, y, layers] };
  }
  const [a_row, a_column] = shape.aTransposed ? [1, aStride] : [aStride, 1];
  const [b_row, b_column] = shape.bTransposed ? [1, bStride] : [bStride, 1];
  return {
    params: {
      rows,
      columns,
      inner,
      a_row,
      a_column,
      b_row,
      b_column,
      y_row: yStride,
      y_column: 1,
      a_at: aAt,
      b_at: bAt,
      y_at: yAt,
      from_at: fromAt,
      a_layer: aLayer,
      b_layer: bLayer,
      y_layer: yLayer,
      alpha,
    },
    grid: [x, y, layers],
  };
}
