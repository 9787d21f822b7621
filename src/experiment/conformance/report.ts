import type { Figure, Table } from "../record.ts";
import { median } from "../statistics.ts";
import type { ConformanceConfig } from "./config.ts";
import type { OrderRow } from "./orders.ts";
import { PROBLEMS } from "./problems.ts";
import { ROUNDINGS, type SolvedRow } from "./solves.ts";

/** Class of a problem: that of DETEST, or `other`. */
function classOf({ detest, problem }: SolvedRow): string {
  return detest ? problem[0] : "other";
}

export function tables(rows: readonly SolvedRow[], orders: readonly OrderRow[]): Table[] {
  return [
    {
      name: "solves",
      description:
        "Every problem by every method at every tolerance: one trajectory of the device, and its float64 reference.",
      columns: [
        {
          name: "problem",
          description: "A1 to E5: DETEST; L1, S1: SciML; N1: not autonomous; T1 to T3: torchdiffeq; others by name",
        },
        { name: "detest", description: "whether it belongs to DETEST" },
        { name: "method", description: "its name" },
        { name: "order", description: "of the method" },
        { name: "dimension", unit: "components", description: "of the state" },
        { name: "adaptive", description: "whether the steps are" },
        { name: "tolerance", description: "rtol, and atol over the problem's scale; none with fixed steps" },
        { name: "status", description: "of the trajectory" },
        { name: "accepted", unit: "steps", description: "accepted" },
        { name: "rejected", unit: "steps", description: "rejected" },
        { name: "evaluations", description: "of f" },
        { name: "error", description: "max_i |y_i − y*_i| / (scale + |y*_i|) at t1" },
        { name: "float64Error", description: "the same of the float64 reference with the same method and tolerance" },
        { name: "difference", description: "the same of the device's result to that of the float64 reference" },
        { name: "float64Accepted", unit: "steps", description: "accepted in float64" },
        { name: "amplification", description: "Σ over the steps of what a relative error of 1 becomes at t1" },
        { name: "roundingBound", description: `amplification · ${ROUNDINGS} · 2⁻²⁴` },
        { name: "bound", description: `amplification · (√dimension · tolerance + ${ROUNDINGS} · 2⁻²⁴)` },
        {
          name: "firstOrder",
          description:
            "whether the bound (of fixed steps: roundingBound) is at most 0.1, where first order says something",
        },
        { name: "emulated", unit: "steps", description: "accepted in the float32 emulation on the CPU" },
        { name: "drift", description: "of the invariant that drifted most, over its bound" },
        { name: "invariant", description: "its name" },
        { name: "sameBits", description: "whether other neighbours leave every bit as it was" },
      ],
      rows: inOrder(rows),
    },
    {
      name: "classes",
      description: "Errors of the problems of a class by one method at one tolerance.",
      columns: [
        {
          name: "class",
          description: "of DETEST (A scalar, B small systems, C moderate systems, D orbits, E higher order), or other",
        },
        { name: "method", description: "its name" },
        { name: "tolerance", description: "rtol and atol" },
        { name: "problems", description: "in the class" },
        { name: "error", description: "median of the scaled errors" },
        { name: "lowest", description: "smallest" },
        { name: "highest", description: "largest" },
      ],
      rows: classRows(rows),
    },
    {
      name: "orders",
      description: "Order of the methods, from their coefficients and from float64 solves.",
      columns: [
        { name: "method", description: "its name" },
        { name: "order", description: "of the method" },
        { name: "residual", description: "largest of the order conditions up to the order" },
        { name: "nextResidual", description: "largest of the conditions one order above" },
        { name: "slope", description: "of log error against log h, least of the problems" },
        { name: "problems", description: "that it is measured on" },
      ],
      rows: [...orders],
    },
  ];
}

/** Method by method, and of each the last problem first: a heat map begins at its foot. */
function inOrder(rows: readonly SolvedRow[]): SolvedRow[] {
  const place = new Map(PROBLEMS.map(({ id }, i) => [id, i]));
  const methods = [...new Set(rows.map(({ method: name }) => name))];
  return rows.toSorted(
    (a, b) => methods.indexOf(a.method) - methods.indexOf(b.method) || place.get(b.problem)! - place.get(a.problem)!,
  );
}

function classRows(rows: readonly SolvedRow[]): Table["rows"] {
  const byKey = new Map<string, SolvedRow[]>();
  for (const row of rows.filter(({ tolerance, error }) => tolerance !== null && Number.isFinite(error))) {
    const key = JSON.stringify([classOf(row), row.method, row.tolerance]);
    byKey.set(key, [...(byKey.get(key) ?? []), row]);
  }
  const sorted = [...byKey.values()].sort(([a], [b]) => classOf(a).localeCompare(classOf(b)));
  return sorted.map((members) => {
    const errors = members.map(({ error }) => error);
    const [first] = members;
    return {
      class: classOf(first),
      method: first.method,
      tolerance: first.tolerance,
      problems: members.length,
      error: median(errors),
      lowest: Math.min(...errors),
      highest: Math.max(...errors),
    };
  });
}

const method = { field: "method", label: "method" };

function errorMap(detest: boolean, tolerance: number): Figure {
  return {
    name: detest ? "error-detest" : "error-others",
    title: `Errors ${detest ? "of DETEST" : "beyond DETEST"} at tolerance ${tolerance.toExponential()}`,
    caption:
      "Largest error of a component at t1, relative to scale + |y|. A column is a method, a row a problem; grey: not solved by that method." +
      (detest
        ? " The phase of orbits (D) drifts with the energy: their errors grow like t²; scalar problems and decay (A, B2, C) lose little more than the rounding of float32."
        : " Errors of Lorenz's system grow like e^0.9 t: those at t = 10 are 8,000 times those made at the start."),
    table: "solves",
    kind: "heatmap",
    x: { ...method, scale: "ordinal" },
    y: { field: "problem", label: "problem", scale: "ordinal" },
    color: { field: "error", label: "error", scale: "log" },
    where: { tolerance, detest },
  };
}

export function figures({ tolerances }: ConformanceConfig): Figure[] {
  const finest = tolerances.at(-1)!;
  return [
    errorMap(true, finest),
    errorMap(false, finest),
    {
      name: "error-and-tolerance",
      title: "Error follows the tolerance down to the rounding of float32",
      caption: "Median over the problems of a class of DETEST; other: those beyond DETEST.",
      table: "classes",
      kind: "line",
      x: { field: "tolerance", label: "tolerance", scale: "log" },
      y: { field: "error", label: "median error", scale: "log" },
      color: method,
      columnFacet: { field: "class", label: "class" },
    },
    {
      name: "error-and-bound",
      title: "Errors, and what those of the steps can add up to",
      caption:
        "The bound takes an error of the tolerance and a few roundings in every accepted step, carried to t1 by the float64 derivative of the solution, all with the worst sign. " +
        "Points near the line: few steps, or problems that forget nothing. Bounds above 0.1 are left out: to first order they say nothing.",
      table: "solves",
      kind: "point",
      x: { field: "bound", label: "bound of the error", scale: "log" },
      y: { field: "error", label: "error", scale: "log" },
      color: method,
      roof: { rising: [{ value: 1, label: "error = bound" }], level: [] },
      where: { firstOrder: true, adaptive: true },
    },
    {
      name: "float32-and-float64",
      title: "What float32 costs: errors of the device and of float64",
      caption:
        "The same problem, method and tolerance in both. On the line the method's own error decides; to the left of it, above the line, the rounding of float32.",
      table: "solves",
      kind: "point",
      x: { field: "float64Error", label: "error in float64", scale: "log" },
      y: { field: "error", label: "error on the device (float32)", scale: "log" },
      color: method,
      roof: { rising: [{ value: 1, label: "equal" }], level: [] },
    },
  ];
}

export function notes(config: ConformanceConfig): string[] {
  const forms = PROBLEMS.filter(({ reference }) => reference === "closed form").length;
  const left = PROBLEMS.filter(({ dimension }) => dimension > config.largestDimension).map(({ id }) => id);
  return [
    `${forms} of the ${PROBLEMS.length} problems have closed forms; the others are compared with end states of 20 digits by extrapolation in 40 digits, Robertson's with diffrax's in quadruple precision.`,
    "A bound to first order is compared with errors where it is at most 0.1 (column firstOrder): beyond, the problem is not linear in its errors.",
    "Errors are relative to scale + |y_i|, the unit of the tolerances; the scale is 1, and 1e-5 for Robertson's problem, whose second component stays below 4e-5.",
    `The bound of an error takes each step's error as large as the tolerance allows (√d times it in one of d components) and ${ROUNDINGS} roundings: one of the new state, and three of the stages, whose rounded arguments enter times h‖∂f/∂y‖, below 3 where an explicit method is stable. Derivatives of the solution are those of the float64 solve, step by step.`,
    "The ranges of DETEST are those of diffrax's tests in float64 (4e-5 at 1e-8 from order 4 on, 1e-3 at 1e-6 below), in units of the tolerance.",
    ...(left.length > 0
      ? [`Left out for the time their kernels take to compile: ${left.join(", ")} (preset paper has them).`]
      : []),
  ];
}
