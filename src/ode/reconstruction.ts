/** How well the way back through a solve found the states that the solve had been in. */
import type { Setup } from "./ensemble_setup.ts";
import type { Reconstruction } from "./ensemble_types.ts";

/** Of the size of the state: gradients are meant to be right to a thousandth. With fixed steps no tolerance is asked for. */
const WITH_FIXED_STEPS = 1e-3;

/** A step that keeps to the tolerance by its estimate may be off by several times as much. */
const OF_ESTIMATE = 10;

/** Of one trajectory. */
export interface WayBack {
  /** max_i |ỹ_i − y_i| where the state was known. */
  readonly error: number;
  /** max |y_i| there. */
  readonly size: number;
  /** Steps taken forwards and backwards. */
  readonly steps: number;
}

/**
 * Steps that are each off by 10 (rtol max|y| + atol) add up to so many times that when errors neither grow nor die out: more
 * means that the way back amplified them. `wayBack` is undefined of a trajectory that did not get to its end.
 */
export function reconstruction(
  { config, n, field, rtol, atol }: Setup,
  wayBack: (j: number) => WayBack | undefined,
): Reconstruction {
  const error = new Float32Array(n).fill(Number.NaN);
  const scaled = new Float32Array(n).fill(Number.NaN);
  let [lost, worst] = [0, -1];
  for (let j = 0; j < n; j++) {
    const way = wayBack(j);
    if (!way) continue;
    const coarsest = Math.max(...Array.from({ length: field.dimension }, (_, i) => atol(j, i)));
    const allowed =
      config.steps.kind === "fixed"
        ? WITH_FIXED_STEPS * way.size
        : OF_ESTIMATE * way.steps * (rtol(j) * way.size + coarsest);
    error[j] = way.error;
    scaled[j] = way.error === 0 ? 0 : way.error / allowed;
    if (scaled[j]! <= 1) continue;
    lost++;
    // Not finite is the worst.
    if (worst < 0 || scaled[j]! > scaled[worst]! || (Number.isNaN(scaled[j]) && !Number.isNaN(scaled[worst])))
      worst = j;
  }
  if (lost === 0) return { error, scaled, lost };
  const distance = Number.isFinite(error[worst])
    ? `is off by ${error[worst]!.toPrecision(3)}, ${scaled[worst]!.toPrecision(3)} times what is allowed`
    : "is not finite";
  return {
    error,
    scaled,
    lost,
    warning: `the way back does not find the states of the solve again in ${lost} of ${n} trajectories (that of trajectory ${worst} ${distance}): their gradients cannot be trusted; adjoint replay keeps the states`,
  };
}
