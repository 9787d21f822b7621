/** What the points of a work-precision run say: work at a given error, claims, tables and figures. Pure. */
import type { Claim, Figure, Table } from "../record.ts";
import { judge, meanInterval } from "../statistics.ts";
import { type SweepName, sweepOf, type WorkPrecisionConfig } from "./config.ts";
import type { PointRow } from "./solves.ts";

export interface FloorRow {
  readonly problem: SweepName;
  readonly floor: number;
}

/** Errors this many times the expected rounding are the method's own. */
const ABOVE_FLOOR = 10;
const CONFIDENCE = 0.95;
const LOW_ORDER = "bosh3";

interface Target {
  readonly problem: SweepName;
  readonly method: string;
  readonly order: number;
  readonly error: number;
  readonly evaluations: number;
  readonly time: number;
}

/** Work at an error, between the two tolerances around it, on straight lines of the logarithms. */
export function workAt(
  points: readonly Pick<PointRow, "error" | "evaluations" | "time">[],
  error: number,
): { evaluations: number; time: number } | undefined {
  for (let k = 1; k < points.length; k++) {
    const [loose, tight] = [points[k - 1], points[k]];
    if (!(loose.error > error && tight.error <= error)) continue;
    const part = tight.error > 0 ? Math.log(loose.error / error) / Math.log(loose.error / tight.error) : 1;
    const between = (a: number, b: number) => a * (b / a) ** part;
    return {
      evaluations: between(loose.evaluations, tight.evaluations),
      time: between(loose.time, tight.time),
    };
  }
  return undefined;
}

/** Points of each problem and method, from the loosest tolerance on. */
function curves(points: readonly PointRow[]): PointRow[][] {
  const byKey = new Map<string, PointRow[]>();
  for (const point of points) {
    const key = `${point.problem} ${point.method}`;
    byKey.set(key, [...(byKey.get(key) ?? []), point]);
  }
  return [...byKey.values()];
}

function targetsOf(points: readonly PointRow[]): Target[] {
  return curves(points).flatMap((curve) => {
    const { method, order } = curve[0];
    const problem = curve[0].problem as SweepName;
    const { target } = sweepOf(problem, 2);
    const work = workAt(curve, target);
    return work ? [{ problem, method, order, error: target, ...work }] : [];
  });
}

export function claims(points: readonly PointRow[], floors: readonly FloorRow[]): Claim[] {
  const targets = targetsOf(points);
  const methods = new Set(
    targets.filter(({ order, method }) => order > 3 && method !== LOW_ORDER).map((t) => t.method),
  );
  return [unfinished(points), falls(points, floors), ...[...methods].flatMap((method) => fewer(method, targets))];
}

function unfinished(points: readonly PointRow[]): Claim {
  const measured = points.length === 0 ? null : points.reduce((sum, point) => sum + point.unfinished, 0);
  const passes = { max: 0 };
  return {
    id: "finished",
    statement: "trajectories that did not reach t1",
    source: "measured for this project",
    measured,
    passes,
    verdict: judge(measured, passes),
  };
}

function falls(points: readonly PointRow[], floors: readonly FloorRow[]): Claim {
  let worst: { ratio: number; where: string } | undefined;
  let count = 0;
  for (const curve of curves(points)) {
    const floor = floors.find(({ problem }) => problem === curve[0].problem)?.floor ?? Number.POSITIVE_INFINITY;
    for (let k = 1; k < curve.length; k++) {
      if (!(curve[k - 1].error > ABOVE_FLOOR * floor)) continue;
      count++;
      const ratio = curve[k].error / curve[k - 1].error;
      const { problem, method, tolerance } = curve[k];
      if (worst === undefined || !(ratio <= worst.ratio))
        worst = { ratio, where: `${problem} by ${method} at ${tolerance}` };
    }
  }
  const measured = worst?.ratio ?? null;
  const passes = { max: 1 };
  return {
    id: "error-falls",
    statement: `error over that at the next looser tolerance, while that is above ${ABOVE_FLOOR} times the expected rounding`,
    source: "convergence with the tolerance",
    measured,
    passes,
    verdict: judge(measured, passes),
    note: worst ? `largest of ${count}: ${worst.where}` : "no error is that far above rounding",
  };
}

/** Evaluations of the pair of order 3 over those of a method of higher order, at the same error. */
function fewer(method: string, targets: readonly Target[]): Claim[] {
  const pairs = targets.flatMap((target) => {
    const low = targets.find(({ problem, method: other }) => other === LOW_ORDER && problem === target.problem);
    return target.method === method && low
      ? [{ problem: target.problem, ratio: low.evaluations / target.evaluations }]
      : [];
  });
  if (pairs.length === 0) return [];
  const { mean, interval } = meanInterval(
    pairs.map(({ ratio }) => Math.log(ratio)),
    CONFIDENCE,
  );
  const measured = Math.exp(mean);
  const passes = { min: 1 };
  // With one problem there is no interval, and the ratio itself is compared.
  const range = pairs.length > 1 ? ([Math.exp(interval[0]), Math.exp(interval[1])] as const) : undefined;
  return [
    {
      id: `evaluations-${method}`,
      statement: `evaluations of ${LOW_ORDER} over those of ${method} at the same error, geometric mean over the problems`,
      source: "work at an error ε grows like ε^(−1/order)",
      measured,
      ...(range && { interval: range, confidence: CONFIDENCE }),
      passes,
      verdict: judge(measured, passes, range),
      note: pairs.map(({ problem, ratio }) => `${problem} ${ratio.toPrecision(3)}`).join(", "),
    },
  ];
}

export function tables(points: readonly PointRow[], floors: readonly FloorRow[]): Table[] {
  const floorOf = (problem: string) => floors.find((row) => row.problem === problem)?.floor ?? null;
  return [
    {
      name: "points",
      description:
        "A solve of all trajectories by one method at one tolerance; lines `expected rounding` span the plot.",
      columns: [
        {
          name: "problem",
          description: "right-hand side, one parameter of which differs from trajectory to trajectory",
        },
        { name: "method", description: "its name" },
        { name: "kind", description: "measured, or the expected rounding" },
        { name: "order", description: "of the method" },
        { name: "tolerance", description: "rtol, and atol over the problem's scale" },
        { name: "error", description: "median over the sample of max_i |y_i − y*_i| / (scale + |y*_i|) at t1" },
        { name: "largest", description: "largest of the sample" },
        { name: "evaluations", description: "of f, mean over the trajectories" },
        { name: "accepted", unit: "steps", description: "accepted, mean" },
        { name: "rejected", unit: "steps", description: "rejected, mean" },
        { name: "unfinished", unit: "trajectories", description: "that did not reach t1" },
        { name: "time", unit: "µs", description: "of the solve over the trajectories, median of the repeats" },
        { name: "lower", unit: "µs", description: "first quartile" },
        { name: "upper", unit: "µs", description: "third quartile" },
      ],
      rows: [...points.map((point) => ({ ...point, kind: "measured" })), ...floorLines(points, floors)],
    },
    {
      name: "targets",
      description: "Work at the error at which methods are compared, interpolated between tolerances.",
      columns: [
        { name: "problem", description: "right-hand side" },
        { name: "method", description: "its name" },
        { name: "order", description: "of the method" },
        { name: "error", description: "at which work is compared" },
        { name: "evaluations", description: "of f a trajectory" },
        { name: "time", unit: "µs", description: "of a trajectory" },
        { name: "floor", description: "error that independent roundings, one a step, come to" },
      ],
      rows: targetsOf(points).map((target) => ({ ...target, floor: floorOf(target.problem) })),
    },
  ];
}

/** The expected rounding as a level line of each panel. */
function floorLines(points: readonly PointRow[], floors: readonly FloorRow[]): Table["rows"] {
  return floors.flatMap(({ problem, floor }) => {
    const own = points.filter((point) => point.problem === problem);
    if (own.length === 0) return [];
    return ([Math.min, Math.max] as const).map((end) => ({
      problem,
      method: "expected rounding",
      kind: "expected rounding",
      order: null,
      tolerance: null,
      error: floor,
      largest: null,
      evaluations: end(...own.map(({ evaluations }) => evaluations)),
      accepted: null,
      rejected: null,
      unfinished: null,
      time: end(...own.map(({ time }) => time)),
      lower: null,
      upper: null,
    }));
  });
}

export function figures({ problems, trajectories }: WorkPrecisionConfig): Figure[] {
  return problems.flatMap((problem) => {
    const { target } = sweepOf(problem, 2);
    const figure = (name: string, x: Figure["x"], title: string, caption: string): Figure => ({
      name: `${name}-${problem}`,
      title: `${problem}: ${title}`,
      caption: `${caption} Dashed: what independent roundings of float32, one a step, come to. Methods are compared at ${target.toExponential()}.`,
      table: "points",
      kind: "line",
      x: { ...x, scale: "log" },
      y: { field: "error", label: "error reached", scale: "log" },
      color: { field: "method", label: "method" },
      dash: { field: "kind", label: "line" },
      where: { problem },
    });
    return [
      figure(
        "time",
        { field: "time", label: "time of a trajectory, µs" },
        "error reached against time",
        `Every point is a tolerance: median error of a sample, and the time of ${trajectories.toLocaleString("en")} trajectories solved together, divided by their number.`,
      ),
      figure(
        "evaluations",
        { field: "evaluations", label: "evaluations of f a trajectory" },
        "error reached against evaluations of f",
        "The same points by the number of evaluations, which no device changes.",
      ),
    ];
  });
}

export function notes({ trajectories, sample, repeats }: WorkPrecisionConfig): string[] {
  return [
    `${trajectories.toLocaleString("en")} trajectories of one problem are solved together, each with its own steps; one parameter (Lorenz ρ, Lotka–Volterra α, Kepler μ, Robertson k₁) spreads evenly over ±5 %, so that neighbours take different numbers of steps.`,
    `Errors are those of ${sample} of them against float64 solves of the same float32 inputs (dopri8 at 1e-12; Robertson: rodas5p at 1e-9).`,
    `Times run from the first dispatch to the last status read on the host, without upload, compilation and the reading of states: medians of ${repeats} solves after one that is not timed. They depend on the number of trajectories and on what else the machine does.`,
    "The expected rounding takes one rounding of the state a step as independent, carried to t1 by the float64 derivative of the solution, on the steps of tsit5 (rodas5p) at 1e-6.",
  ];
}
