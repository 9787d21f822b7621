import { SOLVE_STATUSES } from "../../ode/controllers.ts";
import { shaderPart } from "../../ode/ensemble_setup.ts";
import { FIELDS, type VectorField } from "../../ode/fields.ts";
import { methodConstants, traitsOf } from "../../ode/method_constants.ts";
import { KVAERNO3, LEAPFROG, type Method, REVERSIBLE_HEUN, RODAS4 } from "../../ode/tableaus.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import { trajectoryGrid } from "../../plan/ode.ts";
import { implicitStepsWork } from "../../plan/ode_work.ts";
import type { Work } from "../../plan/work.ts";
import { integrate } from "../../reference/ode.ts";
import { parametersOf, solveParams } from "./ode.ts";
import { at, EPSILON, type KernelRow, type RowSizes, sample } from "./row.ts";

const STEPS = 100;
/** A power of two: times of steps are exact. */
const DT = 2 ** -10;
/** With steps of that length: more than any run of the benchmark takes. */
const COUNT = 16_777_216;
const CHECKED = 16;
const FLOAT = 4;
const HAS_SLOPE = 0x100;

interface Problem {
  readonly field: VectorField;
  readonly parametersOf: (n: number, j: number) => number[];
  readonly initialOf: (n: number, j: number) => number[];
}

const LORENZ: Problem = { field: FIELDS.lorenz, parametersOf, initialOf: () => [1, 0, 0] };
/** Circular orbits, of masses from 1 to 2. */
const massOf = (n: number, j: number) => Math.fround(1 + j / n);
const KEPLER: Problem = {
  field: FIELDS.kepler,
  parametersOf: (n, j) => [massOf(n, j)],
  initialOf: (n, j) => [1, 0, 0, Math.sqrt(massOf(n, j))].map(Math.fround),
};

const LORENZ_FIELD = { dimension: 3, fieldFlops: 8, fieldDepth: 3 };
/** Two squares, a root, two products and a quotient, two products. */
const KEPLER_FIELD = { fieldFlops: 8, fieldDepth: 6 };
const nonzero = (row: readonly number[]) => row.filter((x) => x !== 0).length;

/** Fixed steps of the methods that are not explicit. */
export function odeMethodRows(profile: DeviceProfile, { trajectories: n }: RowSizes): KernelRow[] {
  const rodas4 = {
    ...LORENZ_FIELD,
    evaluations: RODAS4.b.length,
    rows: [...RODAS4.a, ...RODAS4.coupling, RODAS4.b].map(nonzero).filter((m) => m > 0),
    jacobianFlops: 1,
    solves: RODAS4.b.length,
  };
  // Newton's method takes two iterations a stage here, the first that can tell its rate.
  const newton = 2 * (KVAERNO3.b.length - 1);
  const kvaerno3 = {
    ...LORENZ_FIELD,
    evaluations: newton,
    rows: [...KVAERNO3.a.map((row) => row.slice(0, -1)), ...KVAERNO3.predictor].map(nonzero).filter((m) => m > 0),
    jacobianFlops: 1,
    solves: newton,
  };
  const implicit = (step: typeof rodas4, kept: number) => implicitStepsWork(step, STEPS, n, 10 + kept, 4 + 3);
  // Two kicks and a drift of half the components, a product and a sum each.
  const leapfrog = { evaluations: 2, updateFlops: 3 * 2 * 2 };
  // 2 y − ŷ + h f and y + (h/2) (f + f).
  const reversibleHeun = { evaluations: 1, updateFlops: 4 * (4 + 3) };
  const partitioned = (step: typeof leapfrog, kept: number): Work => ({
    flops: n * STEPS * (step.evaluations * KEPLER_FIELD.fieldFlops + step.updateFlops),
    bytes: FLOAT * n * (2 * (11 + kept) + 4 + 1),
    sequential: STEPS * step.evaluations * (2 + KEPLER_FIELD.fieldDepth),
  });
  return [
    methodRow(profile, n, RODAS4, LORENZ, implicit(rodas4, 0)),
    methodRow(profile, n, KVAERNO3, LORENZ, implicit(kvaerno3, 3)),
    methodRow(profile, n, LEAPFROG, KEPLER, partitioned(leapfrog, 4)),
    methodRow(profile, n, REVERSIBLE_HEUN, KEPLER, partitioned(reversibleHeun, 8)),
  ];
}

/** Every dispatch goes on where the one before stopped; the span does not end. */
function methodRow(profile: DeviceProfile, n: number, method: Method, problem: Problem, work: Work): KernelRow {
  const { field, initialOf } = problem;
  const { dimension, parameters } = field;
  const { kernel, keepsSlope, keepsAuxiliary, fsal } = traitsOf(method);
  const kept = keepsSlope(false);
  return {
    kernel,
    shape: `${field.name}, ${n} trajectories, ${STEPS} steps`,
    work,
    prepare: () => {
      const state = new Float32Array((dimension + 7 + dimension * (Number(kept) + Number(keepsAuxiliary))) * n);
      const words = new Uint32Array(state.buffer);
      const givenParameters = new Float32Array(parameters.length * n);
      const put = (to: Float32Array, row: number, j: number, numbers: ArrayLike<number>) => {
        for (let i = 0; i < numbers.length; i++) to[(row + i) * n + j] = numbers[i]!;
      };
      for (let j = 0; j < n; j++) {
        const [y, p] = [initialOf(n, j), problem.parametersOf(n, j)];
        const slope = new Float64Array(dimension);
        field.evaluate(0, Float64Array.from(y), p, slope, Math.fround);
        put(state, 0, j, y);
        put(givenParameters, 0, j, p);
        words[(dimension + 1) * n + j] = SOLVE_STATUSES.not_finished | (fsal ? HAS_SLOPE : 0);
        if (kept) put(state, dimension + 7, j, slope);
        if (keepsAuxiliary) put(state, 2 * dimension + 7, j, y);
      }
      const mesh = new Float32Array(4 * n).fill(COUNT * DT, 0, n).fill(DT, 2 * n, 3 * n);
      new Uint32Array(mesh.buffer).fill(COUNT, 3 * n);
      return {
        variant: `${method.name}, fixed steps`,
        constants: {
          DIM: dimension,
          PARAMETERS: parameters.length,
          ODE_ADAPTIVE: false,
          ODE_KEEPS_SLOPE: kept,
          ODE_KEEPS_AUXILIARY: keepsAuxiliary,
          ...methodConstants(method, false, { functions: ["vector_field", "jacobian"], autonomous: true }),
        },
        part: shaderPart(field.source),
        tensors: {
          parameters: givenParameters,
          problem: mesh,
          grid: 4,
          list: 4,
          state,
          saved: 4,
          events: 4,
          record: 4,
        },
        params: { ...solveParams(n), attempts: STEPS },
        grid: trajectoryGrid(n, 1, profile),
        expected: () => {
          const chosen = sample(Math.min(n, CHECKED));
          const values = [...chosen].flatMap((j) => [
            ...integrate(field, {
              method,
              t0: 0,
              t1: STEPS * DT,
              y0: initialOf(n, j),
              parameters: problem.parametersOf(n, j),
              steps: { kind: "fixed", count: STEPS },
            }).y,
          ]);
          const places = Uint32Array.from(
            [...chosen].flatMap((j) => Array.from(field.components, (_, i) => i * n + j)),
          );
          // A hundred steps of a hundred roundings of numbers up to 4.
          return [{ output: "state", take: at(places), values, tolerance: 100 * STEPS * EPSILON * 4 }];
        },
      };
    },
  };
}
