/** What `roughness` trains: schema, presets and starts of chosen roughness. */
import { z } from "zod";
import { type InitialWeights, initialWeights } from "../../model/initialisation.ts";
import { RandomStream } from "../../model/random.ts";
import type { Preset } from "../experiment.ts";
import type { Cell } from "../record.ts";
import type { StudyTraining } from "../study.ts";
import { SYNTHETIC_TRAINED, syntheticData, syntheticFields, syntheticLoss, syntheticShape } from "../synthetic.ts";
import { recordSteps } from "../training.ts";

export type Row = Record<string, Cell>;

/** Perturbations of the tied start: one direction with alternating sign, or a walk of independent directions. */
const KINDS = ["zigzag", "walk"] as const;

export type Kind = (typeof KINDS)[number];

export const roughnessSchema = z.strictObject({
  ...syntheticFields,
  kinds: z.array(z.enum(KINDS)).min(1),
  roughness: z
    .array(z.number().positive())
    .min(1)
    .describe("r: neighbouring layers start at distance r/L; 0, the tied start, is always there"),
  rate: z.number().positive().describe("η, time step of the flow"),
  steps: z.int().min(2),
  records: z.int().min(1).describe("about how many states are recorded along a training"),
});

export type RoughnessConfig = z.infer<typeof roughnessSchema>;

const REDUCED: RoughnessConfig = {
  parametrisation: "code",
  activation: "gelu",
  samples: 50,
  width: 16,
  hidden: 32,
  depths: [16, 32, 64, 128, 256],
  seeds: [0, 1, 2],
  kinds: ["zigzag", "walk"],
  roughness: [1, 4, 16],
  rate: 0.05,
  steps: 60,
  records: 6,
};

export const PRESETS: Record<Preset, RoughnessConfig> = {
  paper: {
    ...REDUCED,
    samples: 100,
    depths: [16, 32, 64, 128, 256, 512, 1024],
    seeds: [0, 1, 2, 3, 4],
    rate: 0.01,
    steps: 500,
    records: 10,
  },
  reduced: REDUCED,
  smoke: {
    ...REDUCED,
    samples: 12,
    width: 4,
    hidden: 8,
    depths: [4, 8, 16],
    seeds: [0, 1],
    roughness: [1, 4],
    steps: 6,
    records: 2,
  },
};

/** Without roughness there is one start, whatever the kind. */
export interface Case {
  readonly kind: Kind | "tied";
  readonly r: number;
  readonly depth: number;
  readonly seed: number;
}

export function casesOf({ kinds, roughness, depths, seeds }: RoughnessConfig): Case[] {
  const starts: Pick<Case, "kind" | "r">[] = [
    { kind: "tied", r: 0 },
    ...kinds.flatMap((kind) => roughness.map((r) => ({ kind, r }))),
  ];
  return depths.flatMap((depth) => starts.flatMap((start) => seeds.map((seed) => ({ ...start, depth, seed }))));
}

export function idOf({ kind, r, depth, seed }: Case): string {
  return `${kind}-r${r}-L${depth}-seed${seed}`;
}

/**
 * Tied weights plus a perturbation with ‖V_{k+1} − V_k‖_F = ‖W_{k+1} − W_k‖_F = r / (2L), so ‖Z_{k+1} − Z_k‖ = r/L, in
 * the paper's norm ‖Z‖ = ‖V‖_F + ‖W‖_F.
 */
export function roughStart(config: RoughnessConfig, { kind, r, depth, seed }: Case): InitialWeights {
  const shape = syntheticShape(config, depth);
  const base = initialWeights({ shape, seed, initialisation: "tied" });
  const elements = shape.width * shape.hidden;
  const rough = (family: "V" | "W") => {
    const out = new Float32Array(depth * elements);
    const at = Float64Array.from(base[family]);
    const step = r / (2 * depth);
    for (let k = 0; k < depth; k++) {
      if (kind !== "tied" && (k > 0 || kind === "zigzag")) {
        const direction = unitVector(seed, `${family} ${kind} ${kind === "walk" ? k : 0}`, elements);
        // The zigzag goes from −step/2 to step/2 and back.
        const factor = kind === "walk" ? step : k === 0 ? -step / 2 : k % 2 === 1 ? step : -step;
        for (let i = 0; i < elements; i++) at[i] = at[i]! + factor * direction[i]!;
      }
      out.set(at, k * elements);
    }
    return out;
  };
  return { A: base.A, B: base.B, V: rough("V"), W: rough("W"), tied: false };
}

function unitVector(seed: number, stream: string, length: number): Float64Array {
  const vector = new RandomStream(seed, stream).fillNormal(new Float64Array(length));
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}

export function trainingOf(config: RoughnessConfig, one: Case): StudyTraining {
  const { rate, steps, records } = config;
  return {
    id: idOf(one),
    label: `${one.kind} r=${one.r} L=${one.depth} seed ${one.seed}`,
    spec: {
      shape: syntheticShape(config, one.depth),
      weights: roughStart(config, one),
      data: syntheticData(config, one.seed),
      loss: syntheticLoss(config),
      flow: { rate, trained: SYNTHETIC_TRAINED, stop: { steps } },
    },
    recordSteps: recordSteps(steps, records),
  };
}
