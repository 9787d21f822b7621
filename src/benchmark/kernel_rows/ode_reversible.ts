import { SOLVE_STATUSES } from "../../ode/controllers.ts";
import { FIELDS } from "../../ode/fields.ts";
import { REVERSIBLE_HEUN } from "../../ode/tableaus.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import { SLICE, trajectoryGrid } from "../../plan/ode.ts";
import { carriedRows } from "../../plan/ode_record.ts";
import { undoneStepsWork } from "../../plan/ode_work.ts";
import { replayGradient } from "../../reference/ode_adjoint.ts";
import { createStepper } from "../../reference/ode_steps.ts";
import { parametersOf, solveParams } from "./ode.ts";
import { at, EPSILON, type KernelRow, normal, type RowSizes, sample } from "./row.ts";

const LORENZ = FIELDS.lorenz;
const DIMENSION = 3;
const [FIELD_FLOPS, FIELD_DEPTH, PULLBACK_FLOPS] = [8, 3, 17];
const STEPS = 64;
/** A power of two: times of steps are exact. */
const DT = 2 ** -10;
/** Trajectories that are different; the others repeat them. */
const DIFFERENT = 64;
const CHECKED = 16;

/** Fixed steps of reversible Heun, undone. */
export function reversibleRow(profile: DeviceProfile, { trajectories: n }: RowSizes): KernelRow {
  return {
    kernel: "ode/reverse_reversible_heun",
    shape: `Lorenz, ${n} trajectories, ${STEPS} steps`,
    work: undoneStepsWork(DIMENSION, DIMENSION, FIELD_FLOPS, FIELD_DEPTH, PULLBACK_FLOPS, STEPS, n),
    prepare: () => {
      const slices = Math.ceil(n / SLICE);
      const ends = Array.from({ length: Math.min(n, DIFFERENT) }, (_, k) => endOf(k));
      const state = new Uint32Array((3 * DIMENSION + 7) * n)
        .fill(SOLVE_STATUSES.done, (DIMENSION + 1) * n, (DIMENSION + 2) * n)
        .fill(STEPS, (DIMENSION + 2) * n, (DIMENSION + 3) * n);
      const floats = new Float32Array(state.buffer);
      const parameters = new Float32Array(DIMENSION * n);
      for (let j = 0; j < n; j++) {
        const { y, slope, auxiliary } = ends[j % DIFFERENT]!;
        const p = parametersOf(DIFFERENT, j % DIFFERENT);
        for (let i = 0; i < DIMENSION; i++) {
          floats[i * n + j] = y[i]!;
          floats[(DIMENSION + 7 + i) * n + j] = slope[i]!;
          floats[(2 * DIMENSION + 7 + i) * n + j] = auxiliary[i]!;
          parameters[i * n + j] = p[i]!;
        }
      }
      const problem = new Float32Array(4 * n).fill(STEPS * DT, 0, n).fill(DT, 2 * n, 3 * n);
      new Uint32Array(problem.buffer).fill(STEPS, 3 * n);
      const cotangents = normal("ode cotangents", (DIMENSION + 1) * n);
      return {
        variant: "fixed steps",
        constants: { DIM: DIMENSION, PARAMETERS: DIMENSION, ODE_ADAPTIVE: false, ODE_KEEPS_AUXILIARY: true },
        part: { source: LORENZ.source, replaces: ["vector_field", "vector_field_vjp", "jacobian"] },
        tensors: {
          parameters,
          problem,
          list: new Uint32Array(slices).fill(STEPS),
          state,
          record: new Uint32Array(1 + 2 * slices),
          grid: 4,
          cotangents,
          sweep: (carriedRows({ parameters: DIMENSION }) + 5 * DIMENSION) * n,
        },
        params: { ...solveParams(n), attempts: STEPS },
        grid: trajectoryGrid(n, 1, profile),
        expected: () => {
          const chosen = sample(Math.min(n, CHECKED));
          const values = [...chosen].flatMap((j) => {
            const w = Float64Array.from({ length: DIMENSION }, (_, i) => cotangents[i * n + j]!);
            const solve = {
              method: "reversible-heun",
              t0: 0,
              y0: [1, 0, 0],
              parameters: parametersOf(DIFFERENT, j % DIFFERENT),
              steps: new Float64Array(STEPS).fill(DT),
            } as const;
            return [...replayGradient(LORENZ, solve, { y: w }).y0];
          });
          const places = Uint32Array.from([...chosen].flatMap((j) => [j, n + j, 2 * n + j]));
          // Some thirty roundings a step of numbers up to 30.
          return [{ output: "cotangents", take: at(places), values, tolerance: 30 * STEPS * EPSILON * 30 }];
        },
      };
    },
  };
}

/** Where a trajectory is after the steps, from (1, 0, 0). */
function endOf(k: number) {
  const stepper = createStepper(LORENZ, REVERSIBLE_HEUN, {
    parameters: Float64Array.from(parametersOf(DIFFERENT, k)),
    round: (x) => x,
    newton: { rtol: 1, atol: 1, norm: "max", kappa: 1, iterations: 1 },
    compensated: false,
    counters: { evaluations: 0, jacobians: 0 },
  });
  let attempt = stepper.attempt(0, DT, Float64Array.of(1, 0, 0));
  for (let i = 1; i < STEPS; i++) {
    stepper.accept(attempt);
    attempt = stepper.attempt(i * DT, DT, attempt.y1);
  }
  return { y: attempt.y1, slope: attempt.stages[1]!, auxiliary: attempt.arguments[1]! };
}
