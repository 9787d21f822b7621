import { z } from "zod";
import { SOLVE_METHODS, type SolveMethod } from "../../config/ode.ts";
import { type ConformanceProblem, PROBLEMS } from "../conformance/problems.ts";
import type { Preset } from "../experiment.ts";
import { isAdaptive, methodOf } from "../solve_plan.ts";

/** Problems by name: whose id in conformance_problems.ts, the parameter that differs from trajectory to trajectory, and by how much. */
const SWEEPS = {
  lorenz: { id: "lorenz-t-1", parameter: 1, target: 1e-5 },
  "lotka-volterra": { id: "lotka-volterra", parameter: 0, target: 1e-5 },
  // The phase of an orbit is good to 1e-4 in float32.
  kepler: { id: "D3", parameter: 0, target: 1e-3 },
  robertson: { id: "robertson-t-100", parameter: 0, target: 1e-5 },
} as const;
export type SweepName = keyof typeof SWEEPS;
const NAMES = Object.keys(SWEEPS) as [SweepName, ...SweepName[]];
/** Range of that parameter, relative. */
const SPREAD = 0.1;

const decreasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value < list[i - 1]);

export const workPrecisionSchema = z.strictObject({
  problems: z.array(z.enum(NAMES)).min(1),
  methods: z.array(z.enum(SOLVE_METHODS).refine(isAdaptive, "must have an error estimate")).min(1),
  tolerances: z
    .array(z.number().positive())
    .min(2)
    .refine(decreasing, "must be decreasing")
    .describe("rtol, and atol over the problem's scale"),
  trajectories: z.int().min(2).describe("of a solve; a parameter spreads over ±5 %"),
  sample: z.int().min(2).describe("of them, whose errors are measured"),
  repeats: z.int().min(3).describe("timed solves of every point, after one that is not"),
});
export type WorkPrecisionConfig = z.infer<typeof workPrecisionSchema>;

const PAPER: WorkPrecisionConfig = {
  problems: NAMES,
  methods: ["bosh3", "dopri5", "tsit5", "vern7", "dopri8", "rosenbrock23", "rodas4", "rodas5p", "kvaerno3", "kvaerno5"],
  tolerances: [1e-3, 1e-4, 1e-5, 1e-6, 1e-7],
  trajectories: 65_536,
  sample: 32,
  repeats: 9,
};
export const PRESETS: Record<Preset, WorkPrecisionConfig> = {
  paper: PAPER,
  reduced: {
    ...PAPER,
    methods: ["bosh3", "tsit5", "vern7", "dopri8", "rosenbrock23", "rodas5p", "kvaerno3"],
    trajectories: 8192,
    sample: 16,
    repeats: 7,
  },
  smoke: {
    ...PAPER,
    problems: ["lorenz", "lotka-volterra"],
    methods: ["bosh3", "tsit5"],
    tolerances: [1e-3, 1e-4, 1e-5, 1e-6],
    trajectories: 256,
    sample: 4,
    repeats: 3,
  },
};

/** A problem whose parameter differs from trajectory to trajectory; numbers as float32 has them. */
export interface Sweep {
  readonly name: SweepName;
  readonly problem: ConformanceProblem;
  /** [trajectories, parameters]. */
  readonly parameters: Float32Array;
  /** Error at which evaluations and times are compared. */
  readonly target: number;
}

export function sweepOf(name: SweepName, trajectories: number): Sweep {
  const { id, parameter, target } = SWEEPS[name];
  const problem = PROBLEMS.find((candidate) => candidate.id === id)!;
  const count = problem.parameters.length;
  const parameters = new Float32Array(trajectories * count);
  for (let j = 0; j < trajectories; j++) {
    problem.parameters.forEach((value, k) => {
      const factor = k === parameter ? 1 + SPREAD * (j / (trajectories - 1) - 0.5) : 1;
      parameters[j * count + k] = value * factor;
    });
  }
  return { name, problem, parameters, target };
}

/** Implicit methods solve the stiff problems, explicit ones the others: each kind where it is used. */
export function solvedBy(name: SweepName, method: SolveMethod): boolean {
  const { kind } = methodOf(method);
  const implicit = kind === "rosenbrock" || kind === "esdirk";
  return PROBLEMS.find(({ id }) => id === SWEEPS[name].id)!.stiff === implicit;
}

/**
 * Newton's method of the ESDIRK methods stops at a hundredth of the tolerance: below this, rounding to float32 keeps it from
 * there and steps shrink without end (Robertson by kvaerno3 at 1e-7: more than 100,000; 2026-11).
 */
const NEWTON_LIMIT = 100 * 2 ** -24;
/** Error estimates of Rosenbrock methods are rounding below (Robertson by rosenbrock23 at 1e-7: 16,000 evaluations; 2026-11). */
const ROSENBROCK_LIMIT = 1e-6;

export function tolerancesOf({ tolerances }: WorkPrecisionConfig, method: SolveMethod): readonly number[] {
  const { kind } = methodOf(method);
  const limit = kind === "esdirk" ? NEWTON_LIMIT : kind === "rosenbrock" ? ROSENBROCK_LIMIT : 0;
  return tolerances.filter((tolerance) => tolerance >= limit);
}
