import { z } from "./schema.ts";

/** Activation functions; the order is the numeric id used by `shaders/common/activation.wgsl`. */
export const ACTIVATIONS = [
  "gelu",
  "gelu-tanh",
  "relu",
  "leaky-relu",
  "tanh",
  "erf",
  "softplus",
  "silu",
  "sin",
  "identity",
] as const;
export type Activation = (typeof ACTIVATIONS)[number];

/** Slope of leaky-relu for x < 0 (PyTorch's default). */
export const LEAKY_SLOPE = 0.01;

/**
 * Losses over n samples and d' outputs:
 * `squared-norm` (1/n) Σ_i ‖F(x_i) − y_i‖² (the paper's eq. for ℓ), `mean-square` (1/(n d')) Σ (F − y)² (the paper's code),
 * `cross-entropy` (1/n) Σ_i −log softmax(F(x_i))[label_i].
 */
export const LOSSES = ["squared-norm", "mean-square", "cross-entropy"] as const;
export type Loss = (typeof LOSSES)[number];

/** Initial weights over depth: one draw shared by all layers, independent draws, or a Gaussian process in s = k/L. */
export const INITIALISATIONS = ["tied", "iid", "smooth"] as const;
export type Initialisation = (typeof INITIALISATIONS)[number];

/**
 * The dense residual stack (Marion, Wu, Sander, Biau, ICLR 2024, eq. 3):
 *   h_0 = A x;  h_{k+1} = h_k + L^-β s_m V_{k+1} σ(s_q W_{k+1} h_k);  F = B h_L,
 * with x in R^d, h in R^q, W_k in R^{m×q}, V_k in R^{q×m}, F in R^{d'}.
 * Width factors: `paper` s_m = 1/√m, s_q = 1/√q; `code` both 1.
 */
export const denseShapeSchema = z.strictObject({
  inputs: z.int().check(z.minimum(1), z.describe("d, input dimension")),
  width: z.int().check(z.minimum(1), z.describe("q, state dimension")),
  hidden: z.int().check(z.minimum(1), z.describe("m, hidden units of a residual layer")),
  outputs: z.int().check(z.minimum(1), z.describe("d', output dimension")),
  depth: z.int().check(z.minimum(1), z.describe("L, number of residual layers")),
  activation: z.enum(ACTIVATIONS),
  widthFactors: z.enum(["paper", "code"]).check(z.describe("paper: 1/√m and 1/√q; code: 1")),
  beta: z.number().check(z.describe("residual scale L^-β")),
});
export type DenseShape = z.infer<typeof denseShapeSchema>;

/** Factors of the residual update: L^-β · s_m (outer) and s_q (inner). */
export function denseScales(shape: DenseShape): { outer: number; inner: number } {
  const paper = shape.widthFactors === "paper";
  return {
    outer: shape.depth ** -shape.beta * (paper ? 1 / Math.sqrt(shape.hidden) : 1),
    inner: paper ? 1 / Math.sqrt(shape.width) : 1,
  };
}
