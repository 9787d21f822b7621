import { denseShapeSchema } from "./dense.ts";
import { EXPLICIT_METHODS } from "./ode.ts";
import { z } from "./schema.ts";

/** Families of functions of s in [0,1] that weights over depth are expanded in; definitions at {@link basisSchema}. */
export const BASIS_KINDS = ["constant", "linear", "chebyshev", "fourier"] as const;
export type BasisKind = (typeof BASIS_KINDS)[number];

/**
 * K basis functions φ_0 … φ_{K-1} of s in [0,1]:
 * `constant` indicators of K cells of length 1/K (with Euler's method and K steps: a residual network of depth K);
 * `linear` hat functions of K knots, the first at 0 and the last at 1; `chebyshev` T_j(2s − 1);
 * `fourier` 1, cos 2πs, sin 2πs, cos 4πs, …, all of period 1: a function whose ends differ converges only like K^{-1/2} in L².
 */
export const basisSchema = z
  .strictObject({
    kind: z.enum(BASIS_KINDS),
    count: z.int().check(z.minimum(1), z.describe("K, number of basis functions")),
  })
  .check(
    z.refine(({ kind, count }) => kind !== "linear" || count >= 2, {
      path: ["count"],
      message: "must be at least 2 for a linear basis: a knot at each end",
    }),
    z.refine(({ kind, count }) => kind !== "fourier" || count % 2 === 1, {
      path: ["count"],
      message: "must be odd for a fourier basis: 1 and pairs of cosine and sine",
    }),
  );
export type Basis = z.infer<typeof basisSchema>;

/** Methods of a neural ODE. */
export const NEURAL_METHODS = EXPLICIT_METHODS;
export type NeuralMethod = (typeof NEURAL_METHODS)[number];

/**
 * The neural ODE of Marion, Wu, Sander, Biau (ICLR 2024), eq. 6, with weights expanded in a basis over depth:
 *   H(0) = A x;  dH/ds = s_m V(s) σ(s_q W(s) H), s in [0,1];  F = B H(1),
 *   V(s) = Σ_j φ_j(s) V_j,  W(s) = Σ_j φ_j(s) W_j,
 * with x in R^d, H in R^q, W_j in R^{m×q}, V_j in R^{q×m}, F in R^{d'}; s_m and s_q are the width factors.
 */
export const neuralShapeSchema = z.omit(denseShapeSchema, { depth: true, beta: true });
export type NeuralShape = z.infer<typeof neuralShapeSchema>;

/** How that equation is solved: the basis of the weights, and steps of equal length 1/N by an explicit method. */
export const neuralSolverSchema = z.strictObject({
  basis: basisSchema,
  method: z._default(z.enum(NEURAL_METHODS), "rk4"),
  steps: z.int().check(z.minimum(1), z.describe("N, number of steps from s = 0 to 1")),
});
export type NeuralSolver = z.infer<typeof neuralSolverSchema>;

export const neuralOdeSchema = z.strictObject({ shape: neuralShapeSchema, solver: neuralSolverSchema });
export type NeuralOdeConfig = z.infer<typeof neuralOdeSchema>;
