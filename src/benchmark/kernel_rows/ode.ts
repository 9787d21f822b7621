import type { Params } from "../../gpu/recorder.ts";
import { CONTROLLERS, SOLVE_STATUSES } from "../../ode/controllers.ts";
import { shaderPart } from "../../ode/ensemble_setup.ts";
import { controllerConstants, denseConstants, stepConstants } from "../../ode/explicit_constants.ts";
import { evaluation } from "../../ode/field_source.ts";
import { FIELDS } from "../../ode/fields.ts";
import { RK4, type Tableau, TSIT5 } from "../../ode/tableaus.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import { lanesOf, PARTIAL_WORDS, rowsGrid, SLICE, tallyGrid, trajectoryGrid } from "../../plan/ode.ts";
import {
  evaluateWork,
  histogramWork,
  momentsJoinWork,
  momentsWork,
  type StepSize,
  startWork,
  stepsWork,
  tallyWork,
} from "../../plan/ode_work.ts";
import { integrate } from "../../reference/ode.ts";
import { histogram, moments } from "../../reference/ode_reductions.ts";
import { at, EPSILON, type KernelRow, normal, type RowSizes, sample } from "./row.ts";

const LORENZ = FIELDS.lorenz;
const DIMENSION = 3;
/** Of the field: σ (y − x), x (ρ − z) − y, x y − β z. */
const FIELD = { fieldFlops: 8, fieldDepth: 3 };
const SPAN = 1e6;
const [RTOL, ATOL] = [1e-6, 1e-6];
const FIRST_STEP = 1e-3;
/** Trajectories held against float64. */
const CHECKED = 64;
const ADAPTIVE_ATTEMPTS = 40;
const FIXED_ATTEMPTS = 1000;
/** With steps of 1e-3: more than any run of the benchmark takes. */
const FIXED_COUNT = 16_777_216;

/** Rows of `state` and `problem` with adaptive steps, and with fixed ones. */
const ADAPTIVE = { state: 2 * DIMENSION + 12, problem: 3 };
const FIXED = { state: DIMENSION + 7, problem: 4 };
const [TIME, STATUS, SLOPE, STEP, PREVIOUS] = [3, 4, 10, 15, 16];
const HAS_SLOPE = 0x100;

export function odeRows(profile: DeviceProfile, { trajectories }: RowSizes): KernelRow[] {
  return [
    evaluateRow(profile, trajectories),
    startRow(profile, trajectories),
    adaptiveRow(profile, trajectories),
    fixedRow(profile, trajectories),
    tallyRow(profile, trajectories),
    momentsRow(profile, trajectories),
    momentsJoinRow(profile, trajectories),
    histogramRow(profile, trajectories),
  ];
}

/** ρ from 0 to 21: a trajectory at rest to one about to be chaotic. */
export const parametersOf = (n: number, j: number) => [10, (21 * j) / (n - 1), 8 / 3].map(Math.fround);

/** An ensemble at (1, 0, 0), its rows as the solvers have them. */
function ensemble(n: number, rows: { state: number; problem: number }) {
  const state = new Float32Array(rows.state * n);
  const parameters = new Float32Array(DIMENSION * n);
  for (let j = 0; j < n; j++) {
    state[j] = 1;
    parametersOf(n, j).forEach((p, i) => {
      parameters[i * n + j] = p;
    });
  }
  return { state, parameters, list: new Uint32Array(4), grid: new Uint32Array(4) };
}

export function solveParams(n: number): Params {
  return {
    count: n,
    listed: 0,
    stride: n,
    attempts: 1,
    first_step: 0,
    max_steps: 2_000_000_000,
    parameter_stride: n,
    parameter_step: 1,
    points: 0,
    ragged: 0,
    plane: 0,
    every: 1,
    event_maximum: 0,
    event_end: 0,
    zero: 0,
    dt_min: 0,
    dt_max: 3.4e38,
  };
}

const shared = { DIM: DIMENSION, PARAMETERS: DIMENSION };
const part = shaderPart(LORENZ.source);
const nonzero = (row: readonly number[]) => row.filter((x) => x !== 0).length;

export function stepSize(tableau: Tableau, adaptive: boolean): StepSize {
  const evaluations = tableau.b.length - (tableau.fsal ? 1 : 0);
  const rows = [...tableau.a.slice(1, tableau.fsal ? -1 : undefined), tableau.b].map(nonzero);
  return {
    dimension: DIMENSION,
    evaluations,
    ...FIELD,
    rows,
    ...(adaptive && { error: nonzero(tableau.error!) }),
  };
}

function adaptiveProblem(n: number): Float32Array<ArrayBuffer> {
  return new Float32Array(ADAPTIVE.problem * n)
    .fill(SPAN, 0, n)
    .fill(RTOL, n, 2 * n)
    .fill(ATOL, 2 * n);
}

/** Where the components of some trajectories lie. */
const components = (indices: Uint32Array, n: number) =>
  Uint32Array.from([...indices].flatMap((j) => [j, n + j, 2 * n + j]));

/** f, wᵀ ∂f/∂(y, p, t) and ∂f/∂y of Lorenz at n points. */
function evaluateRow(profile: DeviceProfile, n: number): KernelRow {
  const [rows, jacobian] = [2 * DIMENSION + 1, DIMENSION * DIMENSION];
  return {
    kernel: "ode/evaluate",
    shape: `Lorenz, ${n} points`,
    work: evaluateWork({ fieldFlops: FIELD.fieldFlops, pullbackFlops: 17, jacobianFlops: 1 }, n, [
      rows,
      DIMENSION,
      DIMENSION,
      1,
      rows,
      jacobian,
    ]),
    prepare: () => {
      const points = normal("ode points", rows * n);
      const [constants, functions] = evaluation(
        { dimension: DIMENSION, parameters: DIMENSION },
        {
          source: LORENZ.source,
          functions: ["vector_field", "vector_field_vjp", "jacobian"],
        },
      );
      return {
        variant: "",
        constants,
        part: functions,
        tensors: {
          points,
          cotangents: normal("ode cotangents", DIMENSION * n),
          slopes: DIMENSION * n,
          event_values: n,
          pullbacks: rows * n,
          jacobians: jacobian * n,
        },
        params: { count: n },
        grid: trajectoryGrid(n, 1, profile),
        expected: () => {
          const chosen = sample(n);
          const values = [...chosen].flatMap((j) => {
            const number = (row: number) => points[row * n + j]!;
            const slope = new Float64Array(DIMENSION);
            const y = Float64Array.of(number(0), number(1), number(2));
            LORENZ.evaluate(0, y, [number(3), number(4), number(5)], slope, (x) => x);
            return [...slope];
          });
          // Four roundings of products of normal numbers, each at most 6.
          return [{ output: "slopes", take: at(components(chosen, n)), values, tolerance: 8 * 36 * EPSILON }];
        },
      };
    },
  };
}

function startRow(profile: DeviceProfile, n: number): KernelRow {
  return {
    kernel: "ode/start",
    shape: `Lorenz, ${n} trajectories`,
    work: startWork({ dimension: DIMENSION, fieldFlops: FIELD.fieldFlops }, n, ADAPTIVE.state, ADAPTIVE.problem + 3),
    prepare: () => ({
      variant: "adaptive",
      constants: { ...shared, ODE_INVERSE_ORDER: 1 / 5 },
      part,
      tensors: { ...ensemble(n, ADAPTIVE), problem: adaptiveProblem(n), saved: 4 },
      params: solveParams(n),
      grid: trajectoryGrid(n, 1, profile),
      expected: () => {
        const chosen = sample(n);
        const slopes = Float64Array.from([...chosen].flatMap((j) => slopeOf(n, j)));
        const slopeAt = components(chosen, n).map((place) => SLOPE * n + place);
        return [{ output: "state", take: at(slopeAt), values: slopes, tolerance: 64 * EPSILON }];
      },
    }),
  };
}

function slopeOf(n: number, j: number): number[] {
  const slope = new Float64Array(DIMENSION);
  LORENZ.evaluate(0, Float64Array.of(1, 0, 0), parametersOf(n, j), slope, Math.fround);
  return [...slope];
}

/** Every dispatch goes on where the one before stopped; the span does not end. */
function adaptiveRow(profile: DeviceProfile, n: number): KernelRow {
  return {
    kernel: "ode/explicit",
    shape: `Lorenz, ${n} trajectories, ${ADAPTIVE_ATTEMPTS} attempts`,
    work: stepsWork(stepSize(TSIT5, true), ADAPTIVE_ATTEMPTS, n, ADAPTIVE.state, ADAPTIVE.problem + 3),
    prepare: () => {
      const tensors = ensemble(n, ADAPTIVE);
      const words = new Uint32Array(tensors.state.buffer);
      for (let j = 0; j < n; j++) {
        words[STATUS * n + j] = SOLVE_STATUSES.not_finished | HAS_SLOPE;
        slopeOf(n, j).forEach((slope, i) => {
          tensors.state[(SLOPE + i) * n + j] = slope;
        });
        tensors.state[STEP * n + j] = FIRST_STEP;
      }
      tensors.state.fill(1, PREVIOUS * n);
      return {
        variant: "tsit5, adaptive",
        constants: {
          ...shared,
          ...stepConstants(TSIT5, false),
          ...denseConstants(TSIT5, false),
          ...controllerConstants(CONTROLLERS["diffrax-i"], TSIT5.errorOrder! + 1),
        },
        part,
        tensors: { ...tensors, problem: adaptiveProblem(n), saved: 4, events: 4, record: 4 },
        params: { ...solveParams(n), attempts: ADAPTIVE_ATTEMPTS },
        grid: trajectoryGrid(n, 1, profile),
        // Where each trajectory got to, it must be on the solution; ρ is too small for errors to grow.
        expected: () => [
          {
            output: "state",
            take: (state) => distances(state, n),
            values: new Float64Array(DIMENSION * Math.min(n, CHECKED)),
            // A tolerance each attempt, of numbers up to 30.
            tolerance: ADAPTIVE_ATTEMPTS * (ATOL + 30 * RTOL),
          },
        ],
      };
    },
  };
}

/** Components of the first trajectories, without those of the solution at the same time. */
function distances(state: Float32Array, n: number): Float64Array {
  const found = new Float64Array(DIMENSION * Math.min(n, CHECKED));
  for (let k = 0; k < Math.min(n, CHECKED); k++) {
    const j = Math.floor((k * n) / Math.min(n, CHECKED));
    const { y } = integrate(LORENZ, {
      method: "dopri8",
      t0: 0,
      t1: state[TIME * n + j]!,
      y0: [1, 0, 0],
      parameters: parametersOf(n, j),
      steps: { kind: "adaptive", rtol: 1e-11, atol: 1e-11 },
    });
    for (let i = 0; i < DIMENSION; i++) found[DIMENSION * k + i] = state[i * n + j]! - y[i]!;
  }
  return found;
}

function fixedRow(profile: DeviceProfile, n: number): KernelRow {
  const dt = 1e-3;
  const lanes = lanesOf({ adaptive: false, watched: false, dimension: DIMENSION }, profile);
  return {
    kernel: "ode/explicit_fixed",
    shape: `Lorenz, ${n} trajectories, ${FIXED_ATTEMPTS} steps`,
    work: stepsWork(stepSize(RK4, false), FIXED_ATTEMPTS, n, FIXED.state, FIXED.problem + 3),
    prepare: () => {
      const { parameters, list, state } = ensemble(n, FIXED);
      new Uint32Array(state.buffer).fill(SOLVE_STATUSES.not_finished, STATUS * n, (STATUS + 1) * n);
      const problem = new Float32Array(FIXED.problem * n).fill(SPAN, 0, n).fill(dt, 2 * n, 3 * n);
      new Uint32Array(problem.buffer).fill(FIXED_COUNT, 3 * n);
      return {
        variant: `rk4, ${lanes} an invocation`,
        constants: {
          ...shared,
          ODE_ADAPTIVE: false,
          ODE_KEEPS_SLOPE: false,
          ...stepConstants(RK4, false),
          ODE_LANES: lanes,
          ODE_EVALUATIONS: 4,
        },
        part,
        tensors: { parameters, problem, list, state, record: 4 },
        params: { ...solveParams(n), attempts: FIXED_ATTEMPTS },
        grid: trajectoryGrid(n, lanes, profile),
        expected: () => {
          const chosen = sample(Math.min(n, CHECKED));
          const values = [...chosen].flatMap((j) => {
            const steps = { kind: "fixed", count: FIXED_ATTEMPTS } as const;
            const t1 = FIXED_ATTEMPTS * dt;
            const parameters = parametersOf(n, j);
            return [...integrate(LORENZ, { method: "rk4", t0: 0, t1, y0: [1, 0, 0], parameters, steps }).y];
          });
          // A thousand roundings of numbers up to 30, which grow like e^t and less.
          return [
            { output: "state", take: at(components(chosen, n)), values, tolerance: 8 * FIXED_ATTEMPTS * EPSILON * 30 },
          ];
        },
      };
    },
  };
}

/** One row of numbers for each component, and for each trajectory a status: two thirds are done. */
function finals(n: number) {
  const status = Uint32Array.from({ length: n }, (_, j) =>
    j % 3 === 0 ? SOLVE_STATUSES.max_steps : SOLVE_STATUSES.done,
  );
  const x = Float32Array.from({ length: DIMENSION * n }, (_, i) => Math.sin(i));
  const row = (i: number) => [...x.subarray(i * n, (i + 1) * n)].filter((_, j) => j % 3 !== 0);
  return { status, x, row };
}

function tallyRow(profile: DeviceProfile, n: number): KernelRow {
  return {
    kernel: "ode/tally",
    shape: `${n} trajectories`,
    work: tallyWork(n, 0),
    prepare: () => {
      const { status } = finals(n);
      const state = new Uint32Array(3 * n);
      state.set(status);
      state.fill(1, n);
      return {
        variant: "",
        constants: {},
        tensors: { state, list: n, totals: 12 },
        params: { count: n, stride: n, status_row: 0, rejected_row: 2 },
        grid: tallyGrid(n, profile),
        expected: () => [
          {
            output: "totals",
            take: (totals) => Float64Array.from(new Uint32Array(totals.buffer, 0, 12)),
            values: [n - Math.ceil(n / 3), 0, Math.ceil(n / 3), 0, 0, 0, 0, 0, n, 0, n, 0],
            tolerance: 0,
          },
        ],
      };
    },
  };
}

function momentsRow(profile: DeviceProfile, n: number): KernelRow {
  const slices = Math.ceil(n / SLICE);
  return {
    kernel: "ode/moments",
    shape: `${DIMENSION} components, ${n} trajectories`,
    work: momentsWork(DIMENSION, n),
    prepare: () => {
      const { status, x, row } = finals(n);
      return {
        variant: "",
        constants: {},
        tensors: { x, state: status, partial: PARTIAL_WORDS * DIMENSION * slices },
        params: {
          first_row: 0,
          rows: DIMENSION,
          count: n,
          stride: n,
          slices,
          first_slice: 0,
          status_row: 0,
          points: 0,
        },
        grid: rowsGrid(slices, DIMENSION, profile),
        expected: () => [
          {
            output: "partial",
            take: at(Uint32Array.of(1, 2)),
            values: (({ mean, spread }) => [mean, spread])(moments(row(0).slice(0, slicedCount(n)))),
            // 43 updates of numbers up to 1.
            tolerance: 64 * SLICE * EPSILON,
          },
        ],
      };
    },
  };
}

/** Trajectories that are done among the first slice. */
const slicedCount = (n: number) => Math.min(n, SLICE) - Math.ceil(Math.min(n, SLICE) / 3);

function momentsJoinRow(profile: DeviceProfile, n: number): KernelRow {
  const slices = Math.ceil(n / SLICE);
  const results = Math.ceil(slices / SLICE);
  return {
    kernel: "ode/moments_join",
    shape: `${DIMENSION} components, ${slices} partial results`,
    work: momentsJoinWork(DIMENSION, slices),
    prepare: () => {
      const partial = new Float32Array(PARTIAL_WORDS * DIMENSION * slices);
      const counts = new Uint32Array(partial.buffer);
      for (let k = 0; k < DIMENSION * slices; k++) {
        counts[PARTIAL_WORDS * k] = 1;
        partial[PARTIAL_WORDS * k + 1] = Math.sin(k);
      }
      const means = Array.from({ length: Math.min(SLICE, slices) }, (_, k) => Math.sin(k));
      return {
        variant: "",
        constants: {},
        tensors: { partial: counts, result: PARTIAL_WORDS * DIMENSION * results },
        params: { rows: DIMENSION, slices, results },
        grid: rowsGrid(results, DIMENSION, profile),
        expected: () => [
          {
            output: "result",
            take: at(Uint32Array.of(1, 2)),
            values: (({ mean, spread }) => [mean, spread])(moments(means)),
            tolerance: 64 * SLICE * EPSILON,
          },
        ],
      };
    },
  };
}

function histogramRow(profile: DeviceProfile, n: number): KernelRow {
  const [bins, low, high] = [64, -1, 1];
  return {
    kernel: "ode/histogram",
    shape: `${DIMENSION} components, ${n} trajectories, ${bins} bins`,
    work: histogramWork(DIMENSION, n),
    prepare: () => {
      const { status, x, row } = finals(n);
      return {
        variant: "",
        constants: {},
        tensors: { x, state: status, counts: DIMENSION * (bins + 2) },
        params: {
          rows: DIMENSION,
          count: n,
          stride: n,
          status_row: 0,
          points: 0,
          bins,
          low,
          high,
          per_width: bins / (high - low),
        },
        grid: rowsGrid(n, DIMENSION, profile),
        expected: () => [
          {
            output: "counts",
            take: (counts) => Float64Array.from(new Uint32Array(counts.buffer, 0, bins + 2)),
            values: histogram(row(0), bins, low, high),
            // Numbers on the edge of two bins.
            tolerance: 2,
          },
        ],
      };
    },
  };
}
