import { z } from "./schema.ts";

export const FLOW_METHODS = ["euler", "heun", "rk4", "adaptive"] as const;
export const OPTIMISERS = ["descent", "momentum", "adam", "adamw"] as const;

const positive = z.number().check(z.positive());
const notNegative = z.number().check(z.minimum(0));
const fraction = z.number().check(z.minimum(0), z.lt(1));

/** Learning-rate schedules: a factor on every rate as a function of the step. */
export const scheduleSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("constant") }),
  z.strictObject({ kind: z.literal("step"), every: z.int().check(z.minimum(1)), factor: positive }),
  z.strictObject({ kind: z.literal("cosine"), total: z.int().check(z.minimum(1)) }),
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
 * Penalty on the differences of neighbouring layers, added to the loss that is descended (the losses that are reported are without it):
 * `norm` weight · (‖V_{2:} − V_{:L−1}‖_F + ‖W_{2:} − W_{:L−1}‖_F), norms over all layers together; `squared` the same of the squares; `tied` the
 * limit of a large weight: every layer moves by the mean gradient of all, so that layers equal at the start stay so and form a
 * network with shared weights.
 */
export const depthPenaltySchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none") }),
  z.strictObject({ kind: z.literal("norm"), weight: positive }),
  z.strictObject({ kind: z.literal("squared"), weight: positive }),
  z.strictObject({ kind: z.literal("tied") }),
]);

/**
 * Training: dA/dt = −∂ℓ/∂A, dZ_k/dt = −L ∂ℓ/∂Z_k, dB/dt = −∂ℓ/∂B in training time t (the paper's eq. 4), by a method of
 * `method` with time step `rate`; or, with `optimiser` other than `descent`, by a discrete optimiser on the same
 * right-hand sides with learning rate `rate`. Euler with `descent` is gradient descent with rates L·η, η.
 */
export const flowSchema = z
  .strictObject({
    method: z._default(z.enum(FLOW_METHODS), "euler"),
    optimiser: z._default(z.enum(OPTIMISERS), "descent"),
    rate: positive.check(
      z.describe("η: time step of the flow, learning rate of an optimiser; first step of `adaptive`"),
    ),
    groupRates: z
      ._default(z.strictObject({ A: notNegative, Z: notNegative, B: notNegative }), { A: 1, Z: 1, B: 1 })
      .check(z.describe("factor on the rate of each group")),
    layerFactors: z
      ._default(z.strictObject({ V: notNegative, W: notNegative }), { V: 1, W: 1 })
      .check(
        z.describe(
          "factors on L ∂ℓ/∂V_k and L ∂ℓ/∂W_k, before clipping and moments: the metric of the flow on Z; 0 freezes",
        ),
      ),
    trained: z
      ._default(z.strictObject({ A: z.boolean(), Z: z.boolean(), B: z.boolean() }), { A: true, Z: true, B: true })
      .check(z.describe("groups that move")),
    schedule: z._default(scheduleSchema, { kind: "constant" }),
    clip: z._default(clipSchema, { kind: "none" }),
    depthPenalty: z._default(depthPenaltySchema, { kind: "none" }),
    momentum: z._default(fraction, 0.9),
    weightDecay: z._default(notNegative, 0),
    beta1: z._default(fraction, 0.9),
    beta2: z._default(fraction, 0.999),
    epsilon: z._default(positive, 1e-8),
    atol: z._default(positive, 1e-6),
    rtol: z._default(positive, 1e-4),
    stop: z
      .strictObject({
        steps: z.int().check(z.minimum(0)),
        time: z.optional(positive),
        lossBelow: z.optional(positive),
        lossAbove: z.optional(positive).check(z.describe("counts as divergence")),
      })
      .check(z.describe("whichever comes first")),
  })
  .check(
    z.refine((flow) => flow.optimiser === "descent" || flow.method === "euler", {
      path: ["optimiser"],
      message: "must be descent unless method is euler: discrete optimisers have no continuous time",
    }),
    z.refine((flow) => flow.method !== "adaptive" || flow.schedule.kind === "constant", {
      path: ["schedule"],
      message: "must be constant with the adaptive method, which chooses its own steps",
    }),
    z.refine(({ layerFactors, weightDecay }) => weightDecay === 0 || (layerFactors.V > 0 && layerFactors.W > 0), {
      path: ["weightDecay"],
      message: "must be 0 where layerFactors freezes V or W: decay would move it",
    }),
  );
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
