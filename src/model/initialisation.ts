import { type DenseShape, denseShapeSchema, type Initialisation } from "../config/dense.ts";
import { ConfigError } from "../config/errors.ts";
import { RandomStream } from "./random.ts";

/** Input or output map: the identity padded with zeros, or independent normal entries (std 1/√q unless given). */
export type MapInitialisation = "identity" | "normal" | { std: number };

export interface InitialWeightsOptions {
  shape: DenseShape;
  seed: number;
  initialisation: Initialisation;
  /** Standard deviation of the entries of W; default 1. */
  hiddenScale?: number;
  /** Standard deviation of the entries of V; default 0: V = 0. */
  outputScale?: number;
  /** Length l of the kernel exp(-(s - s')² / (2 l²)) of `smooth`, in units of s = k/L; default 0.5, allowed 0.02..10. */
  kernelLength?: number;
  /** Default "identity". */
  A?: MapInitialisation;
  /** Default "identity". */
  B?: MapInitialisation;
}

/** Weights in the canonical layouts, row-major float32: A [q,d], V [L,q,m], W [L,m,q], B [d',q]. */
export interface InitialWeights {
  A: Float32Array<ArrayBuffer>;
  V: Float32Array<ArrayBuffer>;
  W: Float32Array<ArrayBuffer>;
  B: Float32Array<ArrayBuffer>;
  /** True: every layer starts from the one V_0 [q,m] and W_0 [m,q] that V and W hold. */
  tied: boolean;
}

const KERNEL_LENGTH_MIN = 0.02;
const KERNEL_LENGTH_MAX = 10;
/** How far, in standard deviations, the kernel and its spectrum are followed: exp(-7²/2) = 2.3e-11. */
const REACH = 7;

/**
 * Spectrum of the Gaussian kernel made periodic with period P = 1 + REACH l (Poisson summation):
 * Σ_j exp(-(s + jP)² / (2 l²)) = Σ_n c_n cos(2π n s / P), c_n = 2 (√(2π) l / P) exp(-(2π n l / P)² / 2), half of it for n = 0.
 * For |s| <= 1 the added images and the cut-off terms together change the kernel by less than 1e-10.
 */
function kernelSpectrum(length: number): { period: number; variances: Float64Array } {
  const period = 1 + REACH * length;
  const step = (2 * Math.PI * length) / period;
  const variances = new Float64Array(Math.ceil(REACH / step) + 1);
  for (let n = 0; n < variances.length; n++) {
    variances[n] = ((n === 0 ? 1 : 2) * Math.sqrt(2 * Math.PI) * length * Math.exp(-((n * step) ** 2) / 2)) / period;
  }
  return { period, variances };
}

/** Covariance of two values of the smooth process at distance |s - s'| <= 1; within 1e-10 of exp(-(s - s')² / (2 l²)). */
export function smoothCovariance(distance: number, length: number): number {
  const { period, variances } = kernelSpectrum(length);
  let sum = 0;
  for (let n = 0; n < variances.length; n++) sum += variances[n] * Math.cos((2 * Math.PI * n * distance) / period);
  return sum;
}

/**
 * `elements` independent Gaussian processes of s with standard deviation `scale`, at s = k/L, k = 1..L: [L, elements].
 * They are random Fourier series: the functions of s depend on the stream and `length` alone, so every depth samples the same ones.
 */
function fillSmooth(stream: RandomStream, scale: number, length: number, depth: number, elements: number) {
  const { period, variances } = kernelSpectrum(length);
  const terms = 2 * variances.length - 1; // 1, then cosine and sine of each frequency
  const coefficients = stream.fillNormal(new Float64Array(terms * elements));
  const out = new Float32Array(depth * elements);
  const layer = new Float64Array(elements);
  for (let k = 0; k < depth; k++) {
    layer.fill(0);
    for (let term = 0; term < terms; term++) {
      const n = (term + 1) >> 1;
      const angle = (2 * Math.PI * n * ((k + 1) / depth)) / period;
      const factor = scale * Math.sqrt(variances[n]) * (term % 2 === 1 || n === 0 ? Math.cos(angle) : Math.sin(angle));
      const row = term * elements;
      for (let i = 0; i < elements; i++) layer[i] += factor * coefficients[row + i];
    }
    out.set(layer, k * elements);
  }
  return out;
}

function fillMap(
  kind: MapInitialisation,
  name: "A" | "B",
  rows: number,
  columns: number,
  shape: DenseShape,
  seed: number,
) {
  const out = new Float32Array(rows * columns);
  if (kind === "identity") {
    // The paper's choice: A = (I_d; 0) keeps the inputs in the first coordinates, B = (0, I_d') reads the last ones.
    const short = Math.min(rows, columns);
    if (shape.width !== Math.max(rows, columns)) {
      const side = name === "A" ? "inputs" : "outputs";
      throw new ConfigError("width", `must be at least ${side} = ${shape[side]} for ${name} = identity`, shape.width);
    }
    const shift = name === "B" ? columns - rows : 0;
    for (let i = 0; i < short; i++) out[i * columns + i + shift] = 1;
    return out;
  }
  const std = kind === "normal" ? 1 / Math.sqrt(shape.width) : kind.std;
  expectScale(`${name}.std`, std);
  return new RandomStream(seed, name).fillNormal(out, 0, std);
}

function expectScale(field: string, value: number): void {
  if (!Number.isFinite(value) || value < 0) throw new ConfigError(field, "must be a finite number >= 0", value);
}

/**
 * Initial weights. The defaults with `tied` are those of Marion et al. (ICLR 2024): V = 0, one W ~ N(0, 1), A and B padded
 * identities. `tied`: one draw, stored once. `iid`: entry j of layer k depends on (seed, k, j) alone, and layer 0 is the tied draw.
 * `smooth`: every entry an independent Gaussian process in s = k/L. Each tensor has a stream of its own, so that changing the depth
 * or the scale of one does not change another. Throws ConfigError for a shape, seed, scale or kernel length that breaks its rule.
 */
export function initialWeights(options: InitialWeightsOptions): InitialWeights {
  const { shape, seed, initialisation, hiddenScale = 1, outputScale = 0, kernelLength = 0.5 } = options;
  const parsed = denseShapeSchema.safeParse(shape);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ConfigError(`shape.${issue.path.join(".")}`, issue.message);
  }
  expectScale("hiddenScale", hiddenScale);
  expectScale("outputScale", outputScale);
  if (!(kernelLength >= KERNEL_LENGTH_MIN && kernelLength <= KERNEL_LENGTH_MAX)) {
    throw new ConfigError("kernelLength", `must be in ${KERNEL_LENGTH_MIN}..${KERNEL_LENGTH_MAX}`, kernelLength);
  }
  const { inputs, width, hidden, outputs, depth } = shape;
  const elements = width * hidden;
  const tied = initialisation === "tied";
  const residual = (name: "V" | "W", scale: number) => {
    if (scale === 0) return new Float32Array((tied ? 1 : depth) * elements);
    const stream = new RandomStream(seed, name);
    if (initialisation === "smooth") return fillSmooth(stream, scale, kernelLength, depth, elements);
    return stream.fillNormal(new Float32Array((tied ? 1 : depth) * elements), 0, scale);
  };
  return {
    A: fillMap(options.A ?? "identity", "A", width, inputs, shape, seed),
    V: residual("V", outputScale),
    W: residual("W", hiddenScale),
    B: fillMap(options.B ?? "identity", "B", outputs, width, shape, seed),
    tied,
  };
}
