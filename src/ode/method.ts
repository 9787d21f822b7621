import { SOLVE_METHODS, type SolveMethod } from "../config/ode.ts";

export const METHOD_NAMES = SOLVE_METHODS;
export type MethodName = SolveMethod;

/**
 * Interpolant within a step, 0 ≤ θ ≤ 1: y(t + θ h) ≈ y_n + Σ_s w_s(θ) v_s with w_s(θ) = Σ_j weights[s][j] θ^{j+1}, where
 * v_s = h k_s of a Runge–Kutta method and v_s = u_s of a Rosenbrock method. w_s(0) = 0, and w_s(1) is the weight of the step.
 */
export interface Interpolant {
  /** Order of the value at any θ: the order conditions hold up to it, with right-hand sides θ^ρ/γ. */
  readonly order: number;
  /** One row a stage, the extra stages last. */
  readonly weights: readonly (readonly number[])[];
}

/** An interpolant that may need stages beyond those of the step, evaluated only where it is used. */
export interface ExplicitInterpolant extends Interpolant {
  /** Rows of `a` of the extra stages, over all stages before. */
  readonly extraA: readonly (readonly number[])[];
  readonly extraC: readonly number[];
}

interface Pair {
  readonly name: MethodName;
  readonly order: number;
  /** b − b̂ of the embedded method: the error estimate is Σ_s error_s v_s (v as in `Interpolant`). */
  readonly error?: readonly number[];
  /** Order of the lower of the pair, for step-size control. */
  readonly errorOrder?: number;
}

/** Explicit Runge–Kutta methods: y_{n+1} = y_n + h Σ_s b_s k_s, k_s = f(t_n + c_s h, y_n + h Σ_{r<s} a_{s,r} k_r). */
export interface Tableau extends Pair {
  readonly kind: "explicit";
  /** Strictly lower triangular, one row a stage. */
  readonly a: readonly (readonly number[])[];
  readonly b: readonly number[];
  /** Times of the stages, c_s = Σ_r a_{s,r}. */
  readonly c: readonly number[];
  /** The last row of `a` is `b`: the last stage is f(t_{n+1}, y_{n+1}), the first of the next step. */
  readonly fsal: boolean;
  readonly dense: ExplicitInterpolant;
}

/**
 * Rosenbrock methods in the form without matrix–vector products (Hairer and Wanner, Solving Ordinary Differential Equations
 * II, section IV.7), multiplied by γh so that nothing is divided by h. J = ∂f/∂y and ∂f/∂t are taken at (t_n, y_n):
 *
 *     (I − γ h J) u_s = γ (h f(t_n + c_s h, y_n + Σ_{r<s} a_{s,r} u_r) + Σ_{r<s} coupling_{s,r} u_r + d_s h² ∂f/∂t)
 *     y_{n+1} = y_n + Σ_s b_s u_s
 */
export interface RosenbrockTableau extends Pair {
  readonly kind: "rosenbrock";
  readonly gamma: number;
  readonly a: readonly (readonly number[])[];
  readonly coupling: readonly (readonly number[])[];
  readonly b: readonly number[];
  readonly c: readonly number[];
  readonly d: readonly number[];
  readonly error: readonly number[];
  readonly errorOrder: number;
  /** The last stage evaluates f at (t_{n+1}, y_{n+1}), where the first of the next step does. */
  readonly fsal: boolean;
  readonly dense: Interpolant;
}

/**
 * Singly diagonally implicit Runge–Kutta methods with an explicit first stage, stiffly accurate: k_1 = f(t_n, y_n),
 * k_s = f(t_n + c_s h, y_n + h Σ_{r≤s} a_{s,r} k_r) with a_{s,s} = γ for s > 1; y_{n+1} is the argument of the last stage.
 */
export interface EsdirkTableau extends Pair {
  readonly kind: "esdirk";
  readonly gamma: number;
  /** Lower triangular with the diagonal; the first row is empty. */
  readonly a: readonly (readonly number[])[];
  /** The last row of `a`. */
  readonly b: readonly number[];
  readonly c: readonly number[];
  readonly error: readonly number[];
  readonly errorOrder: number;
  /** Newton's first iterate of stage s is k_s = Σ_{r<s} predictor_{s,r} k_r: the polynomial in c through stages before. */
  readonly predictor: readonly (readonly number[])[];
  readonly dense: Interpolant;
}

/**
 * Partitioned methods for q' = G(t, p), p' = F(t, q), y = (q, p): kick and drift in turn, p += kicks_s h F(t + C_s h, q),
 * q += drifts_s h G(t + K_s h, p), with C_s the drifts and K_s the kicks so far; the last kick has no drift after it.
 */
export interface SymplecticMethod extends Pair {
  readonly kind: "symplectic";
  readonly kicks: readonly number[];
  readonly drifts: readonly number[];
}

/**
 * Reversible Heun (Kidger, Foster, Li and Lyons, arXiv 2105.13493): ŷ_{n+1} = 2 y_n − ŷ_n + h f(t_n, ŷ_n),
 * y_{n+1} = y_n + (h/2) (f(t_n, ŷ_n) + f(t_{n+1}, ŷ_{n+1})), ŷ_0 = y_0. The error estimate is the difference to Euler's
 * method, (h/2) (f(t_{n+1}, ŷ_{n+1}) − f(t_n, ŷ_n)).
 */
export interface ReversibleHeun extends Pair {
  readonly kind: "reversible-heun";
}

export type Method = Tableau | RosenbrockTableau | EsdirkTableau | SymplecticMethod | ReversibleHeun;

/**
 * Weights of the cubic Hermite interpolant through y_n, y_{n+1} = y_n + Σ b_s v_s and the slopes of the stages `first` and
 * `last`, one row a stage.
 */
export function hermiteWeights(b: readonly number[], first: number, last: number): number[][] {
  return b.map((weight, s) => {
    const [start, end] = [s === first ? 1 : 0, s === last ? 1 : 0];
    return [start, 3 * weight - 2 * start - end, -2 * weight + start + end];
  });
}

/** The cubic Hermite interpolant of an explicit method, of order min(3, order); without FSAL it takes f(t_{n+1}, y_{n+1}). */
export function hermite(order: number, b: readonly number[], fsal: boolean): ExplicitInterpolant {
  const stages = b.length;
  return {
    order: Math.min(3, order),
    extraA: fsal ? [] : [b],
    extraC: fsal ? [] : [1],
    weights: fsal ? hermiteWeights(b, 0, stages - 1) : hermiteWeights([...b, 0], 0, stages),
  };
}
