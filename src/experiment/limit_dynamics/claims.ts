/** What the trainings of limit-dynamics say: rates in depth, the limit's own error, and the claims they decide. Pure. */

import type { Claim } from "../record.ts";
import { judge, type LogLogSlope, logLogSlope } from "../statistics.ts";
import { FAMILIES, type Family, type LimitDynamicsConfig } from "./config.ts";
import type { LimitDynamics, Snapshot, Trained } from "./training.ts";

/** Depths that the rates are fitted over: below it the next order in 1/L still shows. */
export const FIT_FROM = 16;
export const CONFIDENCE = 0.95;
const FIT_POINTS = 3;
/** Of the distance of the deepest stack: an error of the limit above that bends the fitted line. */
const LIMIT_ERROR_SHARE = 1 / 16;
/** The same for a slope between two depths 16 times apart: log(1 + 1/4) / log(16) = 0.08 is what it may be off by. */
const LIMIT_ERROR_SHARE_OF_TWO = 1 / 4;

const PAPER_SOURCE = "Marion, Wu, Sander, Biau (ICLR 2024)";
export const MEASURED_SOURCE = "measured for this project";
const RATE_SOURCE = `${PAPER_SOURCE}, Theorem 4, which states no rate; the rate is ${MEASURED_SOURCE}`;

export const QUANTITIES = ["V", "W", "loss"] as const;
export type Quantity = (typeof QUANTITIES)[number];

export function snapshotAt(trained: Trained | undefined, step: number): Snapshot | undefined {
  return trained?.snapshots.find((snapshot) => snapshot.step === step);
}

export function find(result: LimitDynamics, kind: "limit" | "finer"): Trained | undefined {
  return result.trained.find(({ discretisation }) => discretisation.kind === kind);
}

export function stacks(result: LimitDynamics): Trained[] {
  return result.trained.filter(({ discretisation }) => discretisation.kind === "stack");
}

/** Distance of a training to the limit in weights, or of its loss to the limit's. */
export function gap(result: LimitDynamics, trained: Trained | undefined, quantity: Quantity, step: number) {
  const own = snapshotAt(trained, step);
  if (!own) return undefined;
  if (quantity !== "loss") return own.distance?.[quantity];
  const limit = snapshotAt(find(result, "limit"), step);
  return limit && Math.abs(own.loss - limit.loss);
}

export interface Rate {
  readonly quantity: Quantity;
  readonly step: number;
  readonly fit: LogLogSlope;
}

/** Rates at every recorded iteration; fits with too few depths, or with a zero among the values, are left out. */
export function fitRates(result: LimitDynamics, config: LimitDynamicsConfig): Rate[] {
  const depths = stacks(result).filter(
    ({ discretisation: { depth } }) => depth >= FIT_FROM && config.depths.includes(depth),
  );
  const steps = find(result, "limit")?.snapshots.map(({ step }) => step) ?? [];
  return steps.flatMap((step) =>
    QUANTITIES.flatMap((quantity): Rate[] => {
      const points = depths.flatMap((trained): [number, number][] => {
        const value = gap(result, trained, quantity, step);
        return value === undefined ? [] : [[trained.discretisation.depth, value]];
      });
      if (points.length < FIT_POINTS || points.some(([, value]) => !(value > 0))) return [];
      const fit = logLogSlope(
        points.map(([depth]) => depth),
        points.map(([, value]) => value),
        CONFIDENCE,
      );
      return [{ quantity, step, fit }];
    }),
  );
}

/** Depth at which a stack would be as near to the limit as the two discretisations of it are to each other, by the 1/L law. */
export function equivalentDepth(
  result: LimitDynamics,
  config: LimitDynamicsConfig,
  family: Family,
): number | undefined {
  const deepest = stackOf(result, config.depths.at(-1)!);
  const distance = gap(result, deepest, family, config.steps);
  const error = gap(result, find(result, "finer"), family, config.steps);
  return distance === undefined || !(error! > 0) ? undefined : (config.depths.at(-1)! * distance) / error!;
}

export function stackOf(result: LimitDynamics, depth: number): Trained | undefined {
  return stacks(result).find(({ discretisation }) => discretisation.depth === depth);
}

/** Seconds of the fastest iterations. */
export function secondsPerStep(trained: Trained | undefined): number | undefined {
  const times = trained?.snapshots.flatMap(({ secondsPerStep }) => secondsPerStep ?? []) ?? [];
  return times.length === 0 ? undefined : Math.min(...times);
}

export function claims(config: LimitDynamicsConfig, result: LimitDynamics, rates: readonly Rate[]): Claim[] {
  const { steps, depths, stackDepth, stackSteps } = config;
  const list: Claim[] = [];
  const deepest = depths.at(-1)!;
  for (const quantity of QUANTITIES) {
    const fit = rates.find((rate) => rate.quantity === quantity && rate.step === steps)?.fit;
    const error = gap(result, find(result, "finer"), quantity, steps);
    const distance = gap(result, stackOf(result, deepest), quantity, steps);
    const coarse = error !== undefined && distance !== undefined && error > LIMIT_ERROR_SHARE * distance;
    const passes = { min: -1.1, max: -0.9 };
    const what = quantity === "loss" ? "The loss of a stack" : `${quantity} of a stack, as a function of depth,`;
    const note = coarse
      ? `the limit's own error, ${error.toPrecision(2)}, is above 1/16 of the distance of L = ${deepest}`
      : fit
        ? undefined
        : `needs at least ${FIT_POINTS} depths from ${FIT_FROM} on with positive values`;
    list.push({
      id: `rate-${quantity.toLowerCase()}`,
      statement: `${what} is at distance O(1/L) from that of the limiting dynamics after ${steps} iterations: slope over L >= ${FIT_FROM}`,
      source: RATE_SOURCE,
      measured: fit?.slope ?? null,
      ...(fit && { interval: fit.interval, confidence: CONFIDENCE }),
      passes,
      verdict: fit && !coarse ? judge(fit.slope, passes, fit.interval) : "not decided",
      ...(note !== undefined && { note }),
    });
  }
  for (const family of FAMILIES) {
    const measured = equivalentDepth(result, config, family) ?? null;
    const passes = { min: stackDepth };
    list.push({
      id: `limit-error-${family.toLowerCase()}`,
      statement:
        `The limit is known better than from a stack of depth ${stackDepth}: depth at which ${family} of a stack would be as near to the limit ` +
        `as two discretisations of it are to each other after ${steps} iterations`,
      source: MEASURED_SOURCE,
      measured,
      passes,
      verdict: judge(measured, passes),
      note: `from the distance at L = ${deepest} by the 1/L law`,
    });
  }
  for (const family of FAMILIES) {
    const [near, far] = [stackDepth, deepest].map((depth) => gap(result, stackOf(result, depth), family, stackSteps));
    const error = gap(result, find(result, "finer"), family, stackSteps);
    const known = near !== undefined && far !== undefined && near > 0 && far > 0;
    const coarse = known && error !== undefined && error > LIMIT_ERROR_SHARE_OF_TWO * near;
    const measured = known ? Math.log(near / far) / Math.log(stackDepth / deepest) : null;
    const passes = { min: -1.1, max: -0.9 };
    list.push({
      id: `deep-stack-${family.toLowerCase()}`,
      statement: `The 1/L law holds on to depth ${stackDepth}: slope of the distance of ${family} between L = ${deepest} and it, after ${stackSteps} iterations`,
      source: MEASURED_SOURCE,
      measured,
      passes,
      verdict: coarse ? "not decided" : judge(measured, passes),
      ...(coarse && {
        note: `the limit's own error, ${error.toPrecision(2)}, is above 1/4 of the distance, ${near.toPrecision(2)}`,
      }),
    });
  }
  const [own, other] = [secondsPerStep(find(result, "limit")), secondsPerStep(stackOf(result, stackDepth))];
  const measured = own !== undefined && other !== undefined ? own / other : null;
  const passes = { max: 1 };
  list.push({
    id: "cost",
    statement: `An iteration of the limiting dynamics takes less time than one of a stack of depth ${stackDepth}: ratio`,
    source: MEASURED_SOURCE,
    measured,
    passes,
    verdict: judge(measured, passes),
    ...(measured !== null && { note: `${own!.toPrecision(3)} s and ${other!.toPrecision(3)} s, the fastest of each` }),
  });
  return list;
}
