/** What the numbers of `cifar` decide, and the paper's numbers beside them. */
import type { Activation } from "../../config/dense.ts";
import type { Claim } from "../record.ts";
import { judge, meanInterval, quantile } from "../statistics.ts";
import {
  type CifarConfig,
  CONFIDENCE,
  CONVOLUTIONS,
  type Combination,
  type Convolution,
  combinationsOf,
  KINKED,
  nameOf,
  PRESETS,
  type Row,
} from "./config.ts";
import type { Collected } from "./training.ts";

/** Table 1 of the paper: percent, medians of five trainings of 180 epochs at L = 256, interquartile ranges, smoothness by eye. */
interface PublishedRow {
  readonly train: number;
  readonly trainRange: number;
  readonly test: number;
  readonly testRange: number;
  readonly smooth: boolean;
}
const TABLE_1: Partial<Record<Activation, Record<Combination["initialisation"], PublishedRow>>> = {
  identity: {
    tied: { train: 56.5, trainRange: 0.1, test: 59.8, testRange: 0.7, smooth: true },
    iid: { train: 56.1, trainRange: 0.3, test: 59.6, testRange: 0.7, smooth: false },
  },
  gelu: {
    tied: { train: 80.5, trainRange: 0.7, test: 79.9, testRange: 0.2, smooth: true },
    iid: { train: 89.8, trainRange: 0.5, test: 85.7, testRange: 0.1, smooth: false },
  },
  relu: {
    tied: { train: 97.4, trainRange: 0.6, test: 88.1, testRange: 0.1, smooth: false },
    iid: { train: 98.4, trainRange: 0.1, test: 88.4, testRange: 0.5, smooth: false },
  },
};
export const TABLE_1_SOURCE = "Marion, Wu, Sander and Biau, ICLR 2024, table 1";

/** Quartiles of fewer repetitions say nothing. */
const FEWEST_SEEDS = 3;
/** Fewer epochs leave the weights near their start, where a tied network is smooth whatever the activation: those of `gpu-hour`. */
const FEWEST_EPOCHS = PRESETS["gpu-hour"].epochs;
/** "One order of magnitude" of figure 4, on a logarithmic scale: nearer to a factor 10 than to 1. */
const ORDER_OF_MAGNITUDE = { min: Math.sqrt(10) };
/** Roughness is 1 for independent layers and falls like 1/L² for a function of depth: which of the two is nearer. */
const INDEPENDENT = { min: 0.5 };
const FUNCTION_OF_DEPTH = { max: 0.5 };

/** Final state of a case's finished trainings by seed. */
function finalRows(config: CifarConfig, { epochs }: Collected, combination: Combination): Map<number, Row> {
  const rows = epochs.filter(
    ({ activation, initialisation, epoch }) =>
      activation === combination.activation && initialisation === combination.initialisation && epoch === config.epochs,
  );
  return new Map(rows.map((row) => [row.seed as number, row]));
}

/** One row for each finished training and convolution. */
export function smoothnessRows(config: CifarConfig, collected: Collected): Row[] {
  return combinationsOf(config).flatMap((combination) =>
    [...finalRows(config, collected, combination)].flatMap(([seed, row]) =>
      CONVOLUTIONS.map((convolution) => ({
        case: nameOf(combination),
        ...combination,
        seed,
        convolution,
        mean_step: row[`mean_step_${convolution}`]!,
        relative_step: row[`relative_step_${convolution}`]!,
        roughness: row[`roughness_${convolution}`]!,
      })),
    ),
  );
}

/** Medians and quartiles of the final accuracies in percent, with the paper's of the same dataset, activation and start. */
export function accuracyRows(config: CifarConfig, collected: Collected): Row[] {
  return combinationsOf(config).flatMap((combination): Row[] => {
    const rows = [...finalRows(config, collected, combination).values()];
    if (rows.length === 0) return [];
    const row: Row = { case: nameOf(combination), ...combination, seeds: rows.length };
    for (const split of ["train", "test"]) {
      const percent = rows.map((each) => 100 * (each[`${split}_accuracy`] as number));
      for (const [name, p] of [
        ["median", 0.5],
        ["lower", 0.25],
        ["upper", 0.75],
      ] as const)
        row[`${split}_${name}`] = quantile(percent, p);
    }
    const published =
      config.dataset === "cifar-10" && config.normalisation === "batch"
        ? TABLE_1[combination.activation]?.[combination.initialisation]
        : undefined;
    return [
      {
        ...row,
        paper_train: published?.train ?? null,
        paper_train_range: published?.trainRange ?? null,
        paper_test: published?.test ?? null,
        paper_test_range: published?.testRange ?? null,
        paper_smooth: published?.smooth ?? null,
        source: published ? TABLE_1_SOURCE : null,
      },
    ];
  });
}

export const CURVES = [
  "train_loss",
  "train_accuracy",
  "test_loss",
  "test_accuracy",
  "mean_step_1",
  "mean_step_2",
] as const;

/** Medians and quartiles over seeds after every epoch. */
export function curveRows(config: CifarConfig, { epochs }: Collected): Row[] {
  return combinationsOf(config).flatMap((combination) =>
    Array.from({ length: config.epochs }, (_, i) => i + 1).flatMap((epoch): Row[] => {
      const states = epochs.filter(
        (row) =>
          row.activation === combination.activation &&
          row.initialisation === combination.initialisation &&
          row.epoch === epoch,
      );
      if (states.length === 0) return [];
      const row: Row = { case: nameOf(combination), ...combination, epoch, seeds: states.length };
      for (const name of CURVES) {
        const at = (p: number) =>
          quantile(
            states.map((state) => state[name] as number),
            p,
          );
        Object.assign(row, { [name]: at(0.5), [`${name}_lower`]: at(0.25), [`${name}_upper`]: at(0.75) });
      }
      return [row];
    }),
  );
}

export function claimsOf(config: CifarConfig, collected: Collected): Claim[] {
  const { activations, initialisations } = config;
  const has = (initialisation: Combination["initialisation"]) => initialisations.includes(initialisation);
  const smooth = activations.filter((activation) => !KINKED.includes(activation));
  const kinked = activations.filter((activation) => KINKED.includes(activation));
  const claims: Claim[] = [];
  for (const convolution of CONVOLUTIONS) {
    const context = { config, collected, convolution };
    if (has("tied"))
      for (const activation of smooth) {
        const tied = { activation, initialisation: "tied" } as const;
        if (has("iid"))
          claims.push(
            ratioClaim(context, { activation, initialisation: "iid" }, tied, "mean_step", {
              id: `${activation}-iid-over-tied-conv${convolution}`,
              statement: "neighbouring layers differ by an order of magnitude more from an iid than from a tied start",
              source:
                activation === "gelu" ? "paper, figure 4" : "paper, table 1 (smooth by eye), and figure 4 for GELU",
              passes: ORDER_OF_MAGNITUDE,
            }),
          );
        claims.push(roughnessClaim(context, tied, FUNCTION_OF_DEPTH, "are a function of depth"));
      }
    if (has("iid"))
      for (const activation of activations)
        claims.push(
          roughnessClaim(
            context,
            { activation, initialisation: "iid" },
            INDEPENDENT,
            "stay as rough as independent layers",
          ),
        );
    if (has("tied"))
      for (const activation of kinked)
        for (const other of smooth)
          claims.push(
            ratioClaim(
              context,
              { activation, initialisation: "tied" },
              { activation: other, initialisation: "tied" },
              "roughness",
              {
                id: `${activation}-over-${other}-tied-conv${convolution}`,
                statement: `trained weights are rougher with ${activation} than with ${other}`,
                source: "paper, table 1 (ReLU, tied start: trained weights not smooth, by eye)",
                passes: { min: 1 },
              },
            ),
          );
  }
  if (has("tied") && has("iid") && activations.includes("gelu")) claims.push(accuracyClaim(config, collected));
  claims.push(lossClaim(config, collected));
  return claims;
}

interface ClaimContext {
  readonly config: CifarConfig;
  readonly collected: Collected;
  readonly convolution: Convolution;
}

/** What keeps a claim about trained networks from being decided. */
function reservations(config: CifarConfig, missing: number): string[] {
  return [
    missing > 0 ? `${missing} ${missing === 1 ? "training is" : "trainings are"} missing` : undefined,
    config.seeds.length < FEWEST_SEEDS ? `${config.seeds.length} seeds are fewer than ${FEWEST_SEEDS}` : undefined,
    config.epochs < FEWEST_EPOCHS ? `${config.epochs} epochs are fewer than ${FEWEST_EPOCHS}` : undefined,
  ].filter((text) => text !== undefined);
}

/** A claim about one number a seed, by its mean and Student's t, or by the geometric ones (`logarithmic`). */
function overSeeds(
  wording: Pick<Claim, "id" | "statement" | "source" | "passes">,
  values: readonly number[],
  config: CifarConfig,
  logarithmic: boolean,
): Claim {
  const reasons = reservations(config, config.seeds.length - values.length);
  const usable = values.length > 0 && values.every((value) => Number.isFinite(value) && (!logarithmic || value > 0));
  if (!usable) {
    const note = [...reasons, ...(values.length > 0 ? ["a number is not finite or not positive"] : [])].join("; ");
    return { ...wording, measured: null, verdict: "not decided", note };
  }
  const { mean, interval } = meanInterval(logarithmic ? values.map(Math.log) : values, CONFIDENCE);
  const back = (value: number) => (logarithmic ? Math.exp(value) : value);
  const ends = [back(interval[0]), back(interval[1])] as const;
  return {
    ...wording,
    measured: back(mean),
    interval: ends,
    confidence: CONFIDENCE,
    verdict: reasons.length > 0 ? "not decided" : judge(back(mean), wording.passes, ends),
    ...(reasons.length > 0 && { note: reasons.join("; ") }),
  };
}

/** A number of one case over that of another, seed by seed. */
function ratioClaim(
  { config, collected, convolution }: ClaimContext,
  over: Combination,
  under: Combination,
  name: "mean_step" | "roughness",
  { statement, ...wording }: Pick<Claim, "id" | "statement" | "source" | "passes">,
): Claim {
  const [upper, lower] = [over, under].map((combination) => finalRows(config, collected, combination)) as [
    Map<number, Row>,
    Map<number, Row>,
  ];
  const field = `${name}_${convolution}`;
  const shared = config.seeds.filter((seed) => upper.has(seed) && lower.has(seed));
  const ratios = shared.map((seed) => (upper.get(seed)![field] as number) / (lower.get(seed)![field] as number));
  const what =
    name === "mean_step"
      ? `mean_k ‖conv${convolution}_{k+1} − conv${convolution}_k‖_F`
      : `roughness of conv${convolution}`;
  const start = over.initialisation === under.initialisation ? `${over.initialisation} start` : over.activation;
  return overSeeds(
    { ...wording, statement: `${start}, after training: ${statement} (ratio of ${what}, geometric mean over seeds)` },
    ratios,
    config,
    true,
  );
}

function roughnessClaim(
  { config, collected, convolution }: ClaimContext,
  combination: Combination,
  passes: Claim["passes"],
  statement: string,
): Claim {
  const rows = [...finalRows(config, collected, combination).values()];
  const { activation, initialisation } = combination;
  return overSeeds(
    {
      id: `${activation}-${initialisation}-roughness-conv${convolution}`,
      statement: `${activation}, ${initialisation} start: the layers of conv${convolution} ${statement} after training (roughness, mean over seeds)`,
      source: "paper, table 1 (there by eye)",
      passes,
    },
    rows.map((row) => row[`roughness_${convolution}`] as number),
    config,
    false,
  );
}

function accuracyClaim(config: CifarConfig, collected: Collected): Claim {
  const [tied, iid] = (["tied", "iid"] as const).map((initialisation) =>
    finalRows(config, collected, { activation: "gelu", initialisation }),
  ) as [Map<number, Row>, Map<number, Row>];
  const accuracy = (row: Row | undefined) => 100 * (row!.test_accuracy as number);
  const shared = config.seeds.filter((seed) => tied.has(seed) && iid.has(seed));
  return overSeeds(
    {
      id: "gelu-iid-minus-tied-test-accuracy",
      statement:
        "GELU: test accuracy is higher without the structure of an ODE (iid minus tied start, percentage points)",
      source: "paper, table 1 (85.7 against 79.9)",
      passes: { min: 0 },
    },
    shared.map((seed) => accuracy(iid.get(seed)) - accuracy(tied.get(seed))),
    config,
    false,
  );
}

function lossClaim(config: CifarConfig, collected: Collected): Claim {
  const ratios = combinationsOf(config).flatMap((combination) =>
    [...finalRows(config, collected, combination)].map(([seed, last]) => {
      const first = collected.epochs.find(
        (row) =>
          row.activation === combination.activation &&
          row.initialisation === combination.initialisation &&
          row.seed === seed &&
          row.epoch === 1,
      )!;
      return (last.train_loss as number) / (first.train_loss as number);
    }),
  );
  const measured = ratios.length > 0 ? Math.max(...ratios) : null;
  const passes = { max: 1 };
  const complete = ratios.length === combinationsOf(config).length * config.seeds.length;
  return {
    id: "loss-falls",
    statement: "The training loss of the last epoch is below that of the first, in all trainings (largest ratio)",
    source: "measured for this project",
    measured,
    passes,
    verdict: complete && config.epochs > 1 ? judge(measured, passes) : "not decided",
  };
}
