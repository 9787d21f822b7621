import { SOLVE_STATUSES } from "../../ode/controllers.ts";
import { reverseStepConstants } from "../../ode/ensemble_kernels.ts";
import { FIELDS } from "../../ode/fields.ts";
import {
  type EsdirkTableau,
  KVAERNO3,
  LEAPFROG,
  RK4,
  type SymplecticMethod,
  type Tableau,
} from "../../ode/tableaus.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import { rowsGrid, SLICE, trajectoryGrid } from "../../plan/ode.ts";
import { carriedRows, groupOf } from "../../plan/ode_record.ts";
import { replayWork, type StepSize, sumTrajectoriesWork } from "../../plan/ode_work.ts";
import { replayGradient } from "../../reference/ode_adjoint.ts";
import { parametersOf, solveParams, stepSize } from "./ode.ts";
import { at, EPSILON, type KernelRow, normal, type RowSizes, sample } from "./row.ts";

const LORENZ = FIELDS.lorenz;
const OSCILLATOR = FIELDS["harmonic-oscillator"];
const DIMENSION = 3;
const PULLBACK_FLOPS = 17;
/** LU factors of a 3 × 3 matrix, and a solve with them. */
const FACTOR_FLOPS = 13;
const SOLVE_FLOPS = 15;
const STEPS = 64;
/** Half of f at each kick and drift: −ω² q or p. */
const OSCILLATOR_SIZE: StepSize = { dimension: 1, evaluations: 3, fieldFlops: 2, fieldDepth: 2, rows: [1, 1, 1] };
/** A power of two: times of steps are exact. */
const DT = 2 ** -10;
/** Trajectories held against float64. */
const CHECKED = 16;

export function odeGradientRows(profile: DeviceProfile, { trajectories }: RowSizes): KernelRow[] {
  const group = groupOf(RK4.b.length, DIMENSION, profile.kind === "software");
  const [explicit, implicit] = [stepSize(RK4, false), esdirkSize(KVAERNO3)];
  return [
    replayRow(profile, trajectories, RK4, group, explicit, PULLBACK_FLOPS),
    // A stage has its own matrix: a product a row, factors, and a solve.
    replayRow(
      profile,
      trajectories,
      KVAERNO3,
      1,
      implicit,
      (DIMENSION + 1) * PULLBACK_FLOPS + FACTOR_FLOPS + SOLVE_FLOPS,
    ),
    replayRow(profile, trajectories, LEAPFROG, 1, OSCILLATOR_SIZE, 7),
    sumRow(profile, trajectories),
  ];
}

/** Two iterations of Newton's method a stage. */
function esdirkSize({ a, b }: EsdirkTableau): StepSize {
  return {
    dimension: DIMENSION,
    evaluations: 2 * b.length,
    fieldFlops: 8 + SOLVE_FLOPS,
    fieldDepth: 3 + 4 * DIMENSION,
    rows: a.slice(1).map((row) => row.length),
  };
}

/** Groups of steps from states of their own; the gradient of each group is that of a solve from there. */
function replayRow(
  profile: DeviceProfile,
  n: number,
  method: Tableau | EsdirkTableau | SymplecticMethod,
  group: number,
  size: StepSize,
  pullbackFlops: number,
): KernelRow {
  const isLorenz = method.kind !== "symplectic";
  const field = isLorenz ? LORENZ : OSCILLATOR;
  const { dimension } = field;
  const count = field.parameters.length;
  const parametersAt = (j: number) => (isLorenz ? parametersOf(n, j) : [Math.fround(1 + j / n)]);
  const checkpoints = STEPS / group;
  return {
    kernel: `ode/replay_${method.kind}`,
    shape: `${isLorenz ? "Lorenz" : "oscillator"}, ${n} trajectories, ${STEPS} steps`,
    work: replayWork(size, count, pullbackFlops, STEPS, n, dimension * checkpoints),
    prepare: () => {
      const slices = Math.ceil(n / SLICE);
      const [header, words] = [1 + 2 * slices, SLICE * (1 + dimension * checkpoints)];
      const states = normal("ode states", dimension * checkpoints * n);
      const stateOf = (j: number, checkpoint: number) =>
        Float32Array.from({ length: dimension }, (_, i) => states[(dimension * checkpoint + i) * n + j]!);
      const floats = new Float32Array(header + words * slices);
      const record = new Uint32Array(floats.buffer);
      record[0] = Math.log2(group);
      for (let s = 0; s < slices; s++) record.set([header + words * s, STEPS], 1 + 2 * s);
      for (let j = 0; j < n; j++) {
        const first = header + words * Math.floor(j / SLICE) + (j % SLICE);
        for (let row = 0; row < dimension * checkpoints; row++)
          floats[first + SLICE * (row + 1)] = states[row * n + j]!;
      }
      const state = new Uint32Array((dimension + 7) * n)
        .fill(SOLVE_STATUSES.done, (dimension + 1) * n, (dimension + 2) * n)
        .fill(STEPS, (dimension + 2) * n, (dimension + 3) * n);
      const problem = new Float32Array(4 * n).fill(STEPS * DT, 0, n).fill(DT, 2 * n, 3 * n);
      new Uint32Array(problem.buffer).fill(STEPS, 3 * n);
      const parameters = new Float32Array(count * n);
      for (let j = 0; j < n; j++) {
        parametersAt(j).forEach((p, i) => {
          parameters[i * n + j] = p;
        });
      }
      const cotangents = normal("ode cotangents", (dimension + 1) * n);
      return {
        variant: `${method.name}, ${group} together`,
        constants: {
          DIM: dimension,
          PARAMETERS: count,
          ODE_ADAPTIVE: false,
          ODE_GROUP: group,
          ODE_OUTPUTS: method.kind !== "explicit",
          ...reverseStepConstants(method, false),
        },
        part: { source: field.source, replaces: ["vector_field", "vector_field_vjp", "jacobian"] },
        tensors: {
          parameters,
          problem,
          list: new Uint32Array(slices).fill(STEPS),
          state,
          record,
          grid: 4,
          cotangents,
          sweep: carriedRows({ parameters: count }) * n,
        },
        params: { ...solveParams(n), attempts: STEPS },
        grid: trajectoryGrid(n, 1, profile),
        expected: () => {
          const chosen = sample(Math.min(n, CHECKED));
          const values = [...chosen].flatMap((j) => {
            let w = Float64Array.from({ length: dimension }, (_, i) => cotangents[i * n + j]!);
            for (let checkpoint = checkpoints - 1; checkpoint >= 0; checkpoint--) {
              const steps = new Float64Array(group).fill(DT);
              const solve = {
                method,
                t0: 0,
                y0: stateOf(j, checkpoint),
                parameters: parametersAt(j),
                steps,
              } as const;
              w = Float64Array.from(replayGradient(field, solve, { y: w }).y0);
            }
            return [...w];
          });
          const places = Uint32Array.from(
            [...chosen].flatMap((j) => Array.from({ length: dimension }, (_, i) => i * n + j)),
          );
          // Some thirty roundings a step of numbers up to 30.
          return [{ output: "cotangents", take: at(places), values, tolerance: 30 * STEPS * EPSILON * 30 }];
        },
      };
    },
  };
}

function sumRow(profile: DeviceProfile, n: number): KernelRow {
  const slices = Math.ceil(n / SLICE);
  return {
    kernel: "ode/sum_trajectories",
    shape: `${DIMENSION} rows, ${n} trajectories`,
    work: sumTrajectoriesWork(DIMENSION, n),
    prepare: () => {
      const x = normal("ode gradients", DIMENSION * n);
      return {
        variant: "",
        constants: {},
        tensors: { x, sums: DIMENSION * slices },
        params: { rows: DIMENSION, count: n, stride: n, out_stride: slices, first_out: 0 },
        grid: rowsGrid(slices, DIMENSION, profile),
        expected: () => {
          const values = Float64Array.from({ length: DIMENSION * slices }, (_, at) => {
            const [row, first] = [Math.floor(at / slices), SLICE * (at % slices)];
            return x
              .subarray(row * n + first, row * n + Math.min(first + SLICE, n))
              .reduce((sum, value) => sum + value, 0);
          });
          // Sums of up to 64 numbers up to 6.
          return [{ output: "sums", values, tolerance: SLICE * EPSILON * SLICE * 6 }];
        },
      };
    },
  };
}
