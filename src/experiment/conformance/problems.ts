import type { UserField } from "../../config/ode.ts";
import { FIELDS, type FieldName } from "../../ode/fields.ts";
import { PROBLEM_FIELDS } from "../../ode/problems.ts";
import {
  CLOSED_FORMS,
  DETEST,
  type OdeProblem,
  REFERENCE_VALUES,
  type ReferenceValue,
  ROBERTSON_VALUES,
} from "../../reference/ode_problems.ts";
import type { OdeSystem } from "../../reference/ode_steps.ts";

/** A function of t and y that stays the same along every solution. */
export interface ProblemInvariant {
  readonly name: string;
  value(t: number, y: ArrayLike<number>): number;
}

/** An initial-value problem with its solution at t1, for the device and for the float64 reference. */
export interface ConformanceProblem {
  readonly id: string;
  readonly dimension: number;
  readonly field: FieldName | UserField;
  readonly parameters: readonly number[];
  readonly system: OdeSystem;
  readonly t0: number;
  readonly t1: number;
  readonly y0: readonly number[];
  /** y(t1). */
  readonly expected: readonly number[];
  /** Where it comes from. */
  readonly reference: "closed form" | "40 digits" | "quadruple precision";
  readonly detest: boolean;
  readonly stiff: boolean;
  /** q' = G(t, p), p' = F(t, q): symplectic methods take it. */
  readonly separable: boolean;
  /** Size that a small component is measured against: errors in units of scale + |y_i|, atol = scale · tolerance. */
  readonly scale: number;
  readonly invariants: readonly ProblemInvariant[];
}

/** b of Robertson's problem is at most 3.6e-5. */
const ROBERTSON_SCALE = 1e-5;

function fromBuiltIn(name: FieldName, parameters: readonly number[]): ProblemInvariant[] {
  return FIELDS[name].invariants.map((invariant) => ({
    name: invariant.name,
    value: (_t, y) => invariant.value(Float64Array.from(y), parameters),
  }));
}

function invariantsOf(id: string, field: FieldName | UserField, parameters: readonly number[]): ProblemInvariant[] {
  if (typeof field === "string") return fromBuiltIn(field, parameters);
  if (id === "A5") {
    const value: ProblemInvariant["value"] = (t, y) => Math.hypot(t, y[0]) * Math.exp(-Math.atan2(t, y[0]));
    return [{ name: "√(t² + y²) e^−atan2(t, y)", value }];
  }
  if (field.name !== "rigid-body") return [];
  const [a, b, c] = parameters as [number, number, number];
  return [
    { name: "b y₁² − a y₂²", value: (_t, y) => b * y[0] * y[0] - a * y[1] * y[1] },
    { name: "c y₂² − b y₃²", value: (_t, y) => c * y[1] * y[1] - b * y[2] * y[2] },
  ];
}

/** A word for the command line: `lorenz, ρ = 21` is lorenz-rho-21. */
function word(name: string): string {
  return name
    .replace("ρ", "rho")
    .replace("β", "beta")
    .replace(/[^\w.]+/g, "-");
}

function common(id: string, system: OdeSystem | undefined, named?: ReferenceValue) {
  const builtIn = named?.field as FieldName | undefined;
  const { field, parameters } =
    builtIn === undefined ? PROBLEM_FIELDS[id] : { field: builtIn, parameters: named!.parameters };
  return {
    id: word(id),
    field,
    parameters,
    // Built-in fields round every operation when float32 is emulated; the others round f.
    system: typeof field === "string" ? FIELDS[field] : system!,
    detest: /^[A-E]\d$/.test(id),
    separable: typeof field === "string" ? FIELDS[field].separable : id === "E3",
    invariants: invariantsOf(id, field, parameters),
  };
}

function ofClosedForm({ id, system, t0, t1, y0, exact }: OdeProblem): ConformanceProblem {
  return {
    ...common(id, system),
    dimension: y0.length,
    t0,
    t1,
    y0,
    expected: exact(t1),
    reference: "closed form",
    stiff: false,
    scale: 1,
  };
}

function ofValue(value: ReferenceValue): ConformanceProblem {
  const { id, system, y0, t, y } = value;
  const stiff = value.field === "robertson";
  return {
    ...common(id, system, value),
    dimension: y0.length,
    t0: 0,
    t1: t,
    y0,
    expected: y,
    reference: stiff ? "quadruple precision" : id === "A5" ? "closed form" : "40 digits",
    stiff,
    scale: stiff ? ROBERTSON_SCALE : 1,
  };
}

/** Those of ode_problems.ts, DETEST in its order first. */
export const PROBLEMS: readonly ConformanceProblem[] = [
  ...[...DETEST.map(ofClosedForm), ...REFERENCE_VALUES.filter(({ id }) => /^[A-E]\d$/.test(id)).map(ofValue)].sort(
    (a, b) => a.id.localeCompare(b.id),
  ),
  ...CLOSED_FORMS.map(ofClosedForm),
  ...REFERENCE_VALUES.filter(({ id }) => !/^[A-E]\d$/.test(id)).map(ofValue),
  ...ROBERTSON_VALUES.map(ofValue),
];
