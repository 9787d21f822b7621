/** What `generalization` decides: rank correlations of the generalisation gap with the smoothness of the weights. Pure. */
import type { Claim } from "../record.ts";
import { CONFIDENCE, seedClaim } from "../seed_claim.ts";
import { judge, meanInterval, rankCorrelation } from "../statistics.ts";
import { type GeneralizationConfig, PUBLISHED_LENGTH, type Row, startsOf } from "./config.ts";

/** Measures of max_k ‖W_{k+1} − W_k‖: columns of the table `networks`. */
export const NORMS = [
  { column: "lipschitz_2", symbol: "L·max_k ‖W_{k+1} − W_k‖_F", name: "2-max" },
  { column: "lipschitz_max", symbol: "L·max_k max_ij |W_{k+1} − W_k|_ij", name: "max-max" },
] as const;

const BOUND =
  "Marion (NeurIPS 2023): the bound on the gap grows with the constant; whether the gap itself does across starts is measured for this project";
const SCATTER = "Marion (NeurIPS 2023): a scatter plot over runs from one kind of start";
const POSITIVE = { min: 0 };

function select(rows: readonly Row[], wanted: Row): Row[] {
  return rows.filter((row) => Object.entries(wanted).every(([key, value]) => row[key] === value));
}

const numbers = (rows: readonly Row[], column: string) => rows.map((row) => row[column] as number);

/** Rank correlations across starts, seed by seed, and across seeds, start by start. */
export function correlationRows(config: GeneralizationConfig, networks: readonly Row[]): Row[] {
  const { activations, maps, seeds } = config;
  const starts = startsOf(config);
  return activations.flatMap((activation) =>
    maps.flatMap((each) =>
      NORMS.flatMap(({ column, name }) =>
        (["gap", "accuracy_gap"] as const).flatMap((gap): Row[] => {
          const rows = select(networks, { activation, maps: each });
          const common = { activation, maps: each, norm: name, gap };
          const one = (list: readonly Row[], across: string, within: string): Row[] => {
            if (list.length < 2) return [];
            const { rho, interval, points } = rankCorrelation(numbers(list, column), numbers(list, gap), CONFIDENCE);
            return [{ ...common, across, within, points, rho, lower: interval[0], upper: interval[1] }];
          };
          return [
            ...seeds.flatMap((seed) => {
              const list = select(rows, { seed });
              return list.length === starts.length ? one(list, "starts", `seed ${seed}`) : [];
            }),
            ...starts.flatMap(({ name: start }) => one(select(rows, { start }), "seeds", start)),
          ];
        }),
      ),
    ),
  );
}

/** Mean over seeds at each start. */
export function meanRows(config: GeneralizationConfig, networks: readonly Row[]): Row[] {
  const { activations, maps } = config;
  return activations.flatMap((activation) =>
    maps.flatMap((each) =>
      startsOf(config).flatMap(({ name: start }): Row[] => {
        const rows = select(networks, { activation, maps: each, start });
        if (rows.length === 0) return [];
        const row: Row = { activation, maps: each, start, seeds: rows.length };
        for (const column of ["train_loss", "test_loss", "gap", "test_accuracy", "accuracy_gap", "lipschitz_2"]) {
          const { mean, interval } = meanInterval(numbers(rows, column), CONFIDENCE);
          row[column] = mean;
          if (column === "gap")
            for (const [i, end] of ["gap_lower", "gap_upper"].entries())
              row[end] = Number.isFinite(interval[i]!) ? interval[i]! : null;
        }
        return [row];
      }),
    ),
  );
}

export function claimsOf(
  config: GeneralizationConfig,
  networks: readonly Row[],
  correlations: readonly Row[],
): Claim[] {
  const { activations, maps, seeds } = config;
  const starts = startsOf(config);
  const claims: Claim[] = [];
  for (const activation of activations)
    for (const each of maps) {
      const found = (norm: string, gap: string, across: string) =>
        select(correlations, { activation, maps: each, norm, gap, across });
      const missing = seeds.length * starts.length - select(networks, { activation, maps: each }).length;
      const open = `${missing} ${missing === 1 ? "training is" : "trainings are"} missing`;
      const names = `${activation}, A and B ${each}`;
      for (const { name, symbol } of NORMS)
        for (const gap of ["gap", "accuracy_gap"] as const) {
          const rows = found(name, gap, "starts").filter(({ rho }) => rho !== null);
          claims.push(
            seedClaim(
              {
                id: `${activation}-${each}-starts-${name}-${gap.replace("_", "-")}`,
                statement: `${names}: across starts, from tied to iid, the gap of ${gap === "gap" ? "the loss" : "accuracy"} grows with ${symbol} (Spearman's ρ, mean over seeds)`,
                source: BOUND,
                passes: POSITIVE,
                ...(missing > 0 && { undecided: open }),
              },
              numbers(rows, "rho"),
            ),
          );
        }
      const smooth = `smooth ${PUBLISHED_LENGTH}`;
      if (!starts.some(({ name }) => name === smooth)) continue;
      const row = found("max-max", "gap", "seeds").find(({ within }) => within === smooth);
      const rho = (row?.rho ?? null) as number | null;
      const interval = row && ([row.lower as number, row.upper as number] as const);
      claims.push({
        id: `${activation}-${each}-seeds-max-max-gap`,
        statement: `${names}: at one start (${smooth}), across seeds, the gap of the loss grows with ${NORMS[1].symbol} (Spearman's ρ)`,
        source: SCATTER,
        measured: rho,
        ...(interval && { interval, confidence: CONFIDENCE }),
        passes: POSITIVE,
        verdict: missing > 0 ? "not decided" : judge(rho, POSITIVE, interval),
        note: `${missing > 0 ? `${open}; ` : ""}interval by Fisher's z over ${row?.points ?? 0} seeds`,
      });
    }
  return claims;
}
