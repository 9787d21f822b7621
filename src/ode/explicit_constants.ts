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
    STAGES: stages,
    INNER: tableau.fsal ? stages - 1 : stages,
    TOTAL: rows.length,
    FSAL: tableau.fsal,
    A: rows.flatMap((row) => padded(row, rows.length)),
    B: tableau.b,
    C: dense ? [...tableau.c, ...tableau.dense.extraC] : tableau.c,
  };
}

/** Constants of the error estimate, zeros where there is none, and of the interpolant, of no use without `dense`. */
export function denseConstants(tableau: Tableau, dense: boolean): Constants {
  const stages = tableau.b.length;
  const degree = dense ? Math.max(...tableau.dense.weights.map((row) => row.length)) : 1;
  return {
    ERROR: tableau.error ?? padded([], stages),
    END: dense ? endStage(tableau) : stages,
    DEGREE: degree,
    WEIGHTS: dense ? tableau.dense.weights.flatMap((row) => padded(row, degree)) : padded([], stages),
  };
}

function padded(row: readonly number[], length: number): number[] {
  return Array.from({ length }, (_, i) => row[i] ?? 0);
}

/** Constants of `common/ode_controller`; k is the order of the error estimate in h. */
export function controllerConstants(controller: Controller, k: number): Constants {
  const [now, before, beforeThat] = controllerExponents(controller, k);
  return {
    SAFETY: controller.safety,
    FACTOR_MIN: controller.factorMin,
    FACTOR_MAX: controller.factorMax,
    SHRINK_AFTER_ACCEPT: controller.shrinkAfterAccept,
    REJECT_WITH_HISTORY: controller.rejectWithHistory,
    ACCEPT_ONE: controller.acceptOne,
    ERROR_FLOOR: controller.errorFloor,
    EXPONENT_NOW: now,
    EXPONENT_BEFORE: before,
    EXPONENT_BEFORE_THAT: beforeThat,
  };
}
