/**
 * The clipped gradient flow, the one that Propositions 1 and 3 of Marion, Wu, Sander and Biau (ICLR 2024) are about: bounded,
 * smooth in depth, without blow-up; and the plain flow as its limit.
 */
import type { CanonicalWeights } from "../../model/dense_stack.ts";
import type { Experiment, ExperimentContext, ExperimentResult } from "../experiment.ts";
import { planStudy, type Replica, runStudy } from "../study.ts";
import { syntheticNotes } from "../synthetic.ts";
import { claimsOf, differenceRows } from "./claims.ts";
import {
  type Case,
  type Clip,
  type ClippingConfig,
  casesOf,
  clippingSchema,
  idOf,
  nameOf,
  PRESETS,
  type Row,
  trainingOf,
} from "./config.ts";
import { figuresOf, tablesOf } from "./report.ts";

export { clipSize } from "./claims.ts";
export { type ClippingConfig, clippingSchema } from "./config.ts";

export const clipping: Experiment<ClippingConfig> = {
  name: "clipping",
  title: "The clipped gradient flow: bounded, smooth in depth, and without blow-up",
  summary:
    "The finite-time results of Marion, Wu, Sander and Biau (ICLR 2024) are about a clipped flow, dZ_k/dt = π(−L ∂ℓ/∂Z_k) with π bounded and Lipschitz. Here π projects " +
    "coordinates on [−C, C], or every matrix on a Euclidean ball, for several C. Measured: the exponent in L of the largest step between neighbouring layers " +
    "(Proposition 3: −1), the norms against M = T M_π + 2√(qm) (Proposition 3), what step sizes do under which the unclipped flow blows up (Proposition 1), and how the " +
    "clipped flow approaches the plain one as C grows.",
  schema: clippingSchema,
  presets: PRESETS,
  defaultPreset: "reduced",
  plan: (config, profile) =>
    planStudy(
      casesOf(config).map((one) => trainingOf(config, one)),
      profile,
    ),
  run,
};

function euclidean(...parts: ArrayLike<number>[]): number {
  let squares = 0;
  for (const part of parts) for (let i = 0; i < part.length; i++) squares += part[i]! ** 2;
  return Math.sqrt(squares);
}

/** How far the weights are from the start, as clipping bounds it: largest coordinate, or largest norm of A, a Z_k or B. */
function moved({ A, B, V, W }: CanonicalWeights, depth: number, clip: Clip["clip"]): number {
  if (clip === "coordinate")
    return [A, B, V, W].reduce((most, part) => part.reduce((m, x) => Math.max(m, Math.abs(x)), most), 0);
  const elements = V.length / depth;
  let most = Math.max(euclidean(A), euclidean(B));
  for (let k = 0; k < depth; k++) {
    const layer = [k * elements, (k + 1) * elements] as const;
    most = Math.max(most, euclidean(V.subarray(...layer), W.subarray(...layer)));
  }
  return most;
}

async function record(one: Case, replica: Replica, step: number): Promise<Row> {
  const { V, W } = await replica.depth();
  const { loss } = await replica.loss();
  const { A, B } = replica.initial();
  const change = await replica.change();
  const norm = (start: Float32Array, by: Float32Array) => euclidean(start.map((value, i) => value + by[i]!));
  const { clip, bound, rate, depth, seed } = one;
  return {
    case: nameOf(one),
    clip,
    bound,
    rate,
    depth,
    seed,
    step,
    time: step * rate,
    loss,
    max_step: Math.max(V.maxStep, W.maxStep),
    largest_norm: Math.max(V.maxNorm, W.maxNorm, norm(A, change.A), norm(B, change.B)),
    moved: moved(change, depth, clip),
  };
}

async function run(context: ExperimentContext<ClippingConfig>): Promise<ExperimentResult> {
  const { config } = context;
  const cases = new Map(casesOf(config).map((one) => [idOf(one), one]));
  const study = await runStudy(context, {
    trainings: [...cases.values()].map((one) => trainingOf(config, one)),
    record: async ({ id }, replica, step) => [await record(cases.get(id)!, replica, step)],
  });
  const finite = (rows: readonly Row[]) => rows.filter(({ loss }) => Number.isFinite(loss));
  const states = [...study.records.values()].flatMap(({ rows }) => finite(rows));
  const ends = [...study.records].flatMap(([id, { status, detail, rows }]): Row[] => {
    if (status === "cancelled") return [];
    const one = cases.get(id)!;
    const { clip, bound, rate, depth, seed } = one;
    const largest = (field: string) => Math.max(0, ...finite(rows).map((row) => row[field] as number));
    const last = rows.at(-1)?.loss;
    const blown = status === "diverged" || !Number.isFinite(last);
    return [
      {
        case: nameOf(one),
        clip,
        bound,
        rate,
        depth,
        seed,
        status: blown ? "diverged" : "done",
        detail: detail ?? null,
        loss: blown ? null : last!,
        largest_step: largest("max_step"),
        largest_norm: largest("largest_norm"),
        moved: largest("moved"),
      },
    ];
  });
  const differences = differenceRows(config, states);
  return {
    status: study.status,
    ...(study.detail !== undefined && { statusDetail: study.detail }),
    tables: tablesOf(config, states, ends, differences),
    figures: figuresOf(config),
    claims: claimsOf(config, ends, differences),
    notes: [
      ...syntheticNotes(config).map((note) =>
        note.replace("A = B = I held fixed", "A and B start as I and are trained"),
      ),
      `${config.steps} Euler steps of ${config.rate}, t = ${Number((config.steps * config.rate).toPrecision(6))}; ${config.seeds.length} seeds. Maxima over time are over the recorded steps.`,
      "M_π for coordinates is √p C with p the number of coordinates of the largest matrix; A, every Z_k = (V_k, W_k) and B are each projected on their own.",
      "The published code does not clip. Proposition 3 bounds by K/L with K independent of C; where C is small against the change of the gradient from one layer to the next, the steps are at most 2C t whatever L, and the exponent −1 needs deeper networks.",
      "GELU is unbounded, which Proposition 3 excludes. No float64 comparison (`--check`) here: kernels' tests hold both projections against float64.",
    ],
  };
}
