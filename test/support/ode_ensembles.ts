import { expect } from "vitest";
import type { EnsembleInput, UserField } from "../../src/config/ode.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { EnsembleSolve } from "../../src/ode/ensemble.ts";
import type { EnsembleProblem } from "../../src/ode/ensemble_types.ts";
import { FIELDS, type FieldName } from "../../src/ode/fields.ts";
import { integrate, type OdeOptions, type OdeSolution } from "../../src/reference/ode.ts";
import type { OdeSystem } from "../../src/reference/ode_steps.ts";

/** x' = t x + y, y' = t y: x = e^{t²/2} (x0 + t y0), y = e^{t²/2} y0 from t = 0. */
export const N1: UserField & { readonly system: OdeSystem } = {
  name: "N1",
  dimension: 2,
  parameters: 0,
  source: "fn vector_field(t: f32, y: State, p: Params) -> State { return State(t * y[0] + y[1], t * y[1]); }",
  system: {
    dimension: 2,
    evaluate: (t, y, _p, dydt, round) => {
      dydt[0] = round(round(t * y[0]) + y[1]);
      dydt[1] = round(t * y[1]);
    },
  },
};

/** y' = y²: infinite at t = 1/y0. */
export const BLOW_UP: UserField & { readonly system: OdeSystem } = {
  name: "blow-up",
  dimension: 1,
  parameters: 0,
  source: "fn vector_field(t: f32, y: State, p: Params) -> State { return State(y[0] * y[0]); }",
  system: {
    dimension: 1,
    evaluate: (_t, y, _p, dydt, round) => {
      dydt[0] = round(y[0] * y[0]);
    },
  },
};

/** A falling body, whose height is the event. */
export const BALL: UserField & { readonly system: OdeSystem } = {
  name: "ball",
  dimension: 2,
  parameters: ["g"],
  source: `fn vector_field(t: f32, y: State, p: Params) -> State { return State(y[1], -p[0]); }
fn event_value(t: f32, y: State, p: Params) -> f32 { return y[0]; }`,
  system: FIELDS["falling-body"],
};

/** x' = v, v' = −x with the event x. */
export const SWING: UserField & { readonly system: OdeSystem } = {
  name: "swing",
  dimension: 2,
  parameters: 0,
  source: `fn vector_field(t: f32, y: State, p: Params) -> State { return State(y[1], -y[0]); }
fn event_value(t: f32, y: State, p: Params) -> f32 { return y[0]; }`,
  system: {
    dimension: 2,
    evaluate: (_t, y, _p, dydt) => {
      dydt[0] = y[1];
      dydt[1] = -y[0];
    },
  },
};

export interface Case {
  readonly field: FieldName | (UserField & { readonly system: OdeSystem });
  readonly initial: Float32Array;
  readonly parameters?: Float32Array;
  readonly start: number | Float32Array;
  readonly end: number | Float32Array;
}

const dimensionOf = ({ field }: Case) => (typeof field === "string" ? FIELDS[field].dimension : field.dimension);
const at = (value: number | Float32Array, j: number) => (typeof value === "number" ? value : value[j]);

/** The trajectories of a case in the order of `which`. */
export function pick(source: Case, which: readonly number[]): Case {
  const dimension = dimensionOf(source);
  const rows = (x: Float32Array, width: number) =>
    Float32Array.from(which.flatMap((j) => [...x.subarray(j * width, (j + 1) * width)]));
  const n = source.initial.length / dimension;
  const { parameters } = source;
  return {
    field: source.field,
    initial: rows(source.initial, dimension),
    ...(parameters && { parameters: rows(parameters, parameters.length / n) }),
    start: Float32Array.from(which, (j) => at(source.start, j)),
    end: Float32Array.from(which, (j) => at(source.end, j)),
  };
}

export function problemOf(source: Case): EnsembleProblem {
  const { field, ...rest } = source;
  if (typeof field === "string") return { field, ...rest };
  const { system: _, ...user } = field;
  return { field: user, ...rest };
}

/** The reference on trajectory j of a case; `Math.fround` emulates float32. */
export function reference(
  source: Case,
  j: number,
  options: Omit<OdeOptions, "t0" | "t1" | "y0" | "parameters">,
): OdeSolution {
  const dimension = dimensionOf(source);
  const n = source.initial.length / dimension;
  const { field, parameters } = source;
  const builtIn = typeof field === "string" ? FIELDS[field] : undefined;
  const width = parameters ? parameters.length / n : 0;
  return integrate(builtIn ?? (field as { system: OdeSystem }).system, {
    ...options,
    t0: at(source.start, j),
    t1: at(source.end, j),
    y0: source.initial.subarray(j * dimension, (j + 1) * dimension),
    parameters: parameters ? parameters.subarray(j * width, (j + 1) * width) : (builtIn?.defaults ?? []),
  });
}

/** Solves a case and returns everything that a solve of its kind has to tell. */
export async function solveCase(gpu: Gpu, source: Case, options: EnsembleInput) {
  const solve = await EnsembleSolve.create(gpu, problemOf(source), options);
  const summary = await solve.run();
  const { save, event } = solve.config;
  const result = {
    summary,
    states: await solve.states(),
    times: await solve.times(),
    ...(await solve.status()),
    saved: save.kind === "grid" || save.kind === "steps" ? await solve.saved() : undefined,
    events: event ? await solve.events() : undefined,
    statistics: save.kind === "statistics" ? await solve.statistics() : undefined,
  };
  solve.destroy();
  await gpu.settle();
  return result;
}
export type Solved = Awaited<ReturnType<typeof solveCase>>;

/** Equal bit for bit, NaN included. */
export function expectSameBits(a: Float32Array | Uint32Array, b: Float32Array | Uint32Array): void {
  const bits = (x: Float32Array | Uint32Array) => [...new Uint32Array(x.buffer, x.byteOffset, x.length)];
  expect(bits(a)).toEqual(bits(b));
}
