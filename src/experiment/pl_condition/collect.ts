/** What evaluations and trainings left, as rows of the tables. Pure. */
import type { CellRecord } from "../training.ts";
import {
  ballId,
  ballPoints,
  ballRadius,
  type PlConditionConfig,
  type Row,
  scanId,
  scanPoints,
  TARGETS,
  trainingId,
} from "./config.ts";
import { strongestCoefficient } from "./hermite.ts";

/** Coefficients of order 2 … this are looked at for Lemma 21's r. */
export const LAST_ORDER = 9;

export interface PlConditionRows {
  /** Float64: singular values of the features of every start. */
  readonly features: Row[];
  /** Float32, device: the ratio at every start. */
  readonly scans: Row[];
  /** The ratio at points of the ball, relative to the start. */
  readonly ball: Row[];
  /** Float64: shift of the smallest singular value when W moves. */
  readonly shifts: Row[];
  readonly training: Row[];
  readonly missing: number;
  readonly misfortune?: string;
}

export function collect(
  config: PlConditionConfig,
  host: readonly Row[],
  records: ReadonlyMap<string, CellRecord>,
): PlConditionRows {
  const { eta } = strongestCoefficient(config.activation, LAST_ORDER);
  const of = (table: string) =>
    host.filter((row) => row.table === table).map(({ table: _, id: __, targets: ___, ...row }): Row => row);
  const features = of("features").map((row): Row => {
    const floor = (Math.sqrt(row.hidden as number) * eta) / 4;
    return {
      ...row,
      units_per_sample: (row.hidden as number) / (row.samples as number),
      floor,
      quotient: (row.smallest as number) / floor,
    };
  });
  let missing = 0;
  let misfortune: string | undefined;
  const one = (id: string): Row | undefined => {
    const record = records.get(id);
    if (record?.status !== "done") missing++;
    if (record?.status === "diverged") misfortune ??= `${id}: ${record.detail}`;
    return record?.rows[0];
  };
  const scans = scanPoints(config).flatMap((point) =>
    TARGETS.flatMap((targets): Row[] => {
      const row = one(scanId(point, targets));
      const { scan, samples, width, hidden, depth, seed } = point;
      const units_per_sample = hidden / samples;
      return row
        ? [{ scan, targets, samples, width, hidden, units_per_sample, depth, seed, pl_ratio: row.pl_ratio! }]
        : [];
    }),
  );
  const ball = ballPoints(config).flatMap((point): Row[] => {
    const row = one(ballId(point));
    const start = records.get(ballId({ ...point, radius: 0, point: 0 }))?.rows[0];
    const kernel = host.find((each) => each.id === ballId(point));
    if (!row || !start || !kernel) return [];
    const { seed, kind, radius } = point;
    const pl_ratio = row.pl_ratio as number;
    return [
      {
        seed,
        kind,
        radius,
        norm: ballRadius(point),
        point: point.point,
        pl_ratio,
        relative: pl_ratio / (start.pl_ratio as number),
        weakest_eigenvalue: kernel.weakest_eigenvalue!,
        strongest_eigenvalue: kernel.strongest_eigenvalue!,
      },
    ];
  });
  const training = config.seeds.flatMap((seed) => {
    one(trainingId(seed));
    const start = of("training-start").find((row) => row.seed === seed);
    return (records.get(trainingId(seed))?.rows ?? []).map(
      (row): Row => ({
        seed,
        ...row,
        weakest_eigenvalue: start?.weakest_eigenvalue ?? null,
      }),
    );
  });
  const shifts = of("shift");
  return { features, scans, ball, shifts, training, missing, ...(misfortune !== undefined && { misfortune }) };
}
