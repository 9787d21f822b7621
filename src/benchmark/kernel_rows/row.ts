import type { DenseShape } from "../../config/dense.ts";
import type { Grid, Params } from "../../gpu/recorder.ts";
import type { Constants, ShaderPart } from "../../gpu/specialise.ts";
import { RandomStream } from "../../model/random.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import type { KernelName } from "../../plan/kernel_name.ts";
import { MATMUL_VARIANTS, type MatmulVariant } from "../../plan/matmul.ts";
import type { Work } from "../../plan/work.ts";

export type Data = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** One kernel at one shape: what the benchmark compiles, checks and times. */
export interface KernelRow {
  readonly kernel: KernelName;
  /** Sizes in words, and what the dispatch computes where the kernel has several uses. */
  readonly shape: string;
  readonly work: Work;
  /** Layers that a sweep walks one after the other. */
  readonly layers?: number;
  /** Data and dispatch; only asked where the device offers what the kernel needs. */
  prepare(): KernelCase;
}

export interface KernelCase {
  /** The constants that tell this variant from others of the kernel. */
  readonly variant: string;
  readonly constants: Constants;
  /** Functions in place of the kernel's own: the right-hand side of an ODE. */
  readonly part?: ShaderPart;
  /** Bindings by name: their data, or the length of a binding of zeros. */
  readonly tensors: Readonly<Record<string, Data | number>>;
  readonly params: Params;
  readonly grid: Grid;
  /** What one dispatch must leave in the bindings, by the float64 reference. */
  expected(): readonly Expectation[];
}

export interface Expectation {
  /** Name of the binding. */
  readonly output: string;
  /** The numbers compared, from all of the binding's. */
  readonly take?: (values: Float32Array<ArrayBuffer>) => ArrayLike<number>;
  readonly values: ArrayLike<number>;
  /** Absolute, of each number or of all; derived as in the kernel's test. */
  readonly tolerance: ArrayLike<number> | number;
}

/** Sizes of the rows: those of the experiments, what a software adapter does in a second, or a quick look. */
export interface RowSizes {
  /** Of figure 1 of the paper: q = 16, m = 32, exact GELU. */
  readonly rows: number;
  readonly depths: readonly number[];
  readonly tileDepths: readonly number[];
  /** Wide stacks, q = m. */
  readonly wide: readonly { readonly width: number; readonly rows: number }[];
  /** One product of a wide stack by the kernels that the plan does not choose there. */
  readonly products: readonly {
    readonly width: number;
    readonly rows: number;
    readonly variants: readonly MatmulVariant[];
  }[];
  /** Depth of the stack whose numbers the vector kernels work on, and of the reference of its distances. */
  readonly stackDepth: number;
  readonly referenceDepth: number;
  readonly randomNumbers: number;
  readonly batch: number;
  /** Of an ensemble of ODEs. */
  readonly trajectories: number;
  /** Images of a batch of the convolutional stack, and whether they are those of the paper. */
  readonly images: number;
  readonly reducedImages: boolean;
}

export function rowSizes(profile: DeviceProfile, reduced: boolean): RowSizes {
  if (reduced)
    return {
      rows: 9,
      depths: [5],
      tileDepths: [5],
      wide: [{ width: 20, rows: 7 }],
      products: [{ width: 20, rows: 7, variants: ["small"] }],
      stackDepth: 6,
      referenceDepth: 11,
      randomNumbers: 4001,
      batch: 300,
      trajectories: 131,
      images: 5,
      reducedImages: true,
    };
  if (profile.kind === "software")
    return {
      rows: 100,
      depths: [256],
      // Barriers make the tile kernels some five times as slow as the rows kernels there (2026-11).
      tileDepths: [16],
      wide: [
        { width: 256, rows: 256 },
        { width: 1024, rows: 32 },
      ],
      // Never chosen there: to see that they are right.
      products: [{ width: 256, rows: 32, variants: ["small", "medium"] }],
      stackDepth: 256,
      referenceDepth: 1024,
      randomNumbers: 262_144,
      batch: 65_536,
      trajectories: 10_000,
      images: 64,
      reducedImages: false,
    };
  return {
    rows: 100,
    depths: [256, 1024],
    tileDepths: [256, 1024],
    wide: [
      { width: 256, rows: 1024 },
      { width: 1024, rows: 1024 },
    ],
    products: [
      { width: 256, rows: 1024, variants: MATMUL_VARIANTS },
      { width: 1024, rows: 1024, variants: MATMUL_VARIANTS },
    ],
    stackDepth: 1024,
    referenceDepth: 16_384,
    randomNumbers: 1_048_576,
    batch: 65_536,
    trajectories: 1_048_576,
    images: 64,
    reducedImages: false,
  };
}

/** The stack of the paper's figure 1, with the width factors of its text. */
export function paperShape(depth: number): DenseShape {
  return {
    inputs: 16,
    width: 16,
    hidden: 32,
    outputs: 16,
    depth,
    activation: "gelu",
    widthFactors: "paper",
    beta: 1,
  };
}

/** Half a unit in the last place of 1: the relative rounding error of one float32 operation. */
export const EPSILON = 2 ** -24;

export function normal(stream: string, count: number, scale = 1): Float32Array<ArrayBuffer> {
  return new RandomStream(0, stream).fillNormal(new Float32Array(count), 0, scale);
}

const MOST_COMPARED = 4096;

/** Indices below `count`: all, or random ones where there are many. */
export function sample(count: number): Uint32Array {
  if (count <= MOST_COMPARED) return Uint32Array.from({ length: count }, (_, i) => i);
  const stream = new RandomStream(0, "sample");
  return Uint32Array.from({ length: MOST_COMPARED }, (_, i) => stream.uint32(i) % count);
}

/** The numbers at some indices. */
export function at(indices: Uint32Array): (values: Float32Array<ArrayBuffer>) => Float64Array {
  return (values) => Float64Array.from(indices, (i) => values[i]!);
}

/** "name value, name value": the constants a reader needs. */
export function constantsText(constants: Constants, names: readonly string[]): string {
  return names.map((name) => `${name} ${constants[name]}`).join(", ");
}
