/**
 * Test problems with known solutions as right-hand sides in WGSL: those of DETEST (Hull, Enright, Fellen and Sedgwick, SIAM
 * J. Numer. Anal. 9, 1972), L1 and S1 of the SciML problem library, N1, which is not autonomous, T1–T3 of torchdiffeq's tests,
 * and a rigid body. Spans, initial states and solutions stand in src/reference/ode_problems.ts under the same names.
 */
import type { UserField } from "../config/ode.ts";
import { type FieldName, SIN_PAIR } from "./fields.ts";

/** A problem's right-hand side, built in or of its own, and the parameters that make it the problem. */
export interface ProblemField {
  readonly field: FieldName | UserField;
  readonly parameters: readonly number[];
}

function field(name: string, dimension: number, slope: string, parameters: readonly string[] = []): UserField {
  return { name, dimension, parameters: [...parameters], source: slopeFunction(slope) };
}

function slopeFunction(body: string): string {
  return `fn vector_field(t: f32, y: State, p: Params) -> State {\n  ${body}\n}\n`;
}

function needingSine(user: UserField): UserField {
  return { ...user, source: SIN_PAIR + user.source };
}

/** A system of `dimension` rows of one form, written out. */
function rows(dimension: number, row: (i: number) => string): string {
  return `return State(\n${Array.from({ length: dimension }, (_, i) => `    ${row(i)},`).join("\n")}\n  );`;
}

/** y' = M y with M the tridiagonal matrix (1, −2, 1). */
function heat(name: string, dimension: number): UserField {
  const row = (i: number) =>
    [...(i > 0 ? [`y[${i - 1}]`] : []), `-2.0 * y[${i}]`, ...(i < dimension - 1 ? [`y[${i + 1}]`] : [])].join(" + ");
  return field(name, dimension, rows(dimension, row));
}

const RIGID_BODY = field("rigid-body", 3, "return State(p[0] * y[1] * y[2], p[1] * y[0] * y[2], p[2] * y[0] * y[1]);", [
  "a",
  "b",
  "c",
]);

const own = (user: UserField): ProblemField => ({ field: user, parameters: [] });
const KEPLER: ProblemField = { field: "kepler", parameters: [1] };
const VAN_DER_POL: ProblemField = { field: "van-der-pol", parameters: [1] };

/** By the problem's name in src/reference/ode_problems.ts; those that name a built-in field there are left out. */
export const PROBLEM_FIELDS: Readonly<Record<string, ProblemField>> = {
  A1: { field: "exponential", parameters: [-1] },
  A2: own(field("A2", 1, "return State(-0.5 * y[0] * y[0] * y[0]);")),
  A3: own(needingSine(field("A3", 1, "return State(y[0] * sin_pair(t).y);"))),
  A4: { field: "logistic", parameters: [0.25, 20] },
  A5: own(field("A5", 1, "return State((y[0] - t) / (y[0] + t));")),
  B2: own(field("B2", 3, "return State(y[1] - y[0], y[0] - 2.0 * y[1] + y[2], y[1] - y[2]);")),
  B3: own(
    field(
      "B3",
      3,
      `let made = y[1] * y[1];
  return State(-y[0], y[0] - made, made);`,
    ),
  ),
  B4: own(
    field(
      "B4",
      3,
      `let r = sqrt(y[0] * y[0] + y[1] * y[1]);
  return State(-y[1] - y[0] * y[2] / r, y[0] - y[1] * y[2] / r, y[0] / r);`,
    ),
  ),
  B5: { field: RIGID_BODY, parameters: [1, -1, -0.51] },
  "rigid body": { field: RIGID_BODY, parameters: [-2, 1.25, -0.5] },
  C1: own(
    field(
      "C1",
      10,
      rows(10, (i) => [...(i > 0 ? [`y[${i - 1}]`] : []), ...(i < 9 ? [`-y[${i}]`] : [])].join(" ")),
    ),
  ),
  C2: own(
    field(
      "C2",
      10,
      rows(10, (i) =>
        [...(i > 0 ? [`${i}.0 * y[${i - 1}]`] : []), ...(i < 9 ? [`- ${i + 1}.0 * y[${i}]`] : [])].join(" "),
      ),
    ),
  ),
  C3: own(heat("C3", 10)),
  C4: own(heat("C4", 51)),
  D1: KEPLER,
  D2: KEPLER,
  D3: KEPLER,
  D4: KEPLER,
  D5: KEPLER,
  E1: own(
    field(
      "E1",
      2,
      `let s = t + 1.0;
  return State(y[1], -(y[1] / s + (1.0 - 0.25 / (s * s)) * y[0]));`,
    ),
  ),
  E2: VAN_DER_POL,
  E3: own(
    needingSine(field("E3", 2, "return State(y[1], y[0] * y[0] * y[0] / 6.0 - y[0] + 2.0 * sin_pair(2.78535 * t).x);")),
  ),
  E4: own(field("E4", 2, "return State(y[1], 0.032 - 0.4 * y[1] * y[1]);")),
  E5: own(field("E5", 2, "return State(y[1], sqrt(1.0 + y[1] * y[1]) / (25.0 - t));")),
  L1: { field: "exponential", parameters: [1.01] },
  S1: own(needingSine(field("S1", 1, "return State(sin_pair(y[0]).x);"))),
  N1: own(field("N1", 2, "return State(t * y[0] + y[1], t * y[1]);")),
  T1: own(
    field(
      "T1",
      1,
      `let d = y[0] - (0.2 * t + 3.0);
  let square = d * d;
  return State(0.2 + square * square * d);`,
    ),
  ),
  T2: own(
    needingSine(
      field(
        "T2",
        1,
        `let square = t * t;
  return State(2.0 * y[0] / t + square * square * sin_pair(2.0 * t).x - square + 4.0 * square * t);`,
      ),
    ),
  ),
  T3: own(field("T3", 1, "return State(-0.1 * exp(-0.1 * t));")),
};
