/** The paper's synthetic set-up: inputs and targets independent normal vectors, d = q = d', A = B = I held fixed. */
import { z } from "zod";
import { ACTIVATIONS, type DenseShape, type Loss } from "../config/dense.ts";
import type { DenseData } from "../model/dense_pass.ts";
import { RandomStream } from "../model/random.ts";
import type { Column } from "./record.ts";
import { logLogSlope, meanInterval } from "./statistics.ts";

/** Fields that every experiment on this set-up has. */
export const syntheticFields = {
  parametrisation: z
    .enum(["code", "paper"])
    .describe("code: no width factors, loss mean over outputs; paper: 1/√m and 1/√q, loss summed over outputs"),
  activation: z.enum(ACTIVATIONS),
  samples: z.int().min(1).describe("n"),
  width: z.int().min(1).describe("d = q = d'"),
  hidden: z.int().min(1).describe("m"),
  depths: z
    .array(z.int().min(2))
    .min(1)
    .refine((list) => list.every((value, i) => i === 0 || value > list[i - 1]!), "must be increasing"),
  seeds: z
    .array(z.int().min(0))
    .min(1)
    .refine((list) => new Set(list).size === list.length, "must not repeat")
    .describe("one repetition each: other initial weights and other data"),
};

export interface SyntheticConfig {
  readonly parametrisation: "code" | "paper";
  readonly activation: DenseShape["activation"];
  readonly samples: number;
  readonly width: number;
  readonly hidden: number;
}

export function syntheticShape(config: SyntheticConfig, depth: number): DenseShape {
  const { width, hidden, activation, parametrisation } = config;
  return { inputs: width, width, hidden, outputs: width, depth, activation, widthFactors: parametrisation, beta: 1 };
}

/** The same at every depth. */
export function syntheticData({ samples, width }: SyntheticConfig, seed: number): DenseData {
  const normal = (stream: string) => new RandomStream(seed, stream).fillNormal(new Float32Array(samples * width));
  return { inputs: normal("X"), targets: normal("Y"), rows: samples };
}

export function syntheticLoss({ parametrisation }: SyntheticConfig): Loss {
  return parametrisation === "code" ? "mean-square" : "squared-norm";
}

export const SYNTHETIC_TRAINED = { A: false, Z: true, B: false } as const;

/** What the page must say of the set-up. */
export function syntheticNotes({
  parametrisation,
  samples,
  width,
  hidden,
}: Omit<SyntheticConfig, "activation">): string[] {
  return [
    `The paper's synthetic set-up: n = ${samples}, d = q = ${width}, m = ${hidden}, x_i and y_i independent N(0, I), A = B = I held fixed.`,
    parametrisation === "code"
      ? "Parametrisation of the published code: no factors 1/√m and 1/√q, and the loss is a mean over samples and outputs; the paper's text has both factors and sums over outputs (`parametrisation=paper`)."
      : "Parametrisation of the paper's text: factors 1/√m and 1/√q, loss summed over outputs; its code has neither (`parametrisation=code`).",
  ];
}

/** Exponent in L of one number a training, a line for each seed; NaN where depths are too few or numbers are missing or not positive. */
export function slopesBySeed(
  { depths, seeds }: { readonly depths: readonly number[]; readonly seeds: readonly number[] },
  value: (depth: number, seed: number) => number | undefined,
): number[] {
  return seeds.map((seed) => {
    const y = depths.map((depth) => value(depth, seed));
    return depths.length > 2 && y.every((each) => each !== undefined && each > 0 && Number.isFinite(each))
      ? logLogSlope(depths, y as number[]).slope
      : Number.NaN;
  });
}

/** Columns `max_step`, `lower`, `upper` and `seeds` of a figure over depth: geometric mean over seeds and its 95 % interval, from the mean logarithm. */
export function geometricMeanColumns(
  values: readonly number[],
): { seeds: number; max_step: number; lower: number | null; upper: number | null } | undefined {
  const logs = values.map(Math.log);
  if (logs.length === 0 || !logs.every(Number.isFinite)) return undefined;
  const { mean, interval } = meanInterval(logs);
  const [lower, upper] = interval.map((end) => (Number.isFinite(end) ? Math.exp(end) : null));
  return { seeds: logs.length, max_step: Math.exp(mean), lower: lower!, upper: upper! };
}

/** What those columns mean. */
export const GEOMETRIC_MEAN_COLUMNS: readonly Column[] = [
  { name: "seeds", description: "seeds that contribute" },
  { name: "max_step", unit: "‖·‖_F", description: "geometric mean" },
  { name: "lower", unit: "‖·‖_F", description: "lower end of its 95 % interval (Student's t on logarithms)" },
  { name: "upper", unit: "‖·‖_F", description: "upper end of its 95 % interval" },
];
