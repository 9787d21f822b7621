/** What the rows of a large-depth run say: slopes in depth, and the claims they decide. Pure. */
import { INDEXINGS } from "../../flow/measurements.ts";
import type { Cell, Claim } from "../record.ts";
import { judge, type LogLogSlope, logLogSlope } from "../statistics.ts";
import { FAMILIES, type Family, type LargeDepthConfig, PAPER } from "./config.ts";
import type { Lockstep } from "./training.ts";

type Row = Record<string, Cell>;

/** Depths that the slopes are fitted over: below these the next order in 1/L still shows. */
const FIT_STEPS_FROM = 32;
const FIT_DISTANCES_FROM = 16;
/** A shallower reference has an error of its own: a float64 program found slope −1.18 with one of depth 1024, −1.02 with 2^14. */
const REFERENCE_RATIO = 16;
export const CONFIDENCE = 0.95;
const FIT_POINTS = 3;

/**
 * A float64 program's numbers for the published set-up (code parametrisation) with its own draw of weights and data: they
 * fix magnitudes and slopes, not digits. `lipschitz` is L·max_k‖Z_{k+1} − Z_k‖_F at L = 1024; `published` the published
 * code's statistic; `distance` the distance to depth 2^14 by the code's indexing, root mean square over depth.
 */
const FLOAT64_NUMBERS = [
  {
    step: 50,
    lipschitz: { V: 0.214, W: 0.00507 },
    published: { 2: 0.469, 1024: 0.0219 },
    distance: { V: { 16: 8.4e-3, 1024: 1.2e-4 }, W: { 16: 1.7e-4, 1024: 2.4e-6 } },
  },
  { step: 100, lipschitz: { V: 0.525, W: 0.024 }, published: { 2: 1.85, 1024: 0.078 } },
  {
    step: 250,
    lipschitz: { V: 1.54, W: 0.173 },
    published: { 2: 8.61, 1024: 0.36 },
    distance: { V: { 16: 4.4e-2, 1024: 6.4e-4 }, W: { 16: 3.6e-3, 1024: 5.1e-5 } },
  },
  {
    step: 500,
    lipschitz: { V: 3.23, W: 0.604 },
    published: { 2: 22.3, 1024: 1.03 },
    distance: { V: { 16: 9.1e-2, 1024: 1.3e-3 }, W: { 16: 1.2e-2, 1024: 1.6e-4 } },
    loss: { 2: 0.808, 1024: 0.9691 },
  },
];

export interface Slope {
  readonly quantity: string;
  readonly step: number;
  readonly fromDepth: number;
  readonly fit: LogLogSlope;
}

/** Fits with too few depths, or with a zero among the values, are left out. */
export function fitSlopes({ steps, distances }: Lockstep): Slope[] {
  const slopes: Slope[] = [];
  const add = (quantity: string, step: number, rows: readonly Row[], field: string, fromDepth: number) => {
    const points = rows.flatMap((row): [number, number][] => {
      const value = row[field];
      return row.step === step && typeof value === "number" && (row.depth as number) >= fromDepth
        ? [[row.depth as number, value]]
        : [];
    });
    if (points.length < FIT_POINTS || points.some(([, value]) => !(value > 0))) return;
    const fit = logLogSlope(
      points.map(([depth]) => depth),
      points.map(([, value]) => value),
      CONFIDENCE,
    );
    slopes.push({ quantity, step, fromDepth, fit });
  };
  for (const step of new Set(steps.map((row) => row.step as number))) {
    const trained = steps.filter(({ reference }) => reference === false);
    for (const family of FAMILIES) {
      add(`max-step-${family}`, step, trained, `maxStep${family}`, FIT_STEPS_FROM);
      add(`caption-${family}`, step, trained, `caption${family}`, FIT_STEPS_FROM);
    }
    add("published", step, trained, "published", 2);
    for (const indexing of INDEXINGS)
      for (const family of FAMILIES) {
        const rows = distances.filter((row) => row.indexing === indexing && row.family === family);
        for (const norm of ["l2", "sup"] as const)
          add(`distance-${family}-${indexing}-${norm}`, step, rows, norm, FIT_DISTANCES_FROM);
      }
  }
  return slopes;
}

const PAPER_SOURCE = "Marion, Wu, Sander, Biau (ICLR 2024)";
export const MEASURED_SOURCE = "measured for this project";

export function claims(
  config: LargeDepthConfig,
  lockstep: Lockstep,
  slopes: readonly Slope[],
  lastStep: number,
): Claim[] {
  const { depths, referenceDepth } = config;
  const list: Claim[] = [zeroClaim(lockstep)];
  const slope = (
    id: string,
    quantity: string,
    statement: string,
    source: string,
    passes: Claim["passes"],
    reason?: string,
  ) => {
    const found = slopes.find((candidate) => candidate.quantity === quantity && candidate.step === lastStep);
    const note =
      reason ?? (found ? undefined : `needs at least ${FIT_POINTS} depths in the fitted range with positive values`);
    list.push({
      id,
      statement: `${statement}, after ${lastStep} iterations`,
      source,
      measured: found?.fit.slope ?? null,
      ...(found && { interval: found.fit.interval, confidence: CONFIDENCE }),
      passes,
      verdict: found && reason === undefined ? judge(found.fit.slope, passes, found.fit.interval) : "not decided",
      ...(note !== undefined && { note }),
    });
  };
  for (const family of FAMILIES)
    slope(
      `step-slope-${family.toLowerCase()}`,
      `caption-${family}`,
      `max over k and t of ‖${family}_{k+1} − ${family}_k‖_F falls like 1/L: slope over L >= ${FIT_STEPS_FROM}`,
      `${PAPER_SOURCE}, Proposition 3; the caption of figure 1 (left)`,
      { min: -1.1, max: -0.9 },
    );
  slope(
    "published-slope",
    "published",
    "The statistic that figure 1 (left) shows as published, (Σ_t Σ_k ‖Z_{k+1} − Z_k‖_F²)^{1/2}, falls like L^{-1/2}: slope over all L",
    `${PAPER_SOURCE}, figure 1 (left) as published`,
    { min: -0.55, max: -0.45 },
  );
  const shallow =
    referenceDepth < REFERENCE_RATIO * depths.at(-1)!
      ? `the reference, L = ${referenceDepth}, is less than ${REFERENCE_RATIO} times as deep as L = ${depths.at(-1)}: its own error steepens the slope`
      : undefined;
  const distanceSlope = (family: Family, indexing: string, norm: "l2" | "sup") =>
    slope(
      `distance-slope-${family.toLowerCase()}-${indexing}-${norm}`,
      `distance-${family}-${indexing}-${norm}`,
      `${family} as a function of depth is at distance O(1/L) from its limit (${norm === "l2" ? "root mean square" : "supremum"} over depth, ` +
        `${indexing === "code" ? "the code's indexing" : "the paper's interpolation"}): slope over L >= ${FIT_DISTANCES_FROM}`,
      `${PAPER_SOURCE}, Theorem 4 (ii), which states no rate; figure 1 (right); the rate is ${MEASURED_SOURCE}`,
      { min: -1.15, max: -0.9 },
      shallow,
    );
  for (const family of FAMILIES) {
    for (const indexing of INDEXINGS) distanceSlope(family, indexing, "l2");
    distanceSlope(family, "interpolation", "sup");
  }
  return [...list, ...magnitudeClaims(config, lockstep)];
}

function zeroClaim({ steps }: Lockstep): Claim {
  const early = steps.filter((row) => (row.step as number) <= 1);
  const measured =
    early.length === 0 ? null : Math.max(...early.flatMap((row) => [row.maxStepV as number, row.maxStepW as number]));
  const passes = { min: 0, max: 0 };
  return {
    id: "zero-start",
    statement:
      "With V = 0 and W tied, all layers move alike in the first step: max_k‖Z_{k+1} − Z_k‖_F is exactly 0 after 0 and 1 steps, at every depth",
    source: `${PAPER_SOURCE}, eq. 4 at the initial weights`,
    measured,
    passes,
    verdict: judge(measured, passes),
  };
}

/** Ratios to the float64 program's numbers, where the run has the same set-up. */
function magnitudeClaims(config: LargeDepthConfig, { steps, distances }: Lockstep): Claim[] {
  const same = (["parametrisation", "activation", "samples", "width", "hidden", "rate"] as const).every(
    (key) => config[key] === PAPER[key],
  );
  if (!same) return [];
  const list: Claim[] = [];
  const ratio = (
    id: string,
    what: string,
    value: Cell | undefined,
    expected: number,
    passes = { min: 0.5, max: 2 },
  ) => {
    if (typeof value !== "number") return;
    const measured = value / expected;
    list.push({
      id,
      statement: `${what} is ${expected} in a float64 program with its own random draw; the ratio to it`,
      source: MEASURED_SOURCE,
      measured,
      passes,
      verdict: judge(measured, passes),
      note: `${value.toPrecision(4)} here; another draw of weights and data, so only the magnitude must agree`,
    });
  };
  for (const numbers of FLOAT64_NUMBERS) {
    const at = (depth: number) => steps.find((row) => row.depth === depth && row.step === numbers.step);
    for (const family of FAMILIES) {
      const value = at(1024)?.[`maxStep${family}`];
      ratio(
        `lipschitz-${family.toLowerCase()}-${numbers.step}`,
        `L·max_k‖${family}_{k+1} − ${family}_k‖_F at L = 1024 after ${numbers.step} iterations`,
        typeof value === "number" ? 1024 * value : undefined,
        numbers.lipschitz[family],
      );
    }
    for (const depth of [2, 1024] as const)
      ratio(
        `published-${depth}-${numbers.step}`,
        `The published statistic at L = ${depth} after ${numbers.step} iterations`,
        at(depth)?.published,
        numbers.published[depth],
      );
    if (numbers.distance && config.referenceDepth === PAPER.referenceDepth)
      for (const family of FAMILIES)
        for (const depth of [16, 1024] as const)
          ratio(
            `distance-${family.toLowerCase()}-${depth}-${numbers.step}`,
            `The distance of ${family} at L = ${depth} to the reference (code's indexing, root mean square) after ${numbers.step} iterations`,
            distances.find(
              (row) =>
                row.depth === depth && row.step === numbers.step && row.family === family && row.indexing === "code",
            )?.l2,
            numbers.distance[family][depth],
          );
    if (numbers.loss)
      for (const depth of [2, 1024] as const)
        ratio(
          `loss-${depth}-${numbers.step}`,
          `The loss at L = ${depth} after ${numbers.step} iterations`,
          at(depth)?.loss,
          numbers.loss[depth],
          { min: 0.8, max: 1.25 },
        );
  }
  return list;
}
