import { z } from "zod";

export const FLOW_METHODS = ["euler", "heun", "rk4", "adaptive"] as const;
export const OPTIMISERS = ["descent", "momentum", "adam", "adamw"] as const;

const positive = z.number().positive();

/** Learning-rate schedules: a factor on every rate as a function of the step. */
export const scheduleSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("constant") }),
  z.strictObject({ kind: z.literal("step"), every: z.int().min(1), factor: positive }),
  z.strictObject({ kind: z.literal("cosine"), total: z.int().min(1) }),
]);
export type Schedule = z.infer<typeof scheduleSchema>;

/**
 * Clipping π of each right-hand side, after the factor L (the paper's eq. 5): `coordinate` projects on the l_∞ ball of
 * radius `bound`, `norm` projects A, every Z_k = (V_k, W_k) and B each on the Euclidean ball.
 */
export const clipSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none") }),
  z.strictObject({ kind: z.literal("coordinate"), bound: positive }),
  z.strictObject({ kind: z.literal("norm"), bound: positive }),
]);

/**
 * Training: dA/dt = −∂ℓ/∂A, dZ_k/dt = −L ∂ℓ/∂Z_k, dB/dt = −∂ℓ/∂B in training time t (the paper's eq. 4), by a method of
 * `method` with time step `rate`; or, with `optimiser` other than `descent`, by a discrete optimiser on the same
 * right-hand sides with learning rate `rate`. Euler with `descent` is gradient descent with rates L·η, η.
 */
export const flowSchema = z
  .strictObject({
    method: z.enum(FLOW_METHODS).default("euler"),
    optimiser: z.enum(OPTIMISERS).default("descent"),
    rate: positive.describe("η: time step of the flow, learning rate of an optimiser; first step of `adaptive`"),
    groupRates: z
      .strictObject({ A: z.number().min(0), Z: z.number().min(0), B: z.number().min(0) })
      .default({ A: 1, Z: 1, B: 1 })
      .describe("factor on the rate of each group"),
    trained: z
      .strictObject({ A: z.boolean(), Z: z.boolean(), B: z.boolean() })
      .default({ A: true, Z: true, B: true })
      .describe("groups that move"),
    schedule: scheduleSchema.default({ kind: "constant" }),
    clip: clipSchema.default({ kind: "none" }),
    momentum: z.number().min(0).lt(1).default(0.9),
    weightDecay: z.number().min(0).default(0),
    beta1: z.number().min(0).lt(1).default(0.9),
    beta2: z.number().min(0).lt(1).default(0.999),
    epsilon: positive.default(1e-8),
    atol: positive.default(1e-6),
    rtol: positive.default(1e-4),
    stop: z
      .strictObject({
        steps: z.int().min(0),
        time: positive.optional(),
        lossBelow: positive.optional(),
        lossAbove: positive.optional().describe("counts as divergence"),
      })
      .describe("whichever comes first"),
  })
  .refine((flow) => flow.optimiser === "descent" || flow.method === "euler", {
    path: ["optimiser"],
    message: "must be descent unless method is euler: discrete optimisers have no continuous time",
  })
  .refine((flow) => flow.method !== "adaptive" || flow.schedule.kind === "constant", {
    path: ["schedule"],
    message: "must be constant with the adaptive method, which chooses its own steps",
  });
export type FlowConfig = z.infer<typeof flowSchema>;
/** What a caller writes: every field with a default may be left out. */
export type FlowInput = z.input<typeof flowSchema>;

/** Factor of the schedule at a step. */
export function scheduleFactor(schedule: Schedule, step: number): number {
  switch (schedule.kind) {
    case "constant":
      return 1;
    case "step":
      return schedule.factor ** Math.floor(step / schedule.every);
    case "cosine":
      return (1 + Math.cos((Math.PI * Math.min(step, schedule.total)) / schedule.total)) / 2;
  }
}
