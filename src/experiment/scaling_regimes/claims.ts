/** What the rows of a scaling-regimes run say: exponents in depth, the critical β, and the claims they decide. Pure. */
import { CLASSES } from "../digits/config.ts";
import type { Cell, Claim } from "../record.ts";
import { fallsToZero, type Interval, judge, meanInterval, medianInterval, slopeOverSeeds } from "../statistics.ts";
import { criticalBeta, IID, processName, productBeta, RBF, type ScalingRegimesConfig } from "./config.ts";
import { DRAWN } from "./training.ts";

type Row = Record<string, Cell>;

export const RATIOS = ["forward", "gradient"] as const;
export type Ratio = (typeof RATIOS)[number];

export const CONFIDENCE = 0.95;
/** Depths that exponents are fitted over. */
const FIT_FROM = 100;
const FIT_DEPTHS = 2;
/** Of the maps, as published: log10 of the ratio. */
const CLIP = 1;
const PAPER = "Marion, Fermanian, Biau, Vert (JMLR 2025)";
const MEASURED = "measured for this project";

export interface Exponent {
  readonly process: string;
  readonly hurst: number | null;
  readonly beta: number;
  readonly ratio: Ratio;
  /** Of L, mean over draws; Infinity where a draw passed the range of float32. */
  readonly slope: number;
  readonly interval: Interval;
  readonly draws: number;
}

const distinct = <T>(values: readonly T[]) => [...new Set(values)];

/** Rows that agree in some columns, in order of appearance. */
export function grouped(rows: readonly Row[], ...columns: readonly string[]): Row[][] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = JSON.stringify(columns.map((column) => row[column]));
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()];
}

/** Exponents p of ratio ≈ C·L^p by process and β. */
export function exponents(initial: readonly Row[]): Exponent[] {
  const list: Exponent[] = [];
  const deep = initial.filter(({ depth }) => (depth as number) >= FIT_FROM);
  for (const rows of grouped(deep, "process", "beta"))
    for (const ratio of RATIOS) {
      const { process, hurst, beta } = rows[0] as { process: string; hurst: number | null; beta: number };
      const draws = grouped(rows, "draw").map((draw) => ({
        x: draw.map(({ depth }) => depth as number),
        y: draw.map((row) => row[ratio] as number | null),
      }));
      const whole = draws.filter(({ x }) => x.length >= FIT_DEPTHS);
      if (whole.length === 0) continue;
      const name = { process, hurst, beta, ratio, draws: whole.length };
      if (whole.some(({ y }) => y.includes(null)))
        list.push({ ...name, slope: Infinity, interval: [Infinity, Infinity] });
      else {
        const { slope, interval } = slopeOverSeeds(whole as { x: number[]; y: number[] }[], CONFIDENCE);
        list.push({ ...name, slope, interval });
      }
    }
  return list;
}

/** Fractional weights at their largest depth: medians over draws of log10 of the ratios, clipped to ±1. */
export function mapRows(initial: readonly Row[]): Row[] {
  const fractional = initial.filter(({ hurst }) => hurst !== null);
  const deepest = fractional.reduce((most, { depth }) => Math.max(most, depth as number), 0);
  return grouped(
    fractional.filter(({ depth }) => depth === deepest),
    "hurst",
    "beta",
  ).map((rows) => {
    const { hurst, beta, depth } = rows[0]!;
    return { hurst, beta, depth, draws: rows.length, ...clippedMedians(rows) } as Row;
  });
}

export function clippedMedians(rows: readonly Row[]): Record<Ratio, number> {
  const clipped = (ratio: Ratio) =>
    medianInterval(
      rows.map((row) => {
        const value = row[ratio];
        return typeof value === "number" ? Math.max(-CLIP, Math.min(CLIP, Math.log10(value))) : CLIP;
      }),
    ).median;
  return { forward: clipped("forward"), gradient: clipped("gradient") };
}

/** β where the exponent in depth passes 0, and where the ends of its interval do. */
export interface Critical {
  readonly hurst: number;
  readonly ratio: Ratio;
  readonly beta: number | null;
  readonly interval: Interval;
  readonly expected: number;
}

export function criticals(found: readonly Exponent[]): Critical[] {
  return distinct(found.flatMap(({ hurst }) => (hurst === null ? [] : [hurst]))).flatMap((hurst) =>
    RATIOS.map((ratio) => {
      const curve = found.filter((one) => one.hurst === hurst && one.ratio === ratio);
      const betas = curve.map(({ beta }) => beta);
      const crossing = (y: (one: Exponent) => number) => fallsToZero(betas, curve.map(y));
      return {
        hurst,
        ratio,
        beta: crossing(({ slope }) => slope),
        interval: [
          crossing(({ interval }) => interval[0]) ?? -Infinity,
          crossing(({ interval }) => interval[1]) ?? Infinity,
        ],
        expected: criticalBeta(hurst),
      };
    }),
  );
}

/** Tests of trained networks: of each seed the best accuracy over learning rates; a diverged training is right by chance. */
export function accuracies(trained: readonly Row[], config: ScalingRegimesConfig): Row[] {
  const { steps } = config.trained;
  return grouped(trained, "process", "beta", "seed").map((rows) => {
    const ends = rows.filter(({ step, testLoss }) => step === steps && testLoss !== null);
    const best = ends.toSorted((a, b) => (b.testAccuracy as number) - (a.testAccuracy as number))[0];
    const start = rows.find(({ step }) => step === 0)!;
    const { process, hurst, beta, seed } = start;
    return {
      process,
      hurst,
      beta,
      seed,
      rate: best?.rate ?? null,
      testAccuracy: best?.testAccuracy ?? 1 / CLASSES,
      accuracy: best?.accuracy ?? 1 / CLASSES,
      forward: best?.forward ?? null,
      gradient: best?.gradient ?? null,
      roughnessBefore: start.roughness,
      roughnessAfter: best?.roughness ?? null,
    } as Row;
  });
}

/** Medians of 10 draws of a float64 program with draws of its own, res-3 of width 40. */
const FLOAT64_MEDIANS: readonly {
  readonly process: string;
  readonly beta: number;
  readonly factor: number;
  readonly values: Readonly<Record<number, number>>;
}[] = [
  { process: "iid", beta: 0.25, factor: 3, values: { 10: 1.65, 120: 16, 450: 170, 1000: 2100 } },
  { process: "iid", beta: 0.5, factor: 1.5, values: { 10: 0.77, 120: 0.81, 450: 0.79, 1000: 0.85 } },
  { process: "iid", beta: 1, factor: 1.5, values: { 10: 0.21, 120: 0.064, 450: 0.034, 1000: 0.021 } },
  { process: "rbf", beta: 0.5, factor: 10, values: { 1000: 9e5 } },
  { process: "rbf", beta: 1, factor: 1.5, values: { 10: 0.2, 120: 0.2, 450: 0.2, 1000: 0.2 } },
  { process: "rbf", beta: 2, factor: 1.5, values: { 1000: 1.9e-4 } },
];

export function claims(
  config: ScalingRegimesConfig,
  initial: readonly Row[],
  found: readonly Exponent[],
  critical: readonly Critical[],
  best: readonly Row[],
): Claim[] {
  return [
    ...exponentClaims(found),
    ...critical.map(criticalClaim),
    ...medianClaims(config, initial),
    ...trainedClaims(best),
  ];
}

function exponentClaims(found: readonly Exponent[]): Claim[] {
  const around = (slope: number) => ({ min: slope - 0.1, max: slope + 0.1 });
  const expected = [
    { process: IID, beta: 0.25, passes: { min: 0 }, what: "explodes: the exponent is positive" },
    { process: IID, beta: 0.5, passes: around(0), what: "neither explodes nor vanishes: the exponent is 0" },
    { process: IID, beta: 1, passes: around(-0.5), what: "tends to the identity like L^{1/2-β}: the exponent is −1/2" },
    { process: RBF, beta: 0.5, passes: { min: 0 }, what: "explodes: the exponent is positive" },
    { process: RBF, beta: 1, passes: around(0), what: "neither explodes nor vanishes: the exponent is 0" },
    { process: RBF, beta: 2, passes: around(-1), what: "tends to the identity like L^{1-β}: the exponent is −1" },
  ];
  return expected.flatMap(({ process, beta, passes, what }) =>
    RATIOS.flatMap((ratio): Claim[] => {
      const name = processName(process);
      const one = found.find((row) => row.process === name && row.beta === beta && row.ratio === ratio);
      if (!one) return [];
      const seen = Number.isFinite(one.slope);
      const several = one.draws > 1;
      return [
        {
          id: `exponent-${name}-${beta}-${ratio}`,
          statement: `${name === "iid" ? "Independent" : "Smooth"} weights with β = ${beta}: ${symbol(ratio)} ${what} (over L >= ${FIT_FROM})`,
          source: `${PAPER}, abstract and ${name === "iid" ? "figures 1 and 3" : "figures 4 and 5"}`,
          measured: seen ? one.slope : null,
          ...(seen && { interval: one.interval, confidence: CONFIDENCE }),
          passes,
          verdict: seen && several ? judge(one.slope, passes, one.interval) : "not decided",
          ...(!seen && { note: "a draw passed the range of float32" }),
          ...(seen && !several && { note: "needs at least two draws" }),
        },
      ];
    }),
  );
}

function symbol(ratio: Ratio): string {
  return ratio === "forward" ? "‖h_L − h_0‖/‖h_0‖" : "‖p_0 − p_L‖/‖p_L‖";
}

function criticalClaim({ hurst, ratio, beta, interval, expected }: Critical): Claim {
  const passes = { min: expected - 0.1, max: expected + 0.1 };
  return {
    id: `critical-${hurst}-${ratio}`,
    statement: `Increments of fractional Brownian motion with H = ${hurst}: the exponent in L of ${symbol(ratio)} passes 0 at β = max(1/2, H) = ${expected}`,
    source: `${PAPER}, figure 7, shows a continuum of critical β between 1/2 and 1; that it is max(1/2, H) is no theorem: ${MEASURED}`,
    measured: beta,
    ...(beta !== null && { interval, confidence: CONFIDENCE }),
    passes,
    verdict: beta === null ? "not decided" : judge(beta, passes, interval),
    note: [
      beta === null
        ? "the exponent does not pass 0 between two values of β with finite ratios"
        : "interpolated between values of β; the interval is where the interval of the exponent over draws passes 0",
      ratio === "gradient" ? gradientNote(hurst) : undefined,
    ]
      .filter((text) => text !== undefined)
      .join("; "),
  };
}

/** Why gradients may pass at another β than states. */
function gradientNote(hurst: number): string {
  return (
    `the numbers known beforehand are of states. p_0 − p_L is a sum of W_kᵀ D_k V_kᵀ p, products of two independent noises with D_k = relu': ` +
    `their correlations fall like k^{4H−4}, which alone gives max(1/2, 2H − 1) = ${productBeta(hurst)}; the part of W_kᵀ D_k along h_k does not average out over k, ` +
    `but is one direction of q`
  );
}

function medianClaims(config: ScalingRegimesConfig, initial: readonly Row[]): Claim[] {
  if (config.model !== "res-3" || config.width !== 40) return [];
  return FLOAT64_MEDIANS.flatMap(({ process, beta, factor, values }) =>
    Object.entries(values).flatMap(([depth, expected]): Claim[] => {
      const rows = initial.filter(
        (row) => row.process === process && row.beta === beta && row.depth === Number(depth) && row.forward !== null,
      );
      if (rows.length === 0) return [];
      const { median, interval } = medianInterval(
        rows.map(({ forward }) => (forward as number) / expected),
        CONFIDENCE,
      );
      const passes = { min: 1 / factor, max: factor };
      return [
        {
          id: `median-${process}-${beta}-${depth}`,
          statement: `${process === "iid" ? "Independent" : "Smooth"} weights with β = ${beta} at L = ${depth}: ‖h_L − h_0‖/‖h_0‖ is ${expected} (median of 10 draws of a float64 program); the ratio to it`,
          source: MEASURED,
          measured: median,
          interval,
          confidence: CONFIDENCE,
          passes,
          verdict: judge(median, passes, interval),
          note: `median ${(median * expected).toPrecision(3)} of ${rows.length} draws of another generator; a median of 10 scatters by 1.25 σ/√10 in the logarithm, and the range allows for the σ of exploding networks`,
        },
      ];
    }),
  );
}

function trainedClaims(best: readonly Row[]): Claim[] {
  const list: Claim[] = [];
  const hursts = distinct(best.flatMap(({ hurst }) => (hurst === null ? [] : [hurst as number])));
  for (const hurst of hursts) {
    const rows = best.filter((row) => row.hurst === hurst);
    const betas = distinct(rows.map(({ beta }) => beta as number));
    const nearest = betas.toSorted((a, b) => Math.abs(a - criticalBeta(hurst)) - Math.abs(b - criticalBeta(hurst)))[0]!;
    const least = Math.min(...betas);
    // Nearer than this the two are one regime.
    if (nearest - least < 0.25) continue;
    const at = (beta: number, seed: Cell) =>
      rows.find((row) => row.beta === beta && row.seed === seed)?.testAccuracy as number | undefined;
    const gains = distinct(rows.map(({ seed }) => seed)).flatMap((seed) => {
      const critical = at(nearest, seed);
      const exploding = at(least, seed);
      return critical === undefined || exploding === undefined ? [] : [critical - exploding];
    });
    if (gains.length === 0) continue;
    const { mean, interval } = meanInterval(gains, CONFIDENCE);
    const passes = { min: 0 };
    list.push({
      id: `accuracy-${hurst}`,
      statement: `H = ${hurst}: after training, test accuracy at β = ${nearest}, nearest to critical, is above that at β = ${least}, where the network explodes: the difference`,
      source: `${PAPER}, figure 9: performance after training depends on β and H; the comparison is ${MEASURED}`,
      measured: mean,
      interval,
      confidence: CONFIDENCE,
      passes,
      verdict: gains.length > 1 ? judge(mean, passes, interval) : "not decided",
    });
  }
  for (const { process, beta } of DRAWN) {
    const name = processName(process);
    const factors = best.flatMap((row) =>
      row.process === name && row.beta === beta && typeof row.roughnessAfter === "number"
        ? [row.roughnessAfter / (row.roughnessBefore as number)]
        : [],
    );
    if (factors.length === 0) continue;
    const { mean, interval } = meanInterval(factors, CONFIDENCE);
    const passes = { min: 0.5, max: 2 };
    list.push({
      id: `roughness-${name}-${beta}`,
      statement: `Weights over depth stay as ${name === "iid" ? "rough" : "smooth"} as they were drawn (${name}, β = ${beta}): roughness after training over that before`,
      source: `${PAPER}, figure 8, which shows weights over depth; half of von Neumann's ratio instead of the eye: ${MEASURED}`,
      measured: mean,
      interval,
      confidence: CONFIDENCE,
      passes,
      verdict: factors.length > 1 ? judge(mean, passes, interval) : "not decided",
      note: "1 for independent layers, of order 1/L² for a Lipschitz function of depth: the two classes are a factor 10 and more apart",
    });
  }
  return list;
}
