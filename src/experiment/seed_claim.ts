import type { Claim } from "./record.ts";
import { judge, meanInterval } from "./statistics.ts";

export const CONFIDENCE = 0.95;

export interface SeedClaim {
  readonly id: string;
  readonly statement: string;
  readonly source: string;
  readonly passes: Claim["passes"];
  readonly note?: string;
  /** Why no verdict can be had, whatever the numbers say. */
  readonly undecided?: string;
}

/** A claim about the mean over seeds of one number a seed, with Student's t interval; without numbers it is not decided. */
export function seedClaim({ undecided, note, ...claim }: SeedClaim, values: readonly number[]): Claim {
  const finite = values.length > 0 && values.every(Number.isFinite);
  const estimate = finite ? meanInterval(values, CONFIDENCE) : undefined;
  const notes = [
    note,
    undecided,
    values.length === 1 ? "one seed: no interval" : undefined,
    values.length > 0 && !finite ? "a seed has no finite number" : undefined,
  ].filter((each) => each !== undefined);
  return {
    ...claim,
    measured: estimate?.mean ?? null,
    ...(estimate && { interval: estimate.interval, confidence: CONFIDENCE }),
    verdict:
      undecided !== undefined || !estimate ? "not decided" : judge(estimate.mean, claim.passes, estimate.interval),
    ...(notes.length > 0 && { note: notes.join("; ") }),
  };
}

/** A claim about an extreme over everything that was measured: no interval. */
export function extremeClaim({ undecided, note, ...claim }: SeedClaim, measured: number | null): Claim {
  const notes = [note, undecided].filter((each) => each !== undefined);
  return {
    ...claim,
    measured,
    verdict: undecided !== undefined ? "not decided" : judge(measured, claim.passes),
    ...(notes.length > 0 && { note: notes.join("; ") }),
  };
}
