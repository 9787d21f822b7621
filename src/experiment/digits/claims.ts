/** The claims of `digits`: exponents in depth with intervals over seeds, and what else a number decides. */
import type { Activation, Initialisation } from "../../config/dense.ts";
import type { Cell, Claim } from "../record.ts";
import { type Interval, judge, meanInterval, slopeOverSeeds } from "../statistics.ts";
import { recordSteps } from "../training.ts";
import {
  CONFIDENCE,
  cellId,
  type DigitsConfig,
  FAMILIES,
  type Family,
  INVERSE_DEPTH,
  KINKED,
  NO_DECAY,
  type Row,
} from "./config.ts";
import type { Collected } from "./training.ts";

interface Combination {
  readonly activation: Activation;
  readonly initialisation: Initialisation;
}

function combinations({ activations, initialisations }: DigitsConfig): Combination[] {
  return initialisations.flatMap((initialisation) => activations.map((activation) => ({ activation, initialisation })));
}

function nameOf({ activation, initialisation }: Combination): string {
  return `${activation}, ${initialisation}`;
}

function matches(row: Row, wanted: Readonly<Record<string, Cell>>): boolean {
  return Object.entries(wanted).every(([key, value]) => row[key] === value);
}

/** A number for each seed that finished every depth of a combination, and how many of its cells are missing. */
interface PerSeed {
  readonly seeds: readonly number[];
  readonly missing: number;
}

function finishedSeeds(config: DigitsConfig, { finished }: Collected, combination: Combination): PerSeed {
  const { seeds, depths } = config;
  const has = (seed: number, depth: number) => finished.has(cellId({ ...combination, depth, seed }));
  return {
    seeds: seeds.filter((seed) => depths.every((depth) => has(seed, depth))),
    missing: seeds.reduce((sum, seed) => sum + depths.filter((depth) => !has(seed, depth)).length, 0),
  };
}

interface Estimate {
  readonly measured: number;
  readonly interval: Interval;
  readonly perSeed: readonly number[];
  readonly source: "seeds" | "regression";
}

/** Exponent in L of one number a cell, with its interval over seeds; undefined where it cannot be had. */
function depthSlope(
  { depths }: DigitsConfig,
  seeds: readonly number[],
  value: (depth: number, seed: number) => number,
): Estimate | undefined {
  if (depths.length < 2 || seeds.length === 0) return undefined;
  const series = seeds.map((seed) => ({ x: depths, y: depths.map((depth) => value(depth, seed)) }));
  if (series.some(({ y }) => y.some((each) => !(each > 0 && Number.isFinite(each))))) return undefined;
  const { slope, interval, perSeed, source } = slopeOverSeeds(series, CONFIDENCE);
  return { measured: slope, interval, perSeed, source };
}

function overSeeds(values: readonly number[]): Estimate | undefined {
  if (values.length === 0 || values.some((value) => !Number.isFinite(value))) return undefined;
  const { mean, interval } = meanInterval(values, CONFIDENCE);
  return { measured: mean, interval, perSeed: values, source: "seeds" };
}

function stepSlope(config: DigitsConfig, collected: Collected, combination: Combination, family: Family) {
  const { seeds } = finishedSeeds(config, collected, combination);
  const cells = collected.smoothness.filter((row) => matches(row, { ...combination, family }));
  return depthSlope(
    config,
    seeds,
    (depth, seed) => cells.find((row) => matches(row, { depth, seed }))!.max_step_final as number,
  );
}

export function slopeRows(config: DigitsConfig, collected: Collected): Row[] {
  return FAMILIES.flatMap((family) =>
    combinations(config).flatMap((combination): Row[] => {
      const slope = stepSlope(config, collected, combination, family);
      if (!slope) return [];
      const [lower, upper] = slope.interval.map((end) => (Number.isFinite(end) ? end : null));
      const { measured, perSeed, source } = slope;
      return [
        {
          ...combination,
          family,
          slope: measured,
          lower: lower!,
          upper: upper!,
          interval_from: source,
          seeds: perSeed.length,
        },
      ];
    }),
  );
}

/** Geometric mean over seeds of the final max step at every depth, with the interval of the mean logarithm. */
export function stepsByDepth(config: DigitsConfig, { smoothness }: Collected): Row[] {
  return FAMILIES.flatMap((family) =>
    combinations(config).flatMap((combination) =>
      config.depths.flatMap((depth): Row[] => {
        const logs = smoothness
          .filter((row) => matches(row, { ...combination, family, depth }) && (row.max_step_final as number) > 0)
          .map((row) => Math.log(row.max_step_final as number));
        if (logs.length === 0) return [];
        const { mean, interval } = meanInterval(logs, CONFIDENCE);
        const [lower, upper] = interval.map((end) => (Number.isFinite(end) ? Math.exp(end) : null));
        const common = { case: nameOf(combination), ...combination, family, depth, seeds: logs.length };
        return [{ ...common, max_step: Math.exp(mean), lower: lower!, upper: upper! }];
      }),
    ),
  );
}

export const CURVES = ["loss", "accuracy", "test_loss", "test_accuracy", "pl_ratio"] as const;

/** Mean, least and largest over seeds of what is recorded along training. */
export function meanCurves(config: DigitsConfig, { training }: Collected): Row[] {
  const rows: Row[] = [];
  for (const combination of combinations(config))
    for (const depth of config.depths) {
      const cells = training.filter((row) => matches(row, { ...combination, depth }));
      for (const step of recordSteps(config.steps, config.records)) {
        const states = cells.filter((row) => row.step === step);
        if (states.length === 0) continue;
        const row: Row = {
          case: nameOf(combination),
          ...combination,
          depth,
          step,
          time: step * config.rate,
          seeds: states.length,
        };
        for (const name of CURVES) {
          const values = states.map((state) => state[name] as number);
          row[name] = values.reduce((sum, value) => sum + value, 0) / values.length;
          row[`${name}_low`] = Math.min(...values);
          row[`${name}_high`] = Math.max(...values);
        }
        rows.push(row);
      }
    }
  return rows;
}

export function claimsOf(config: DigitsConfig, collected: Collected): Claim[] {
  const smooth = config.activations.filter((activation) => !KINKED.includes(activation));
  const kinked = config.activations.filter((activation) => KINKED.includes(activation));
  const claims: Claim[] = [];
  for (const initialisation of config.initialisations) {
    if (initialisation === "iid") {
      for (const activation of config.activations)
        for (const family of FAMILIES)
          claims.push(
            slopeClaim(config, collected, { activation, initialisation }, family, NO_DECAY, {
              statement: "does not fall with L: independent layers stay rough",
              source: "paper, Table 1 and section 5 (iid start: trained weights not smooth)",
            }),
          );
      continue;
    }
    for (const activation of smooth) {
      const combination = { activation, initialisation };
      for (const family of FAMILIES)
        claims.push(
          slopeClaim(config, collected, combination, family, INVERSE_DEPTH, {
            statement: "falls like 1/L",
            source: "paper, Propositions 3 and 8 (ii)",
          }),
        );
      claims.push(...plClaims(config, collected, combination));
    }
    for (const activation of kinked) {
      const combination = { activation, initialisation };
      claims.push(
        slopeClaim(config, collected, combination, "W", NO_DECAY, {
          statement: "does not fall with L, although all layers start equal",
          source: "paper, Table 1 (ReLU, tied start: trained weights not smooth) and Appendix D (a step of order 1)",
        }),
        slopeClaim(config, collected, combination, "V", INVERSE_DEPTH, {
          statement: "still falls like 1/L",
          source: "measured for this project",
        }),
      );
      for (const other of smooth)
        claims.push(differenceClaim(config, collected, combination, { activation: other, initialisation }));
    }
  }
  claims.push(monotoneClaim(collected), ...energyClaims(config, collected, smooth));
  for (const combination of combinations(config)) claims.push(accuracyClaim(config, collected, combination));
  return claims;
}

interface Wording {
  readonly id: string;
  readonly statement: string;
  readonly source: string;
  readonly note?: string;
}

/** A claim about an estimate over seeds; cells that are missing leave it undecided, with what the others say. */
function estimateClaim(
  wording: Wording,
  estimate: Estimate | undefined,
  passes: Claim["passes"],
  missing: number,
): Claim {
  const notes = [
    wording.note,
    missing > 0 ? `${missing} ${missing === 1 ? "training is" : "trainings are"} missing` : undefined,
    estimate?.source === "regression" ? "one seed: the interval is that of the fitted line" : undefined,
  ].filter((note) => note !== undefined);
  return {
    id: wording.id,
    statement: wording.statement,
    source: wording.source,
    measured: estimate?.measured ?? null,
    ...(estimate && { interval: estimate.interval, confidence: CONFIDENCE }),
    passes,
    verdict: missing > 0 || !estimate ? "not decided" : judge(estimate.measured, passes, estimate.interval),
    ...(notes.length > 0 && { note: notes.join("; ") }),
  };
}

function slopeClaim(
  config: DigitsConfig,
  collected: Collected,
  combination: Combination,
  family: Family,
  passes: Claim["passes"],
  { statement, source }: Pick<Wording, "statement" | "source">,
): Claim {
  const { activation, initialisation } = combination;
  return estimateClaim(
    {
      id: `${activation}-${initialisation}-${family.toLowerCase()}-slope`,
      statement: `${activation}, ${initialisation} start: max_k ‖${family}_{k+1} − ${family}_k‖ after training ${statement} (exponent in L)`,
      source,
    },
    stepSlope(config, collected, combination, family),
    passes,
    finishedSeeds(config, collected, combination).missing,
  );
}

/** Same seeds, so same weights and digits: the difference of two exponents takes out what finite depth does to both. */
function differenceClaim(config: DigitsConfig, collected: Collected, kinked: Combination, smooth: Combination): Claim {
  const both = [kinked, smooth].map((combination) => finishedSeeds(config, collected, combination));
  const shared = both[0]!.seeds.filter((seed) => both[1]!.seeds.includes(seed));
  const slopeOf = (combination: Combination, seed: number) =>
    stepSlope({ ...config, seeds: [seed] }, collected, combination, "W")?.measured ?? Number.NaN;
  return estimateClaim(
    {
      id: `${kinked.activation}-minus-${smooth.activation}-${kinked.initialisation}-w-slope`,
      statement: `${kinked.initialisation} start: max_k ‖W_{k+1} − W_k‖ falls more slowly with L for ${kinked.activation} than for ${smooth.activation} (difference of exponents, seed by seed)`,
      source: "measured for this project",
    },
    overSeeds(shared.map((seed) => slopeOf(kinked, seed) - slopeOf(smooth, seed))),
    { min: 0 },
    both[0]!.missing + both[1]!.missing,
  );
}

/** The ratio of Definition 1 along training: bounded away from zero, and by a bound that does not depend on L. */
function plClaims(config: DigitsConfig, collected: Collected, combination: Combination): Claim[] {
  const { activation, initialisation } = combination;
  const { seeds, missing } = finishedSeeds(config, collected, combination);
  const cells = collected.training.filter((row) => matches(row, { ...combination }));
  const least = (wanted: Readonly<Record<string, Cell>>) =>
    Math.min(...cells.filter((row) => matches(row, wanted)).map((row) => row.pl_ratio as number));
  const all = seeds.length > 0 ? least({}) : null;
  const passes = { min: 1e-6 };
  const note = "with cross-entropy the ratio falls as the loss does: the infimum of the loss is not attained";
  return [
    {
      id: `${activation}-${initialisation}-pl-positive`,
      statement: `${activation}, ${initialisation} start: the Polyak–Łojasiewicz ratio stays positive (least over seeds, depths and recorded states)`,
      source: "paper, Definition 1 and Theorem 6",
      measured: all,
      passes,
      verdict: missing > 0 ? "not decided" : judge(all, passes),
      note,
    },
    estimateClaim(
      {
        id: `${activation}-${initialisation}-pl-uniform`,
        statement: `${activation}, ${initialisation} start: the least Polyak–Łojasiewicz ratio of a training does not depend on L (exponent in L)`,
        source: "paper, Proposition 5 and Theorem 6 (constants uniform in L)",
      },
      depthSlope(config, seeds, (depth, seed) => least({ depth, seed })),
      { min: -0.1, max: 0.1 },
      missing,
    ),
  ];
}

function monotoneClaim({ training, status }: Collected): Claim {
  let largest: number | null = null;
  for (let i = 1; i < training.length; i++) {
    const [before, after] = [training[i - 1]!, training[i]!];
    if ((after.step as number) <= (before.step as number)) continue; // the next training begins
    largest = Math.max(largest ?? 0, (after.loss as number) / (before.loss as number));
  }
  const passes = { max: 1 };
  return {
    id: "loss-falls",
    statement:
      "The training loss falls from every recorded state to the next, in all trainings (largest ratio of neighbours)",
    source: "paper, eq. (4): dℓ/dt = −(‖∂ℓ/∂A‖² + L Σ‖∂ℓ/∂Z_k‖² + ‖∂ℓ/∂B‖²)",
    measured: largest,
    passes,
    verdict: status === "done" ? judge(largest, passes) : "not decided",
  };
}

/**
 * The energy identity over the first and the last Euler step. With E = −dℓ/dt of the flow and a step η, Taylor's formula gives
 * (ℓ_s − ℓ_{s+1})/η = E_s − (η/2) g̃ᵀHg̃ + O(η²) and E_{s+1} = E_s − 2η g̃ᵀHg̃ + O(η²), hence (3E_s + E_{s+1})/4 + O(η²):
 * on a quadratic of curvature λ along the gradient the relative remainder is (ηλ)²/4, so the tolerance 0.05 allows ηλ up to 0.45.
 */
function energyClaims(config: DigitsConfig, collected: Collected, smooth: readonly Activation[]): Claim[] {
  const { rate, steps } = config;
  const passes = { max: 0.05 };
  const wanted = combinations(config).filter(({ activation }) => smooth.includes(activation));
  if (wanted.length === 0) return [];
  const missing = wanted.reduce((sum, each) => sum + finishedSeeds(config, collected, each).missing, 0);
  const rows = collected.training.filter((row) => smooth.includes(row.activation as Activation));
  let largest: number | null = null;
  for (let i = 1; i < rows.length; i++) {
    const [before, after] = [rows[i - 1]!, rows[i]!];
    const step = before.step as number;
    if (after.step !== step + 1 || (step !== 0 && step !== steps - 1)) continue;
    const fall = ((before.loss as number) - (after.loss as number)) / rate;
    const energy = (3 * (before.energy_rate as number) + (after.energy_rate as number)) / 4;
    largest = Math.max(largest ?? 0, Math.abs(fall / energy - 1));
  }
  return [
    {
      id: "energy-identity",
      statement:
        "The loss falls at the rate of the squared gradient norms, first and last step, smooth activations (largest relative difference)",
      source: "paper, eq. (4)",
      measured: largest,
      passes,
      verdict: missing > 0 ? "not decided" : judge(largest, passes),
      note: `with the Euler step's own first-order error taken out; the remainder is of second order in η = ${rate}`,
    },
  ];
}

function accuracyClaim(config: DigitsConfig, collected: Collected, combination: Combination): Claim {
  const depth = config.depths.at(-1)!;
  const { activation, initialisation } = combination;
  const last = collected.training.filter((row) => matches(row, { ...combination, depth, step: config.steps }));
  return estimateClaim(
    {
      id: `${activation}-${initialisation}-test-accuracy`,
      statement: `${activation}, ${initialisation} start: accuracy on ${config.testRows} held-out digits at L = ${depth} is above one half (chance: 0.1)`,
      source: "measured for this project",
    },
    overSeeds(last.map((row) => row.test_accuracy as number)),
    { min: 0.5 },
    config.seeds.length - last.length,
  );
}
