import { z } from "zod";
import { MOST_IMPLICIT_COMPONENTS, SOLVE_METHODS, type SolveMethod } from "../config/ode.ts";
import { METHODS, type Method } from "../ode/tableaus.ts";
import { type ConformanceProblem, PROBLEMS } from "./conformance_problems.ts";
import type { Preset } from "./experiment.ts";

const IDS = PROBLEMS.map(({ id }) => id) as [string, ...string[]];
const decreasing = (list: readonly number[]) => list.every((value, i) => i === 0 || value < list[i - 1]);

export const conformanceSchema = z.strictObject({
  problems: z.array(z.enum(IDS)).min(1),
  methods: z.array(z.enum(SOLVE_METHODS)).min(1),
  tolerances: z
    .array(z.number().positive())
    .min(1)
    .refine(decreasing, "must be decreasing")
    .describe("rtol, and atol over the problem's scale, of adaptive steps"),
  steps: z.array(z.int().min(1)).min(1).describe("numbers of steps of the methods without an error estimate"),
  largestDimension: z.int().min(1).describe("problems of more components are left out: their kernels compile slowly"),
});
export type ConformanceConfig = z.infer<typeof conformanceSchema>;

/** Explicit pairs of orders 3 to 8 and a fixed step; every kind of the others. */
const REPRESENTATIVE: readonly SolveMethod[] = ["bosh3", "dopri5", "tsit5", "vern7", "dopri8", "rk4"];

const PAPER: ConformanceConfig = {
  problems: IDS,
  methods: [...SOLVE_METHODS],
  tolerances: [1e-3, 1e-4, 1e-5, 1e-6],
  steps: [500, 2000],
  largestDimension: 51,
};
export const PRESETS: Record<Preset, ConformanceConfig> = {
  paper: PAPER,
  reduced: { ...PAPER, methods: [...REPRESENTATIVE], steps: [500], largestDimension: 10 },
  smoke: {
    ...PAPER,
    problems: ["A1", "A5", "B5", "D3", "lorenz-t-1", "lotka-volterra"],
    methods: ["bosh3", "tsit5"],
    tolerances: [1e-4, 1e-6],
    steps: [500],
  },
};

/** Pairs that estimate with Euler's method: their steps shorten like √tolerance. */
const LOWEST_OF_FIRST_ORDER = 1e-4;

/**
 * Methods that a problem is solved by: a stiff one by implicit methods, only a separable one by symplectic methods, and one too
 * large for implicit methods by explicit pairs alone, since float64 takes minutes to differentiate its many steps by the others.
 */
export function suits(problem: ConformanceProblem, name: SolveMethod): boolean {
  const method = methodOf(name);
  const implicit = method.kind === "rosenbrock" || method.kind === "esdirk";
  if (problem.stiff && !implicit) return false;
  if (method.kind === "symplectic" && !problem.separable) return false;
  return (
    problem.dimension <= MOST_IMPLICIT_COMPONENTS ||
    (method.kind === "explicit" && isAdaptive(name) && method.errorOrder! > 1)
  );
}

/** Of any kind, also where the methods of the solver are of fewer. */
export function methodOf(name: SolveMethod): Method {
  return METHODS[name];
}

export function isAdaptive(name: SolveMethod): boolean {
  return methodOf(name).errorOrder !== undefined;
}

export function tolerancesOf({ tolerances }: ConformanceConfig, name: SolveMethod): readonly number[] {
  return methodOf(name).errorOrder === 1 ? tolerances.filter((tau) => tau >= LOWEST_OF_FIRST_ORDER) : tolerances;
}

/** Problems that share a right-hand side are trajectories of one solve. */
export interface Group {
  readonly id: string;
  readonly method: SolveMethod;
  readonly problems: readonly ConformanceProblem[];
}

export function groupsOf(config: ConformanceConfig): Group[] {
  const chosen = PROBLEMS.filter(
    ({ id, dimension }) => config.problems.includes(id) && dimension <= config.largestDimension,
  );
  const groups: Group[] = [];
  for (const method of config.methods) {
    const byField = new Map<string, ConformanceProblem[]>();
    for (const problem of chosen.filter((candidate) => suits(candidate, method))) {
      const name = fieldName(problem);
      byField.set(name, [...(byField.get(name) ?? []), problem]);
    }
    for (const [name, problems] of byField) groups.push({ id: `${method}_${name}`, method, problems });
  }
  return groups;
}

export function fieldName({ field }: ConformanceProblem): string {
  return typeof field === "string" ? field : field.name;
}
