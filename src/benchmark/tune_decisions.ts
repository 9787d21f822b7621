/** What the numbers of `tune` decide: which candidates are measured, and which is taken. Pure. */
import { quantile } from "../experiment/statistics.ts";
import type { DenseChoice, ShapeClass, TunedChoice } from "../plan/tuning.ts";
import type { summarise } from "./timing.ts";

/** The part of a training's shape that decides a choice: q, m and n. */
export interface TuneShape {
  readonly width: number;
  readonly hidden: number;
  readonly rows: number;
}

export interface MeasuredChoice {
  readonly choice: DenseChoice;
  readonly text: string;
  /** Loss after the steps of the check, which all candidates must agree on; absent where it was not reached. */
  readonly loss?: number;
  /** Of a training step, in milliseconds, over the rounds. */
  readonly time?: ReturnType<typeof summarise>;
  /** Time over that of the plan's own choice in the same round: median and extremes. */
  readonly ratio?: { readonly median: number; readonly min: number; readonly max: number };
  /** Why it was not measured. */
  readonly reason?: string;
}

/** What the check of a candidate gave; without a loss it was given up as too slow, with a `reason` it failed. */
export interface Checked {
  readonly choice: DenseChoice;
  readonly text: string;
  readonly loss?: number;
  readonly stepMs?: number;
  readonly reason?: string;
}

/** Steps from the start after which all candidates must have the same loss. */
export const CHECK_STEPS = 3;
/** A candidate so much slower than the fastest in the check is not measured further. */
export const HOPELESS = 3;

/** Candidates that are not measured further, with the reason. */
export function dismiss(checked: readonly Checked[], shape: TuneShape, depth: number): Map<Checked, string> {
  const tolerance = lossTolerance(shape);
  const losses = checked.flatMap(({ loss }) => (loss !== undefined && Number.isFinite(loss) ? [loss] : []));
  const middle = losses.length === 0 ? Number.NaN : quantile(losses, 0.5);
  const agrees = ({ loss }: Checked) => loss !== undefined && Math.abs(loss - middle) <= tolerance * Math.abs(middle);
  const fastest = Math.min(...checked.filter(agrees).map(({ stepMs }) => stepMs!));
  const reasons = new Map<Checked, string>();
  for (const candidate of checked) {
    const { loss, stepMs, reason } = candidate;
    const slow = candidate !== checked[0] && stepMs !== undefined && stepMs > HOPELESS * fastest;
    if (reason !== undefined) reasons.set(candidate, reason);
    else if (slow || loss === undefined)
      reasons.set(candidate, `${(stepMs! / fastest).toFixed(1)} times the fastest (${formatMs(stepMs!)} ms a step)`);
    else if (!agrees(candidate))
      reasons.set(candidate, `wrong: loss ${loss} at depth ${depth}, the others have ${middle}`);
  }
  return reasons;
}

/**
 * Relative difference that rounding may make in the loss after the steps of the check: every evaluation, and every
 * gradient a step follows, has a relative error of at most 2⁻²⁴ · 8 (2q + m + n): sums of q, m, n and d' = q products,
 * of which rounding enters each layer once (the bound that the tests of a whole step use). Two candidates may err
 * in opposite directions.
 */
export function lossTolerance({ width, hidden, rows }: TuneShape): number {
  return 2 * CHECK_STEPS * 2 ** -24 * 8 * (2 * width + hidden + rows);
}

/** Three significant digits. */
export function formatMs(ms: number): string {
  return String(Number(ms.toPrecision(3)));
}

/** Time over that of the plan's own choice, round by round. */
export function ratioOf(times: readonly number[], own: readonly number[]): NonNullable<MeasuredChoice["ratio"]> {
  const ratios = times.map((ms, round) => ms / own[round]!);
  return { median: quantile(ratios, 0.5), min: Math.min(...ratios), max: Math.max(...ratios) };
}

/** The least median among the candidates that were faster than the plan's own choice in every round. */
export function winner(
  candidates: readonly MeasuredChoice[],
  of: ShapeClass,
  depth: number,
  date: string,
): TunedChoice | undefined {
  const [own, ...others] = candidates;
  const beaten = own?.time;
  const better = others.filter(({ time, ratio }) => time && (!beaten || ratio!.max < 1));
  const best = better.toSorted((a, b) => a.time!.median - b.time!.median)[0];
  if (!best) return undefined;
  const rounded = (ms: number) => Number(ms.toPrecision(4));
  return {
    ...of,
    choice: best.choice,
    milliseconds: rounded(best.time!.median),
    plannedMilliseconds: beaten ? rounded(beaten.median) : null,
    depth,
    date,
  };
}
