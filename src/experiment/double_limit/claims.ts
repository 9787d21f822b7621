/** What the rows of a double-limit run decide. Pure. */
import type { Claim } from "../record.ts";
import { CONFIDENCE, extremeClaim, type SeedClaim, seedClaim } from "../seed_claim.ts";
import { decayRate, judge, type SeedSlope, slopeOverSeeds } from "../statistics.ts";
import type { DoubleLimitRows } from "./collect.ts";
import { allDepths, type DoubleLimitConfig, type Row, trainingId, VARIANTS, type Variant } from "./config.ts";

const PAPER = "Marion, Wu, Sander, Biau (ICLR 2024)";
/** Tolerance around the exponent −1: at small depths the next order in 1/L still shows. */
const INVERSE_DEPTH = { min: -1.25, max: -0.8 };
/** The loss counts as zero below this share of its start: every target is met within a thousandth of its size. */
const INTERPOLATES = 1e-6;
/** The rate is fitted between these shares of ℓ(0): above, fast directions still settle; below, float32 rounds the residual. */
const FIT_RATE = { from: 1e-1, to: 1e-8 };
const FIT_POINTS = 3;

const TITLES: Readonly<Record<Variant, string>> = { all: "A, Z and B trained", layers: "only Z trained" };

export function claimsOf(config: DoubleLimitConfig, rows: DoubleLimitRows): Claim[] {
  return VARIANTS.flatMap((variant) => variantClaims(config, rows, variant));
}

function variantClaims(config: DoubleLimitConfig, rows: DoubleLimitRows, variant: Variant): Claim[] {
  const { depths, referenceDepth, seeds } = config;
  const where = TITLES[variant];
  const wanted = seeds.flatMap((seed) => allDepths(config).map((depth) => trainingId(variant, depth, seed)));
  const missing = wanted.filter((id) => !rows.finished.has(id)).length;
  const undecided = missing > 0 ? { undecided: `${missing} of ${wanted.length} trainings are missing` } : {};
  const of = (table: readonly Row[], seed: number) =>
    table.filter((row) => row.variant === variant && row.seed === seed);
  const steps = config[variant].steps;

  const left = rows.states.filter((row) => row.variant === variant && row.step === steps);
  /** By Theorem 6 the loss is e^{−μT} of its start at most, μ the least ratio of the training: too short a T decides nothing. */
  const decay = left.map(({ seed, depth, time }) => {
    const own = of(rows.states, seed as number).filter((row) => row.depth === depth);
    return (time as number) * Math.min(...own.map((row) => row.pl_ratio as number));
  });
  const short = decay.some((value) => value < -Math.log(INTERPOLATES))
    ? { undecided: `too short: with the least ratio μ of a training, e^{−μT} is not below ${INTERPOLATES} in all` }
    : {};
  const shares = left.map((row) => (row.loss as number) / startLoss(rows.states, row));
  const claims: Claim[] = [
    extremeClaim(
      {
        id: `interpolation-${variant}`,
        statement: `The trained network interpolates the data at every depth: largest ℓ(T)/ℓ(0) over depths and seeds (${where})`,
        source: `${PAPER}, Theorem 6: F_∞(x_i) = y_i`,
        passes: { max: INTERPOLATES },
        note: "zero means that every target is met within a thousandth of its size",
        ...short,
        ...undecided,
      },
      shares.length === 0 ? null : Math.max(...shares),
    ),
  ];

  const rates = seeds.map((seed) => {
    const points = allDepths(config).map((depth) => [
      depth,
      fittedRate(of(rows.states, seed).filter((row) => row.depth === depth)),
    ]);
    return points.filter((point): point is [number, number] => point[1] !== null);
  });
  claims.push(
    slopeClaim(
      {
        id: `rate-uniform-${variant}`,
        statement: `The loss falls at a rate that does not depend on the depth: exponent in L of the rate (${where})`,
        source: `${PAPER}, Theorem 6: ℓ(t) <= e^{−C't/(n√n q)} ℓ(0), uniformly in L`,
        passes: { min: -0.1, max: 0.1 },
        note: `fitted while ${FIT_RATE.to} < ℓ/ℓ(0) < ${FIT_RATE.from}; rates ${range(rates.flat().map(([, rate]) => rate))} per unit of time`,
        ...undecided,
      },
      rates,
    ),
  );

  const neighbours = (seed: number) => of(rows.outputs, seed).filter((row) => row.to_next !== null);
  const byDepth = (seed: number, pick: (list: readonly Row[]) => number): [number, number][] =>
    depths.slice(0, -1).flatMap((depth) => {
      const list = neighbours(seed).filter((row) => row.depth === depth);
      return list.length === 0 ? [] : [[depth, pick(list)] as [number, number]];
    });
  claims.push(
    slopeClaim(
      {
        id: `output-slope-${variant}`,
        statement: `First t → ∞: the trained functions converge in L, ‖F^L − F^{2L}‖ on fresh points falls like 1/L (${where})`,
        source: `${PAPER}, Theorem 6 (no rate is stated; 1/L measured for this project)`,
        passes: INVERSE_DEPTH,
        ...undecided,
      },
      seeds.map((seed) => byDepth(seed, (list) => list.find((row) => row.step === steps)?.to_next as number)),
    ),
    slopeClaim(
      {
        id: `output-slope-uniform-${variant}`,
        statement: `First L → ∞, uniformly in t: the largest ‖F^L(t) − F^{2L}(t)‖ of all recorded t falls like 1/L (${where})`,
        source: `${PAPER}, Theorem 6 (no rate is stated; 1/L measured for this project)`,
        passes: INVERSE_DEPTH,
        ...undecided,
      },
      seeds.map((seed) => byDepth(seed, (list) => Math.max(...list.map((row) => row.to_next as number)))),
    ),
  );
  for (const family of ["V", "W"] as const)
    claims.push(
      slopeClaim(
        {
          id: `weights-slope-${family.toLowerCase()}-${variant}`,
          statement: `The trained ${family}, as functions of depth, converge: distance of L to 2L falls like 1/L (${where})`,
          source: `${PAPER}, Theorem 6 (no rate is stated; 1/L measured for this project)`,
          passes: INVERSE_DEPTH,
          note: "root mean square over s of the paper's interpolation (eq. 8)",
          ...undecided,
        },
        seeds.map((seed) => of(rows.weights, seed).map((row) => [row.depth as number, row[family] as number])),
      ),
    );

  const ratio = referenceDepth / depths.at(-1)!;
  const rounding = 2 ** -24 * (config.width + config.hidden);
  const orders = seeds.flatMap((seed) => of(rows.orders, seed));
  claims.push(
    seedClaim(
      {
        id: `orders-agree-${variant}`,
        statement:
          `Both orders of the limits give one function: distance of the extrapolation from L = ${depths.at(-2)} and ${depths.at(-1)} after training (t → ∞, then L → ∞) to ` +
          `the trained reference of L = ${referenceDepth} (L → ∞, then t → ∞), in units of what its finite depth and float32 explain (${where})`,
        source: `${PAPER}, Theorem 6: the limits in L and t can be taken in any order`,
        passes: { max: 1 },
        note:
          `with F^L = F + c/L + O(1/L²) the reference's own error is 1/(${ratio} − 1) of the distance of L = ${depths.at(-1)} to it; twice that and 2⁻²⁴(q + m)‖F‖ for rounding are allowed. ` +
          `The orders are ${range(orders.map((row) => row.between as number))} apart, L = ${depths.at(-1)} and the reference ${range(orders.map((row) => row.deepest as number))}, ‖F‖ is ${range(orders.map((row) => row.size as number))}`,
        ...undecided,
      },
      orders.map(
        (row) =>
          (row.between as number) / ((2 / (ratio - 1)) * (row.deepest as number) + rounding * (row.size as number)),
      ),
    ),
  );
  return claims;
}

function startLoss(states: readonly Row[], { variant, seed, depth }: Row): number {
  const start = states.find(
    (row) => row.variant === variant && row.seed === seed && row.depth === depth && row.step === 0,
  );
  return start!.loss as number;
}

/** Of one training; null with too few states in the fitted range. */
function fittedRate(states: readonly Row[]): number | null {
  const start = states[0]?.loss as number;
  const fitted = states.filter(({ loss }) => {
    const share = (loss as number) / start;
    return share < FIT_RATE.from && share > FIT_RATE.to;
  });
  if (fitted.length < FIT_POINTS) return null;
  return decayRate(
    fitted.map((row) => row.time as number),
    fitted.map((row) => row.loss as number),
    CONFIDENCE,
  ).rate;
}

function slopeClaim({ undecided, note, ...claim }: SeedClaim, points: readonly (readonly [number, number][])[]): Claim {
  const usable = points.every((list) => list.length >= FIT_POINTS && list.every(([, value]) => value > 0));
  let fit: SeedSlope | undefined;
  if (usable && points.length > 0)
    fit = slopeOverSeeds(
      points.map((list) => ({ x: list.map(([depth]) => depth), y: list.map(([, value]) => value) })),
      CONFIDENCE,
    );
  const why = undecided ?? (fit ? undefined : `needs ${FIT_POINTS} depths with a positive number in every seed`);
  const notes = [note, why].filter((each) => each !== undefined);
  return {
    ...claim,
    measured: fit?.slope ?? null,
    ...(fit && { interval: fit.interval, confidence: CONFIDENCE }),
    verdict: why !== undefined || !fit ? "not decided" : judge(fit.slope, claim.passes, fit.interval),
    ...(notes.length > 0 && { note: notes.join("; ") }),
  };
}

function range(values: readonly number[]): string {
  if (values.length === 0) return "none";
  const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => value.toPrecision(2));
  return low === high ? low! : `${low} to ${high}`;
}
