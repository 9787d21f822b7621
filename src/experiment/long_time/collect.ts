/** What the trainings left, as rows of the tables. Pure. */
import { unpackFloats } from "../packed_floats.ts";
import { type CellRecord, weightsOf } from "../training.ts";
import {
  FAMILIES,
  type LongTimeConfig,
  type Row,
  recordedSteps,
  SETUPS,
  type SetupName,
  specOf,
  trainingId,
} from "./config.ts";

export interface LongTimeRows {
  readonly states: Row[];
  /** Mean, least and largest over seeds of the states. */
  readonly curves: Row[];
  /** From every kept state to the last of its training. */
  readonly distances: Row[];
  /** One entry of V_k and W_k of the first seed at the kept states. */
  readonly weights: Row[];
  /** Set-ups and seeds that ran to their last step. */
  readonly finished: ReadonlySet<string>;
  /** Which training diverged, and where. */
  readonly misfortune?: string;
}

export function collect(config: LongTimeConfig, records: ReadonlyMap<string, CellRecord>): LongTimeRows {
  const rows = { states: [] as Row[], distances: [] as Row[], weights: [] as Row[] };
  const finished = new Set<string>();
  let misfortune: string | undefined;
  for (const setup of SETUPS)
    for (const seed of config[setup].seeds) {
      const id = trainingId(setup, seed);
      const record = records.get(id);
      if (!record) continue;
      const of = (table: string) =>
        record.rows.filter((row) => row.table === table).map(({ table: _, ...row }): Row => ({ setup, seed, ...row }));
      const states = of("states");
      rows.states.push(...states);
      const kept = of("weights");
      if (record.status === "done") {
        finished.add(id);
        rows.distances.push(...distancesToLast(config[setup].depth, states, kept));
      }
      if (record.status === "diverged") misfortune ??= `${id}: ${record.detail}`;
      if (seed === config[setup].seeds[0]) rows.weights.push(...entries(config, setup, seed, states, kept));
    }
  return { ...rows, curves: curvesOf(config, rows.states), finished, ...(misfortune !== undefined && { misfortune }) };
}

/**
 * Distance of every kept state to the last one in the metric of the flow, ((1/L) Σ_k ‖Z_k − Z_k(T)‖_F²)^{1/2}, in which
 * −dℓ/dt is the square of the speed; and what the Polyak–Łojasiewicz ratio allows. With μ the least ratio on [t, T], −d√ℓ/dt =
 * speed²/(2√ℓ) ≥ speed·√μ/2, so the way from t to T is at most 2(√ℓ(t) − √ℓ(T))/√μ.
 */
function distancesToLast(depth: number, states: readonly Row[], kept: readonly Row[]): Row[] {
  const last = states.at(-1)!;
  const target = unpack(kept.at(-1)!);
  return kept.slice(0, -1).map((row): Row => {
    const { setup, seed, step } = row;
    const state = states.find((each) => each.step === step)!;
    const later = states.filter((each) => (each.step as number) >= (step as number));
    const least = Math.min(...later.map((each) => each.pl_ratio as number));
    const loss = state.loss as number;
    const weights = unpack(row);
    const squares = FAMILIES.reduce((sum, family) => sum + squaredDistance(weights[family], target[family]), 0);
    const distance = Math.sqrt(squares / depth);
    const bound = (2 * (Math.sqrt(loss) - Math.sqrt(last.loss as number))) / Math.sqrt(least);
    return {
      setup: setup!,
      seed: seed!,
      step: step!,
      time: state.time!,
      loss,
      distance,
      bound,
      share: distance / bound,
    };
  });
}

function unpack(row: Row) {
  return { V: unpackFloats(row.V as string), W: unpackFloats(row.W as string) };
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

/** The first entry of every layer. */
function entries(
  config: LongTimeConfig,
  setup: SetupName,
  seed: number,
  states: readonly Row[],
  kept: readonly Row[],
): Row[] {
  const { depth, width, hidden } = config[setup];
  const initial = weightsOf(specOf(config, setup, seed));
  return kept.flatMap((row) => {
    const change = unpack(row);
    const { time } = states.find((each) => each.step === row.step)!;
    return Array.from({ length: depth }, (_, k): Row => {
      const entry = (family: "V" | "W") => initial[family][0]! + change[family][k * width * hidden]!;
      return {
        setup,
        seed,
        step: row.step!,
        time: time!,
        layer: k + 1,
        s: (k + 1) / depth,
        V: entry("V"),
        W: entry("W"),
      };
    });
  });
}

export const CURVES = ["loss", "pl_ratio", "scaled_step_V", "scaled_step_W"] as const;

/** Geometric mean (0 where a value is 0), least and largest over seeds. */
function curvesOf(config: LongTimeConfig, states: readonly Row[]): Row[] {
  return SETUPS.flatMap((setup) =>
    recordedSteps(config, setup).flatMap((step) => {
      const group = states.filter((row) => row.setup === setup && row.step === step);
      if (group.length === 0) return [];
      return CURVES.map((quantity): Row => {
        const values = group.map((row) => row[quantity] as number);
        const mean = Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
        const [low, high] = [Math.min(...values), Math.max(...values)];
        return { setup, quantity, step, time: group[0]!.time!, seeds: values.length, mean, low, high };
      });
    }),
  );
}
