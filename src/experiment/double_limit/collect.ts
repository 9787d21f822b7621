/** What the trainings left, as rows of the tables. Pure. */
import { unpackFloats } from "../packed_floats.ts";
import type { CellRecord } from "../training.ts";
import {
  allDepths,
  type DoubleLimitConfig,
  type Row,
  recordedSteps,
  trainingId,
  VARIANTS,
  type Variant,
} from "./config.ts";

export interface DoubleLimitRows {
  readonly states: Row[];
  /** Of F on the fresh points, at every recorded time, to the next depth and to the reference. */
  readonly outputs: Row[];
  /** Of the trained weights, as functions of depth, to the next depth. */
  readonly weights: Row[];
  /** The two orders of the limits, one row for each variant and seed. */
  readonly orders: Row[];
  /** Ids of the trainings that ran to their last step. */
  readonly finished: ReadonlySet<string>;
  readonly misfortune?: string;
}

/** F on the fresh points by step, and the trained change of the weights. */
interface Trained {
  readonly outputs: ReadonlyMap<number, readonly number[]>;
  readonly V?: Float32Array;
  readonly W?: Float32Array;
}

export function collect(config: DoubleLimitConfig, records: ReadonlyMap<string, CellRecord>): DoubleLimitRows {
  const rows: Omit<DoubleLimitRows, "finished" | "misfortune"> = { states: [], outputs: [], weights: [], orders: [] };
  const finished = new Set<string>();
  let misfortune: string | undefined;
  for (const variant of VARIANTS)
    for (const seed of config.seeds) {
      const trained = new Map<number, Trained>();
      for (const depth of allDepths(config)) {
        const id = trainingId(variant, depth, seed);
        const record = records.get(id);
        if (!record) continue;
        if (record.status === "done") finished.add(id);
        if (record.status === "diverged") misfortune ??= `${id}: ${record.detail}`;
        trained.set(depth, trainedOf(record));
        for (const { table, ...row } of record.rows)
          if (table === "states") rows.states.push({ variant, seed, depth, ...row });
      }
      rows.outputs.push(...outputRows(config, variant, seed, trained));
      rows.weights.push(...weightRows(config, variant, seed, trained));
      rows.orders.push(...orderRows(config, variant, seed, trained));
    }
  return { ...rows, finished, ...(misfortune !== undefined && { misfortune }) };
}

function trainedOf({ rows }: CellRecord): Trained {
  const outputs = rows
    .filter(({ table }) => table === "outputs")
    .map(({ step, F }): [number, number[]] => [step as number, JSON.parse(F as string) as number[]]);
  const weights = rows.find(({ table }) => table === "weights");
  return {
    outputs: new Map(outputs),
    ...(weights && { V: unpackFloats(weights.V as string), W: unpackFloats(weights.W as string) }),
  };
}

/** Root mean square over the points of ‖F − F'‖. */
function distance(a: readonly number[], b: readonly number[], points: number): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0) / points);
}

function outputRows(
  config: DoubleLimitConfig,
  variant: Variant,
  seed: number,
  trained: ReadonlyMap<number, Trained>,
): Row[] {
  const { depths, referenceDepth, fresh } = config;
  const { rate } = config[variant];
  return depths.flatMap((depth, i) =>
    recordedSteps(config, variant).flatMap((step): Row[] => {
      const at = (other: number | undefined) =>
        other === undefined ? undefined : trained.get(other)?.outputs.get(step);
      const [own, next, reference] = [at(depth), at(depths[i + 1]), at(referenceDepth)];
      if (!own || (!next && !reference)) return [];
      return [
        {
          variant,
          seed,
          depth,
          step,
          time: step * rate,
          to_next: next ? distance(own, next, fresh) : null,
          to_reference: reference ? distance(own, reference, fresh) : null,
        },
      ];
    }),
  );
}

function weightRows(
  config: DoubleLimitConfig,
  variant: Variant,
  seed: number,
  trained: ReadonlyMap<number, Trained>,
): Row[] {
  const { depths } = config;
  return depths.slice(0, -1).flatMap((depth, i): Row[] => {
    const [own, next] = [trained.get(depth), trained.get(depths[i + 1]!)];
    if (!own?.V || !own.W || !next?.V || !next.W) return [];
    return [
      {
        variant,
        seed,
        depth,
        V: depthDistance(own.V, depth, next.V, 2 * depth),
        W: depthDistance(own.W, depth, next.W, 2 * depth),
      },
    ];
  });
}

/**
 * (∫ ‖X(s) − X'(s)‖_F² ds)^{1/2} of two stacks of layers as the paper reads them (eq. 8): layer ⌊(L−1)s⌋ + 1 at s. The pieces where both are
 * constant end at multiples of 1/(L−1) and 1/(L'−1).
 */
export function depthDistance(a: Float32Array, depthA: number, b: Float32Array, depthB: number): number {
  const elements = a.length / depthA;
  const ends = new Set([1]);
  for (const depth of [depthA, depthB]) for (let k = 1; k < depth - 1; k++) ends.add(k / (depth - 1));
  let from = 0;
  let sum = 0;
  for (const to of [...ends].sort((x, y) => x - y)) {
    const middle = (from + to) / 2;
    const [atA, atB] = [depthA, depthB].map((depth) => Math.floor((depth - 1) * middle) * elements);
    let square = 0;
    for (let i = 0; i < elements; i++) square += (a[atA! + i]! - b[atB! + i]!) ** 2;
    sum += (to - from) * square;
    from = to;
  }
  return Math.sqrt(sum);
}

/** F at the last step: extrapolated from the two deepest, F = 2F^L − F^{L/2} + O(1/L²), and that of the reference. */
function orderRows(
  config: DoubleLimitConfig,
  variant: Variant,
  seed: number,
  trained: ReadonlyMap<number, Trained>,
): Row[] {
  const { depths, referenceDepth, fresh } = config;
  const { steps } = config[variant];
  const at = (depth: number) => trained.get(depth)?.outputs.get(steps);
  const [half, whole, reference] = [at(depths.at(-2)!), at(depths.at(-1)!), at(referenceDepth)];
  if (!half || !whole || !reference) return [];
  const extrapolated = whole.map((value, i) => 2 * value - half[i]!);
  const between = distance(extrapolated, reference, fresh);
  const deepest = distance(whole, reference, fresh);
  const size = distance(
    reference,
    reference.map(() => 0),
    fresh,
  );
  return [{ variant, seed, between, deepest, quotient: between / deepest, size }];
}
