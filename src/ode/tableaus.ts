import type { Method, MethodName } from "./method.ts";
import { DOPRI5 } from "./methods/dopri5.ts";
import { DOPRI8 } from "./methods/dopri8.ts";
import { KVAERNO3, KVAERNO5 } from "./methods/kvaerno.ts";
import { BOSH3, EULER, HEUN, MIDPOINT, RALSTON, RK4, RK38 } from "./methods/low_order.ts";
import { RODAS4 } from "./methods/rodas4.ts";
import { RODAS5P } from "./methods/rodas5p.ts";
import { ROSENBROCK23 } from "./methods/rosenbrock23.ts";
import { LEAPFROG, REVERSIBLE_HEUN } from "./methods/structure.ts";
import { TSIT5 } from "./methods/tsit5.ts";
import { VERN7 } from "./methods/vern7.ts";

export {
  type EsdirkTableau,
  type ExplicitInterpolant,
  hermite,
  type Interpolant,
  METHOD_NAMES,
  type Method,
  type MethodName,
  type ReversibleHeun,
  type RosenbrockTableau,
  type SymplecticMethod,
  type Tableau,
} from "./method.ts";
export {
  BOSH3,
  DOPRI5,
  DOPRI8,
  EULER,
  HEUN,
  KVAERNO3,
  KVAERNO5,
  LEAPFROG,
  MIDPOINT,
  RALSTON,
  REVERSIBLE_HEUN,
  RK4,
  RK38,
  RODAS4,
  RODAS5P,
  ROSENBROCK23,
  TSIT5,
  VERN7,
};

/** Every method by its name. */
export const METHODS = {
  euler: EULER,
  heun: HEUN,
  midpoint: MIDPOINT,
  ralston: RALSTON,
  rk4: RK4,
  rk38: RK38,
  bosh3: BOSH3,
  dopri5: DOPRI5,
  tsit5: TSIT5,
  vern7: VERN7,
  dopri8: DOPRI8,
  rosenbrock23: ROSENBROCK23,
  rodas4: RODAS4,
  rodas5p: RODAS5P,
  kvaerno3: KVAERNO3,
  kvaerno5: KVAERNO5,
  leapfrog: LEAPFROG,
  "reversible-heun": REVERSIBLE_HEUN,
} as const satisfies Record<MethodName, Method>;
