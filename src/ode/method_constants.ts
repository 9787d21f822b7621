import { MOST_IMPLICIT_COMPONENTS } from "../config/ode.ts";
import type { Constants } from "../gpu/specialise.ts";
import type { KernelName } from "../plan/kernel_name.ts";
import { denseConstants, keepsSlope, padded, stepConstants } from "./explicit_constants.ts";
import type { FieldFunction } from "./field_source.ts";
import type { EsdirkTableau, Method, RosenbrockTableau, SymplecticMethod } from "./method.ts";

/** What a method needs of the solver besides its constants. */
export interface MethodTraits {
  readonly kernel: KernelName;
  /** f(t, y) at the end of a step is known, and the next begins with it. */
  readonly fsal: boolean;
  /** A slope may be left for the next step; with `dense`, by the interpolant. */
  readonly keepsSlope: (dense: boolean) => boolean;
  /** A second state goes from step to step. */
  readonly keepsAuxiliary: boolean;
  /** ∂f/∂y is taken in every attempt. */
  readonly implicit: boolean;
  /** Cost of an attempt in evaluations of f, roughly: for the length of the first dispatch. */
  readonly cost: (dimension: number) => number;
  /** Components a trajectory may have. */
  readonly mostComponents?: number;
}

const fsal = { fsal: true, keepsSlope: () => true, keepsAuxiliary: false, implicit: false };

export function traitsOf(method: Method): MethodTraits {
  switch (method.kind) {
    case "explicit":
      return {
        kernel: "ode/explicit",
        fsal: method.fsal,
        keepsSlope: (dense) => keepsSlope(method, dense),
        keepsAuxiliary: false,
        implicit: false,
        cost: () => method.b.length,
      };
    case "rosenbrock":
      return {
        kernel: "ode/rosenbrock",
        fsal: method.fsal,
        keepsSlope: () => method.fsal,
        keepsAuxiliary: false,
        implicit: true,
        // J or its differences, the factors, and a solve a stage.
        cost: (dimension) => (2 + dimension) * method.b.length + 2 * dimension,
        mostComponents: MOST_IMPLICIT_COMPONENTS,
      };
    case "esdirk":
      return {
        ...fsal,
        kernel: "ode/esdirk",
        implicit: true,
        // Some four iterations a stage.
        cost: (dimension) => 4 * (2 + dimension) * method.b.length + 2 * dimension,
        mostComponents: MOST_IMPLICIT_COMPONENTS,
      };
    case "symplectic":
      return { ...fsal, kernel: "ode/symplectic", cost: () => 2 * method.kicks.length };
    case "reversible-heun":
      return { ...fsal, kernel: "ode/reversible_heun", keepsAuxiliary: true, cost: () => 2 };
  }
}

/** What the field brings, and whether it is known not to depend on t. */
export interface FieldTraits {
  readonly functions: readonly FieldFunction[];
  readonly autonomous: boolean;
}

/** Constants of the method's module in `shaders/common`. Without `dense`, nothing is interpolated. */
export function methodConstants(method: Method, dense: boolean, field: FieldTraits): Constants {
  const ownJacobian = { ODE_OWN_JACOBIAN: field.functions.includes("jacobian") };
  switch (method.kind) {
    case "explicit":
      return { ...stepConstants(method, dense), ...denseConstants(method, dense) };
    case "rosenbrock":
      return { ...rosenbrockConstants(method), ...ownJacobian, ODE_AUTONOMOUS: field.autonomous };
    case "esdirk":
      return { ...esdirkConstants(method), ...ownJacobian };
    case "symplectic":
      return symplecticConstants(method);
    case "reversible-heun":
      return {};
  }
}

/** Constants of `common/ode_rosenbrock`. */
function rosenbrockConstants({ a, coupling, b, c, d, gamma, error, fsal, dense }: RosenbrockTableau): Constants {
  const square = (rows: readonly (readonly number[])[]) => rows.flatMap((row) => padded(row, b.length));
  return {
    ODE_STAGES: b.length,
    ODE_FSAL: fsal,
    ODE_GAMMA: gamma,
    ODE_A: square(a),
    ODE_COUPLING: square(coupling),
    ODE_B: b,
    ODE_C: c,
    ODE_D: d,
    ODE_ERROR: error,
    ...weightConstants(dense.weights),
  };
}

/** Constants of `common/ode_esdirk`: what multiplies z = γ h k is divided by γ. */
function esdirkConstants({ a, b, c, gamma, error, predictor, dense }: EsdirkTableau): Constants {
  const divided = (row: readonly number[]) => row.map((x) => x / gamma);
  return {
    ODE_STAGES: b.length,
    ODE_GAMMA: gamma,
    ODE_A: a.flatMap((row) => padded(divided(row), b.length)),
    ODE_C: c,
    ODE_ERROR: divided(error),
    ODE_PREDICTOR: predictor.flatMap((row) => padded(row, b.length)),
    ...weightConstants(dense.weights.map(divided)),
  };
}

/** Constants of `common/ode_replay_esdirk`. */
export function reverseEsdirkConstants({ a, b, c, gamma, predictor, dense }: EsdirkTableau): Constants {
  const square = (rows: readonly (readonly number[])[]) => rows.flatMap((row) => padded(row, b.length));
  return {
    ODE_TOTAL: b.length,
    ODE_GAMMA: gamma,
    ODE_A: square(a),
    ODE_B: b,
    ODE_C: c,
    ODE_PREDICTOR: square(predictor),
    ...weightConstants(dense.weights),
  };
}

/** Constants of `common/ode_symplectic`: a kick is at the time of the drifts before it, a drift at that of the kicks. */
function symplecticConstants({ kicks, drifts }: SymplecticMethod): Constants {
  const sum = (x: readonly number[]) => x.reduce((a, b) => a + b, 0);
  return {
    ODE_STAGES: kicks.length,
    ODE_KICKS: kicks,
    ODE_KICK_TIMES: kicks.map((_, s) => sum(drifts.slice(0, s))),
    ODE_DRIFTS: drifts,
    ODE_DRIFT_TIMES: drifts.map((_, s) => sum(kicks.slice(0, s + 1))),
  };
}

/** Constants of `common/ode_replay_symplectic`: kicks and drifts in turn. */
export function reverseSymplecticConstants({ kicks, drifts }: SymplecticMethod): Constants {
  const parts = Array.from({ length: 2 * kicks.length - 1 }, (_, s) =>
    s % 2 === 0 ? kicks[s / 2]! : drifts[(s - 1) / 2]!,
  );
  // A stage is at the time that those of the other kind have taken.
  const times = parts.map((_, s) => parts.reduce((sum, part, r) => (r < s && r % 2 !== s % 2 ? sum + part : sum), 0));
  return { ODE_TOTAL: parts.length, ODE_PARTS: parts, ODE_TIMES: times, ODE_WEIGHTS: parts.map(() => 0) };
}

function weightConstants(weights: readonly (readonly number[])[]): Constants {
  const degree = Math.max(...weights.map((row) => row.length));
  return { ODE_DEGREE: degree, ODE_WEIGHTS: weights.flatMap((row) => padded(row, degree)) };
}
