import type { SolveMethod } from "../config/ode.ts";
import { METHODS, type Method } from "../ode/tableaus.ts";
import type { DeviceProfile } from "../plan/device_profile.ts";
import { planEnsemble } from "../plan/ode.ts";

/** The coefficients, as one type for every kind. */
export function methodOf(name: SolveMethod): Method {
  return METHODS[name];
}

export function isAdaptive(name: SolveMethod): boolean {
  return methodOf(name).errorOrder !== undefined;
}

/** Device bytes of a solve that saves the end alone. */
export function solveBytes(
  name: SolveMethod,
  { trajectories, dimension, parameters }: Readonly<Record<"trajectories" | "dimension" | "parameters", number>>,
  profile: DeviceProfile,
): number {
  const method = methodOf(name);
  const adaptive = isAdaptive(name);
  return planEnsemble(
    {
      trajectories,
      dimension,
      parameters,
      sharedParameters: false,
      adaptive,
      keepsSlope: adaptive,
      keepsAuxiliary: method.kind === "reversible-heun",
      atolRows: 1,
      points: 0,
      pointWords: 0,
      watched: false,
      events: 0,
      evaluations: 1,
    },
    profile,
  ).bytes;
}
