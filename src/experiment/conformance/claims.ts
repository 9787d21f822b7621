import type { SolveMethod } from "../../config/ode.ts";
import { ORDER_ROUNDING } from "../../reference/order_conditions.ts";
import type { Claim } from "../record.ts";
import { isAdaptive, methodOf } from "../solve_plan.ts";
import { judge } from "../statistics.ts";
import type { ConformanceConfig } from "./config.ts";
import type { OrderRow } from "./orders.ts";
import type { SolvedRow } from "./solves.ts";

const FAN = "errors of the steps carried to t1, to first order (Hairer, Nørsett, Wanner, Solving ODEs I, II.3)";
const DIFFRAX = "tests of diffrax: DETEST in float64 against SciPy's DOP853";
const OWN = "measured for this project";

/** Of diffrax's DETEST test: error 4e-5 at tolerance 1e-8 from order 4 on, 1e-3 at 1e-6 below, where it takes class A alone. */
const TOLERANCES_FROM_ORDER_4 = 4000;
const TOLERANCES_BELOW = 1000;
/** OrdinaryDiffEq.jl's convergence tests of tableaus allow 0.3. */
const SLOPE_SHORTFALL = 0.3;
/** gradsolve (arXiv 2609.02876) lets step counts of float32 and float64 differ by as much, by tsit5. */
const STEP_DIFFERENCE = 2;
const STEP_METHOD = "tsit5";

interface Measured {
  readonly value: number;
  readonly where: string;
  readonly count: number;
}

function where({ problem, method, tolerance }: SolvedRow): string {
  return `${problem} by ${method}${tolerance === null ? "" : ` at ${tolerance}`}`;
}

/** A value that is not a number is the largest. */
function largest(rows: readonly SolvedRow[], of: (row: SolvedRow) => number): Measured | undefined {
  let found: Measured | undefined;
  for (const row of rows) {
    const value = of(row);
    if (found === undefined || !(value <= found.value))
      found = { value: Number.isNaN(value) ? Number.POSITIVE_INFINITY : value, where: where(row), count: rows.length };
  }
  return found;
}

function claim(
  id: string,
  statement: string,
  source: string,
  measured: Measured | undefined,
  passes: Claim["passes"],
  note?: string,
): Claim {
  const worst = measured && `largest of ${measured.count}: ${measured.where}`;
  const text = [worst, note].filter((part) => part !== undefined).join("; ") || "no solve of this kind in this run";
  // An infinite number is outside every range; a record holds finite ones.
  const value = measured === undefined ? null : Math.min(measured.value, Number.MAX_VALUE);
  return { id, statement, source, measured: value, passes, verdict: judge(value, passes), note: text };
}

export function claims(config: ConformanceConfig, rows: readonly SolvedRow[], orders: readonly OrderRow[]): Claim[] {
  const adaptive = rows.filter(({ tolerance }) => tolerance !== null);
  const fixed = rows.filter(({ tolerance }) => tolerance === null);
  const bounded = adaptive.filter(({ firstOrder }) => firstOrder);
  const toTolerance = (row: SolvedRow) => row.error / row.tolerance!;
  return [
    finished(rows),
    ...config.methods.filter(isAdaptive).flatMap((method) => boundOf(method, bounded)),
    claim(
      "detest-order-4",
      "DETEST by pairs of order 4 and more: error over tolerance",
      DIFFRAX,
      largest(
        adaptive.filter(({ detest, order }) => detest && order >= 4),
        toTolerance,
      ),
      { max: TOLERANCES_FROM_ORDER_4 },
    ),
    claim(
      "detest-order-3",
      "class A of DETEST by pairs of order 2 and 3: error over tolerance",
      DIFFRAX,
      largest(
        adaptive.filter(({ problem, detest, order }) => detest && problem.startsWith("A") && order < 4),
        toTolerance,
      ),
      { max: TOLERANCES_BELOW },
    ),
    ...(fixed.length > 0 ? [fixedSteps(fixed)] : []),
    stepCounts(rows),
    claim(
      "invariants",
      "drift of energies, momenta and other invariants, over what errors of the tolerance and roundings can move them by",
      FAN,
      largest(
        adaptive.filter(({ drift }) => drift !== null),
        ({ drift }) => drift!,
      ),
      { max: 1 },
    ),
    neighbours(rows),
    ...orderClaims(orders),
  ];
}

function finished(rows: readonly SolvedRow[]): Claim {
  const others = rows.filter(({ status }) => status !== "done");
  const list = others.slice(0, 5).map((row) => `${where(row)}: ${row.status}`);
  const measured = rows.length === 0 ? null : others.length;
  const passes = { max: 0 };
  return {
    id: "finished",
    statement: "solves that did not reach t1",
    source: OWN,
    measured,
    passes,
    verdict: judge(measured, passes),
    note: `of ${rows.length}${list.length > 0 ? `; ${list.join(", ")}` : ""}`,
  };
}

/** Of a method whose bounds are small enough somewhere. */
function boundOf(method: SolveMethod, bounded: readonly SolvedRow[]): Claim[] {
  const own = bounded.filter((row) => row.method === method);
  const inFloat64 = largest(own, ({ float64Error, bound }) => float64Error / bound!);
  if (inFloat64 === undefined) return [];
  const made = claim(
    `error-${method}`,
    `${method} (order ${methodOf(method).order}): error over what errors of the tolerance and roundings in every step can come to`,
    FAN,
    largest(own, ({ error, bound }) => error / bound!),
    { max: 1 },
    `in float64 ${inFloat64.value.toPrecision(3)} (${inFloat64.where})`,
  );
  return [made];
}

function fixedSteps(fixed: readonly SolvedRow[]): Claim {
  return claim(
    "float32-fixed",
    "fixed steps: distance to the float64 reference of the same steps, over what roundings can come to",
    FAN,
    largest(
      fixed.filter(({ firstOrder }) => firstOrder),
      (row) => row.difference / row.roundingBound,
    ),
    { max: 1 },
  );
}

function stepCounts(rows: readonly SolvedRow[]): Claim {
  const difference = ({ accepted, emulated }: SolvedRow) => Math.abs(accepted - emulated!);
  const compared = rows.filter(({ emulated }) => emulated !== null);
  const equal = compared.filter((row) => difference(row) === 0).length;
  const most = largest(compared, difference);
  return claim(
    "step-counts",
    `accepted steps of ${STEP_METHOD}: difference to those of the float32 emulation on the CPU`,
    "tests of gradsolve (arXiv 2609.02876), there between float32 and float64",
    largest(
      compared.filter(({ method }) => method === STEP_METHOD),
      difference,
    ),
    { max: STEP_DIFFERENCE },
    most &&
      `of all methods ${equal} of ${compared.length} are equal, and the largest difference is ${most.value} (${most.where}): ` +
        "WGSL leaves the last bits of a power to the device, and the error estimates of high order are mostly rounding",
  );
}

function neighbours(rows: readonly SolvedRow[]): Claim {
  const compared = rows.filter(({ sameBits }) => sameBits !== null);
  const measured = compared.length === 0 ? null : compared.filter(({ sameBits }) => !sameBits).length;
  const passes = { max: 0 };
  return {
    id: "neighbours",
    statement: "trajectories with another bit when solved alone, or among 130 in reverse order",
    source: OWN,
    measured,
    passes,
    verdict: judge(measured, passes),
    note: `of ${compared.length}`,
  };
}

function orderClaims(orders: readonly OrderRow[]): Claim[] {
  const withTrees = orders.filter(({ residual }) => residual !== null);
  const worst = withTrees.toSorted((a, b) => b.residual! - a.residual!)[0];
  const slowest = orders.toSorted((a, b) => a.slope - a.order - (b.slope - b.order))[0];
  const residual = { max: ORDER_ROUNDING };
  const shortfall = { min: -SLOPE_SHORTFALL };
  const below = slowest === undefined ? null : slowest.slope - slowest.order;
  return [
    {
      id: "order-conditions",
      statement: "largest residual of the order conditions by rooted trees, up to the order of each method",
      source: "rounding of the conditions in float64",
      measured: worst?.residual ?? null,
      passes: residual,
      verdict: judge(worst?.residual ?? null, residual),
      ...(worst && { note: `of ${withTrees.length} methods, that of ${worst.method}` }),
    },
    {
      id: "convergence",
      statement: "slope of log error against log h in float64, less the order",
      source: "convergence tests of OrdinaryDiffEq.jl",
      measured: below,
      passes: shortfall,
      verdict: judge(below, shortfall),
      ...(slowest && { note: `least of ${orders.length} methods, that of ${slowest.method} on ${slowest.problems}` }),
    },
  ];
}
