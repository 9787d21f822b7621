import type { EnsembleConfig } from "../config/ode.ts";
import type { Constants } from "../gpu/specialise.ts";
import type { KernelName } from "../plan/kernel_name.ts";
import type { EnsemblePlan } from "../plan/ode.ts";
import { CONTROLLERS } from "./controllers.ts";
import type { Setup } from "./ensemble_setup.ts";
import { controllerConstants, denseConstants, stepConstants } from "./explicit_constants.ts";

const SAVE_CODES: Record<EnsembleConfig["save"]["kind"], number> = { end: 0, grid: 1, steps: 2, statistics: 3 };

/** The kernels of a solve, with the constants of their variants. */
export function variantsOf(setup: Setup, plan: EnsemblePlan): { name: KernelName; start: Constants; solve: Constants } {
  const { config, field, tableau, dense, shape } = setup;
  const { steps, save, event } = config;
  const controller = steps.kind === "adaptive" ? CONTROLLERS[steps.controller] : undefined;
  const order = (tableau.errorOrder ?? 0) + 1;
  const shared = {
    DIM: field.dimension,
    PARAMETERS: Math.max(1, field.parameters),
    ADAPTIVE: shape.adaptive,
    KEEPS_SLOPE: shape.keepsSlope,
    ATOL_ROWS: shape.atolRows,
  };
  const watching = { SAVE: SAVE_CODES[save.kind], EVENT: event !== undefined };
  const norm = { MAX_NORM: steps.kind === "adaptive" && steps.norm === "max" };
  const start = {
    ...shared,
    ...watching,
    ...norm,
    FIRST_SLOPE: shape.adaptive || tableau.fsal,
    INVERSE_ORDER: 1 / order,
    INITIAL_ERROR: controller?.initialError ?? 1,
  };
  if (!shape.adaptive && !shape.watched) {
    const evaluations = tableau.b.length - (tableau.fsal ? 1 : 0);
    const fixed = { ...stepConstants(tableau, false), LANES: plan.lanes, EVALUATIONS: evaluations };
    return { name: "ode/explicit_fixed", start, solve: { ...shared, ...fixed } };
  }
  return {
    name: "ode/explicit",
    start,
    solve: {
      ...shared,
      ...watching,
      ...norm,
      ...stepConstants(tableau, dense),
      ...denseConstants(tableau, dense),
      ...(controller && controllerConstants(controller, order)),
      EVENT_DIRECTION: event?.direction ?? 0,
      WATCHES: shape.watched,
    },
  };
}
