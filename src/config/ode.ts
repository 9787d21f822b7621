import { z } from "./schema.ts";

/** Explicit Runge–Kutta methods, by the names of their tableaus. */
export const EXPLICIT_METHODS = [
  "euler",
  "heun",
  "midpoint",
  "ralston",
  "rk4",
  "rk38",
  "bosh3",
  "dopri5",
  "tsit5",
  "vern7",
  "dopri8",
] as const;

/** Methods of the ensemble solver. */
export const SOLVE_METHODS = [
  ...EXPLICIT_METHODS,
  "rosenbrock23",
  "rodas4",
  "rodas5p",
  "kvaerno3",
  "kvaerno5",
  "leapfrog",
  "reversible-heun",
] as const;
export type SolveMethod = (typeof SOLVE_METHODS)[number];

/** Those without an error estimate. */
export const FIXED_STEP_METHODS: readonly SolveMethod[] = ["euler", "rk4", "rk38", "leapfrog"];

export const SOLVE_CONTROLLERS = ["diffrax-i", "diffrax-pi", "arkode-pid", "sciml-i", "sciml-pi"] as const;
export const SOLVE_NORMS = ["rms", "max"] as const;

/** Components of a state and parameters of a right-hand side that an invocation can hold. */
export const MOST_COMPONENTS = 64;
/** The same for implicit methods, which hold ∂f/∂y as well. */
export const MOST_IMPLICIT_COMPONENTS = 16;
/** Steps of a fixed length: step numbers are exact in float32 up to here. */
export const MOST_FIXED_STEPS = 16_777_216;

const positive = z.number().check(z.positive());
const notNegative = z.number().check(z.minimum(0));
const count = z.int().check(z.minimum(1));
const text = z.string().check(z.minLength(1));
const states = z._default(z.enum(["states", "saved"]), "states");
const numbers = z.union([z.array(z.number()), z.instanceof(Float32Array)]);

/**
 * A right-hand side in WGSL: `fn vector_field(t: f32, y: State, p: Params) -> State` with `State = array<f32, dimension>`
 * and `Params = array<f32, parameters>`; optional `fn event_value(t: f32, y: State, p: Params) -> f32`. Helper functions,
 * constants and structs may stand beside them; no bindings, entry points or module variables.
 */
export const fieldSchema = z.strictObject({
  name: text,
  dimension: z.int().check(z.minimum(1), z.maximum(MOST_COMPONENTS)),
  parameters: z
    .union([
      z.int().check(z.minimum(0), z.maximum(MOST_COMPONENTS)),
      z.array(z.string()).check(z.maxLength(MOST_COMPONENTS)),
    ])
    .check(z.describe("their names, or how many there are")),
  source: text,
});
export type UserField = z.infer<typeof fieldSchema>;

export const adaptiveStepsSchema = z.strictObject({
  kind: z.literal("adaptive"),
  rtol: z._default(notNegative, 1e-6),
  atol: z
    ._default(z.union([notNegative, z.array(notNegative).check(z.minLength(1))]), 1e-6)
    .check(z.describe("one number, or one a component")),
  controller: z._default(z.enum(SOLVE_CONTROLLERS), "diffrax-i"),
  norm: z._default(z.enum(SOLVE_NORMS), "rms").check(z.describe("of the scaled error over the components")),
  initialStep: z.optional(positive).check(z.describe("default: the rule of Hairer, Nørsett and Wanner")),
  minStep: z._default(notNegative, 0).check(z.describe("0: only a step that does not change t is too short")),
  maxStep: z.optional(positive),
  maxSteps: z
    ._default(z.int().check(z.minimum(0), z.maximum(2_000_000_000)), 100_000)
    .check(z.describe("accepted and rejected steps of a trajectory")),
});

/** Steps of equal length from t0, the last one shorter where `dt` does not divide the span. */
export const fixedStepsSchema = z
  .strictObject({
    kind: z.literal("fixed"),
    dt: z.optional(positive),
    count: z.optional(z.int().check(z.minimum(1), z.maximum(MOST_FIXED_STEPS))),
  })
  .check(
    z.refine(({ dt, count }) => (dt === undefined) !== (count === undefined), {
      path: ["dt"],
      message: "must be given, or count, and not both",
    }),
  );

export const stepsSchema = z.discriminatedUnion("kind", [adaptiveStepsSchema, fixedStepsSchema]);

export const saveSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("end") }),
  z.strictObject({
    kind: z.literal("grid"),
    times: z
      .union([numbers, z.array(numbers)])
      .check(z.describe("of every trajectory, or one list a trajectory; from t0 to t1")),
  }),
  z.strictObject({
    kind: z.literal("steps"),
    every: z._default(count, 1).check(z.describe("after every n-th accepted step")),
    capacity: z.optional(count).check(z.describe("saved points a trajectory; default: all of a fixed count, else 256")),
  }),
  z
    .strictObject({ kind: z.literal("statistics") })
    .check(z.describe("minimum, maximum, mean and variance over the time of each component")),
]);

export const eventSchema = z.strictObject({
  terminal: z._default(z.boolean(), true).check(z.describe("the trajectory ends at the crossing number `count`")),
  direction: z
    ._default(z.union([z.literal(-1), z.literal(0), z.literal(1)]), 0)
    .check(
      z.describe("crossings that count: 1 from negative to positive as the solve proceeds, -1 the other way, 0 both"),
    ),
  count: z._default(count, 1),
  maximum: z._default(count, 1).check(z.describe("crossings recorded a trajectory; all are counted")),
});

export const ADJOINTS = ["none", "replay", "reversible", "backsolve"] as const;

export const recordSchema = z.strictObject({
  bytes: z
    ._default(count, 268_435_456)
    .check(z.describe("device memory for the steps of trajectories reversed together")),
  every: z
    .optional(
      z.int().check(
        z.minimum(1),
        z.maximum(4096),
        z.refine((every) => (every & (every - 1)) === 0, "must be a power of two"),
      ),
    )
    .check(z.describe("steps from checkpoint to checkpoint; default: the fewest that fit the memory")),
});

export const ensembleSchema = z
  .strictObject({
    method: z._default(z.enum(SOLVE_METHODS), "tsit5"),
    steps: z._default(stepsSchema, adaptiveStepsSchema.parse({ kind: "adaptive" })),
    save: z._default(saveSchema, { kind: "end" }),
    event: z.optional(eventSchema),
    adjoint: z
      ._default(z.enum(ADJOINTS), "none")
      .check(
        z.describe(
          "gradients that the solve prepares for; replay: of the steps it took, recorded as it goes; reversible: the same of reversible-heun, its steps undone instead; backsolve: of the exact solution, by an integration back to t0",
        ),
      ),
    record: z._default(recordSchema, recordSchema.parse({})),
    chunk: z._default(
      z.strictObject({
        milliseconds: z._default(positive, 100).check(z.describe("time budget of a dispatch")),
        steps: z.optional(count).check(z.describe("step attempts of a dispatch, instead of the time budget")),
      }),
      { milliseconds: 100 },
    ),
  })
  .check(
    z.refine(({ method, steps }) => steps.kind === "fixed" || !FIXED_STEP_METHODS.includes(method), {
      path: ["method"],
      message: "must have an embedded method for adaptive steps",
    }),
  );
export type EnsembleConfig = z.infer<typeof ensembleSchema>;
/** What a caller writes: every field with a default may be left out. */
export type EnsembleInput = z.input<typeof ensembleSchema>;
export type StepsConfig = EnsembleConfig["steps"];
export type SaveConfig = EnsembleConfig["save"];

/** Reductions over the trajectories of an ensemble; of its final states, or of every time of a common save grid. */
export const reductionSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.enum(["mean", "variance", "minimum", "maximum"]),
      of: states,
    }),
    z.strictObject({
      kind: z.literal("mean-square"),
      of: states,
      target: z
        .union([z.array(z.number()), z.instanceof(Float32Array)])
        .check(z.describe("[dimension], or with saved points [points, dimension]: the mean of (y − target)², a loss")),
    }),
    z.strictObject({
      kind: z.literal("histogram"),
      of: states,
      bins: z.int().check(z.minimum(1), z.maximum(65_536)),
      low: z.number(),
      high: z.number(),
    }),
  ])
  .check(
    z.refine((reduction) => reduction.kind !== "histogram" || reduction.low < reduction.high, {
      path: ["high"],
      message: "must be above low",
    }),
  );
export type Reduction = z.input<typeof reductionSchema>;
