import type { SolveMethod } from "../../config/ode.ts";
import { integrate } from "../../reference/ode.ts";
import { DETEST } from "../../reference/ode_problems.ts";
import { methodResiduals } from "../../reference/order_conditions.ts";
import type { Cell } from "../record.ts";
import { methodOf } from "../solve_plan.ts";

/** Order of a method, from its coefficients and from float64 solves that share them. */
export interface OrderRow extends Record<string, Cell> {
  readonly method: SolveMethod;
  readonly order: number;
  /** Largest residual of the order conditions up to the order, and of those one order above. */
  readonly residual: number | null;
  readonly nextResidual: number | null;
  /** Least slope of log error against log h over the problems. */
  readonly slope: number;
  readonly problems: string;
}

const END = 3;
const COUNTS = [3, 6, 12, 24, 48, 96, 192];
/** Errors below are rounding in float64, and of Rosenbrock methods the differences that stand for the Jacobian. */
const FLOOR = 3e-13;
const FLOOR_OF_DIFFERENCES = 1e-9;
/** Newton's method to the end, so that it adds no error of its own. */
const NEWTON = { rtol: 1e-12, atol: 1e-12 };

/** Not autonomous, and not linear; a symplectic method needs a separable one. */
function problemsOf(method: SolveMethod): readonly string[] {
  return methodOf(method).kind === "symplectic" ? ["D2"] : ["A3", "B4"];
}

export function orderRow(method: SolveMethod): OrderRow {
  const { order } = methodOf(method);
  const residuals = methodResiduals(method);
  const ids = problemsOf(method);
  return {
    method,
    order,
    residual: residuals ? Math.max(...residuals.slice(0, order)) : null,
    nextResidual: residuals?.[order] ?? null,
    slope: Math.min(...ids.map((id) => slopeOn(id, method))),
    problems: ids.join(", "),
  };
}

/** Over the finest halving of h whose finer error stands above the floor. */
function slopeOn(id: string, method: SolveMethod): number {
  const { system, t0, y0, exact } = DETEST.find((problem) => problem.id === id)!;
  const end = exact(END);
  const floor = methodOf(method).kind === "rosenbrock" ? FLOOR_OF_DIFFERENCES : FLOOR;
  const errorOf = (count: number): number => {
    const steps = { kind: "fixed", count } as const;
    const { status, y } = integrate(system, { method, t0, t1: END, y0, steps, newton: NEWTON });
    return status === "done" ? Math.max(...end.map((x, i) => Math.abs(y[i] - x))) : Number.POSITIVE_INFINITY;
  };
  let coarse = errorOf(COUNTS[0]);
  let found = Number.NaN;
  for (const count of COUNTS.slice(1)) {
    const fine = errorOf(count);
    if (fine < floor) break;
    found = Math.log2(coarse / fine);
    coarse = fine;
  }
  return found;
}
