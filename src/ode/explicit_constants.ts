import type { Constants } from "../gpu/specialise.ts";
import { type Controller, controllerExponents } from "./controllers.ts";
import type { Tableau } from "./method.ts";

/** The stage, among all with those of the interpolant, that is f(t + h, y1); their number if none is. */
function endStage({ b, dense, fsal }: Tableau): number {
  const stages = b.length;
  if (fsal) return stages + dense.extraA.length;
  const extra = dense.extraA.findIndex((row, s) => dense.extraC[s] === 1 && b.every((weight, r) => row[r] === weight));
  return stages + (extra < 0 ? dense.extraA.length : extra);
}

/** Whether a step leaves f at its end behind. With `dense`, the interpolant may have needed it. */
export function keepsSlope(tableau: Tableau, dense: boolean): boolean {
  return tableau.fsal || (dense && endStage(tableau) < tableau.b.length + tableau.dense.extraA.length);
}

/** Constants of a step in `common/ode_explicit`. Without `dense`, the stages of the interpolant are left out. */
export function stepConstants(tableau: Tableau, dense: boolean): Constants {
  const rows = dense ? [...tableau.a, ...tableau.dense.extraA] : tableau.a;
  const stages = tableau.b.length;
  return {
    ODE_STAGES: stages,
    ODE_INNER: tableau.fsal ? stages - 1 : stages,
    ODE_TOTAL: rows.length,
    ODE_FSAL: tableau.fsal,
    ODE_A: rows.flatMap((row) => padded(row, rows.length)),
    ODE_B: tableau.b,
    ODE_C: dense ? [...tableau.c, ...tableau.dense.extraC] : tableau.c,
  };
}

/** Constants of the error estimate, zeros where there is none, and of the interpolant, of no use without `dense`. */
export function denseConstants(tableau: Tableau, dense: boolean): Constants {
  const stages = tableau.b.length;
  const degree = dense ? Math.max(...tableau.dense.weights.map((row) => row.length)) : 1;
  return {
    ODE_ERROR: tableau.error ?? padded([], stages),
    ODE_END: dense ? endStage(tableau) : stages,
    ODE_DEGREE: degree,
    ODE_WEIGHTS: dense ? tableau.dense.weights.flatMap((row) => padded(row, degree)) : padded([], stages),
  };
}

/** The row with zeros behind it. */
export function padded(row: readonly number[], length: number): number[] {
  return Array.from({ length }, (_, i) => row[i] ?? 0);
}

/** Constants of `common/ode_replay_explicit`: stages that leave no trace in y1 are those of the interpolant. */
export function reverseConstants({ a, b, c, fsal, dense }: Tableau, withInterpolant: boolean): Constants {
  const inner = fsal ? b.length - 1 : b.length;
  const rows = withInterpolant ? [...a, ...dense.extraA] : a.slice(0, inner);
  const weights = withInterpolant ? dense.weights : rows.map(() => [0]);
  const degree = Math.max(...weights.map((row) => row.length));
  return {
    ODE_INNER: inner,
    ODE_TOTAL: rows.length,
    ODE_A: rows.flatMap((row) => padded(row, rows.length)),
    ODE_B: padded(b.slice(0, inner), rows.length),
    ODE_C: [...c, ...dense.extraC].slice(0, rows.length),
    ODE_DEGREE: degree,
    ODE_WEIGHTS: weights.flatMap((row) => padded(row, degree)),
  };
}

/** Constants of `common/ode_controller`; k is the order of the error estimate in h. */
export function controllerConstants(controller: Controller, k: number): Constants {
  const [now, before, beforeThat] = controllerExponents(controller, k);
  return {
    ODE_SAFETY: controller.safety,
    ODE_FACTOR_MIN: controller.factorMin,
    ODE_FACTOR_MAX: controller.factorMax,
    ODE_SHRINK_AFTER_ACCEPT: controller.shrinkAfterAccept,
    ODE_REJECT_WITH_HISTORY: controller.rejectWithHistory,
    ODE_ACCEPT_ONE: controller.acceptOne,
    ODE_ERROR_FLOOR: controller.errorFloor,
    ODE_EXPONENT_NOW: now,
    ODE_EXPONENT_BEFORE: before,
    ODE_EXPONENT_BEFORE_THAT: beforeThat,
  };
}
