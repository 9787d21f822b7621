import { z } from "zod";
import { MOST_IMPLICIT_COMPONENTS, SOLVE_METHODS, type SolveMethod } from "../../config/ode.ts";
import type { Preset } from "../experiment.ts";
import { methodOf } from "../solve_plan.ts";
import { type ConformanceProblem, PROBLEMS } from "./problems.ts";

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

/** A fixed step, explicit pairs of orders 3 to 8, and every other kind. */
const REPRESENTATIVE: readonly SolveMethod[] = [
  "rk4",
  "bosh3",
  "dopri5",
  "tsit5",
  "vern7",
  "dopri8",
  "rosenbrock23",
  "rodas5p",
  "kvaerno3",
  "leapfrog",
  "reversible-heun",
];

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
 * Methods that a problem is solved by: a stiff one by implicit methods; a separable one, which oscillates, by symplectic methods
 * and by reversible Heun, which is stable for imaginary eigenvalues alone and explodes where solutions decay (Kidger and others,
 * arXiv 2105.13493); one too large for implicit methods by explicit pairs, since float64 takes minutes to
 * differentiate its many steps by the others.
 */
export function suits(problem: ConformanceProblem, name: SolveMethod): boolean {
  const { kind, errorOrder } = methodOf(name);
  if (problem.stiff) return kind === "rosenbrock" || kind === "esdirk";
  if (kind === "symplectic" || kind === "reversible-heun") return problem.separable;
  return (
    problem.dimension <= MOST_IMPLICIT_COMPONENTS || (kind === "explicit" && errorOrder !== undefined && errorOrder > 1)
  );
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
