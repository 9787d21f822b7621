import type { EnsembleConfig } from "../config/ode.ts";
import type { Constants } from "../gpu/specialise.ts";
import type { DeviceProfile } from "../plan/device_profile.ts";
import type { KernelName } from "../plan/kernel_name.ts";
import type { EnsemblePlan } from "../plan/ode.ts";
import { groupOf } from "../plan/ode_record.ts";
import { CONTROLLERS } from "./controllers.ts";
import type { Setup } from "./ensemble_setup.ts";
import { controllerConstants, reverseConstants, stepConstants } from "./explicit_constants.ts";
import type { EsdirkTableau, SymplecticMethod, Tableau } from "./method.ts";
import { methodConstants, reverseEsdirkConstants, reverseSymplecticConstants, traitsOf } from "./method_constants.ts";

const SAVE_CODES: Record<EnsembleConfig["save"]["kind"], number> = { end: 0, grid: 1, steps: 2, statistics: 3 };

/** The kernels of a solve, with the constants of their variants. */
export function variantsOf(setup: Setup, plan: EnsemblePlan): { name: KernelName; start: Constants; solve: Constants } {
  const { config, field, method, dense, shape } = setup;
  const { steps, save, event } = config;
  const controller = steps.kind === "adaptive" ? CONTROLLERS[steps.controller] : undefined;
  const order = (method.errorOrder ?? 0) + 1;
  const { kernel, fsal } = traitsOf(method);
  const shared = {
    DIM: field.dimension,
    PARAMETERS: Math.max(1, field.parameters),
    ODE_ADAPTIVE: shape.adaptive,
    ODE_KEEPS_SLOPE: shape.keepsSlope,
    ODE_KEEPS_AUXILIARY: shape.keepsAuxiliary,
    ODE_ATOL_ROWS: shape.atolRows,
  };
  const recording = { ODE_RECORD: config.adjoint === "replay" || config.adjoint === "reversible" };
  const watching = { ODE_SAVE: SAVE_CODES[save.kind], ODE_EVENT: event !== undefined };
  const norm = { ODE_MAX_NORM: steps.kind === "adaptive" && steps.norm === "max" };
  const start = {
    ...shared,
    ...watching,
    ...norm,
    ODE_FIRST_SLOPE: shape.adaptive || fsal,
    ODE_INVERSE_ORDER: 1 / order,
    ODE_INITIAL_ERROR: controller?.initialError ?? 1,
  };
  if (method.kind === "explicit" && !shape.adaptive && !shape.watched) {
    const evaluations = method.b.length - (fsal ? 1 : 0);
    const fixed = { ...stepConstants(method, false), ODE_LANES: plan.lanes, ODE_EVALUATIONS: evaluations };
    return { name: "ode/explicit_fixed", start, solve: { ...shared, ...recording, ...fixed } };
  }
  return {
    name: kernel,
    start,
    solve: {
      ...shared,
      ...recording,
      ...watching,
      ...norm,
      ...methodConstants(method, dense, field),
      ...(controller && controllerConstants(controller, order)),
      ODE_EVENT_DIRECTION: event?.direction ?? 0,
      ODE_WATCHES: shape.watched,
    },
  };
}

/** Cotangents may enter before the end of the last step. */
function hasOutputs({ save, event }: EnsembleConfig): boolean {
  return event !== undefined || save.kind === "grid" || save.kind === "steps";
}

/** Steps that the sweep takes together. */
export function replayGroup({ config, field, method, shape }: Setup, profile: DeviceProfile): number {
  return hasOutputs(config) || method.kind !== "explicit"
    ? 1
    : groupOf(shape.evaluations, field.dimension, profile.kind === "software");
}

/** Methods whose steps can be replayed. */
export type ReplayedMethod = Tableau | EsdirkTableau | SymplecticMethod;

/** Constants of a step backwards; `dense`: with the interpolant. */
export function reverseStepConstants(method: ReplayedMethod, dense: boolean): Constants {
  switch (method.kind) {
    case "explicit":
      return reverseConstants(method, dense);
    case "esdirk":
      return reverseEsdirkConstants(method);
    case "symplectic":
      return reverseSymplecticConstants(method);
  }
}

/** Constants of the sweep that takes a solve back; `segments`: its checkpoints are further apart than a group of steps. */
export function replayConstants(
  { config, field, shape }: Setup,
  method: ReplayedMethod,
  group: number,
  segments: boolean,
): Constants {
  const { save, event } = config;
  const dense = event !== undefined || save.kind === "grid";
  return {
    DIM: field.dimension,
    PARAMETERS: Math.max(1, field.parameters),
    ODE_ADAPTIVE: shape.adaptive,
    ODE_SAVE: SAVE_CODES[save.kind],
    ODE_EVENT: event !== undefined,
    // Code of an implicit step is long: it stands in the kernel once.
    ODE_OUTPUTS: hasOutputs(config) || method.kind !== "explicit",
    ODE_GROUP: group,
    ODE_SEGMENTS: segments,
    ...reverseStepConstants(method, dense),
  };
}

/** Constants of the sweep that undoes the steps of reversible Heun. */
export function reversibleConstants({ config, field, shape }: Setup): Constants {
  return {
    DIM: field.dimension,
    PARAMETERS: Math.max(1, field.parameters),
    ODE_ADAPTIVE: shape.adaptive,
    ODE_KEEPS_SLOPE: shape.keepsSlope,
    ODE_KEEPS_AUXILIARY: shape.keepsAuxiliary,
    ODE_SAVE: SAVE_CODES[config.save.kind],
  };
}
