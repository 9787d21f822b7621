/** What `depth-penalty` decides, seed by seed against the training without penalty. Pure. */
import type { Claim } from "../record.ts";
import { CONFIDENCE, extremeClaim, type SeedClaim, seedClaim } from "../seed_claim.ts";
import { meanInterval } from "../statistics.ts";
import { conditionsOf, type DepthPenaltyConfig, NONE, NONE_TIED, type Row, SHARED } from "./config.ts";

const PENALTY = "Marion (NeurIPS 2023): the penalty is meant to narrow the gap; measured for this project";

export function claimsOf(config: DepthPenaltyConfig, networks: readonly Row[]): Claim[] {
  const { seeds } = config;
  const numberOf = (penalty: string, seed: number, column: string) =>
    networks.find((row) => row.penalty === penalty && row.seed === seed)?.[column] as number | undefined;
  /** A claim on the mean over seeds of what two trainings of each seed give. */
  const paired = (
    claim: SeedClaim,
    [one, other]: readonly [string, string],
    column: string,
    compare: (one: number, other: number) => number,
  ): Claim => {
    const values = seeds.flatMap((seed) => {
      const [a, b] = [numberOf(one, seed, column), numberOf(other, seed, column)];
      return a === undefined || b === undefined ? [] : [compare(a, b)];
    });
    const missing = seeds.length - values.length;
    const reason = `${missing} ${missing === 1 ? "seed is" : "seeds are"} missing`;
    return seedClaim({ ...claim, ...(missing > 0 && { undecided: reason }) }, values);
  };
  const difference = (a: number, b: number) => a - b;
  const claims: Claim[] = [];
  for (const { name, id, start, penalty } of conditionsOf(config)) {
    if (penalty.kind === "none") continue;
    const base = start === "tied" ? NONE_TIED : NONE;
    if (penalty.kind !== "tied")
      claims.push(
        paired(
          {
            id: `${id}-smoother`,
            statement: `λ = ${name}: L·max_k ‖W_{k+1} − W_k‖_F ends smaller than without penalty (ratio)`,
            source: "what the penalty is for; its size is measured for this project",
            passes: { max: 1 },
          },
          [name, base],
          "lipschitz_W",
          (a, b) => a / b,
        ),
      );
    const against = start === "tied" ? "without penalty from the same tied start" : "without penalty";
    claims.push(
      paired(
        {
          id: `${id}-gap`,
          statement: `λ = ${name}: the generalisation gap, test − training loss, is smaller than ${against} (difference)`,
          source: PENALTY,
          passes: { max: 0 },
        },
        [name, base],
        "gap",
        difference,
      ),
      paired(
        {
          id: `${id}-accuracy`,
          statement: `λ = ${name}: test accuracy is at least that ${against} (difference)`,
          source: PENALTY,
          passes: { min: 0 },
        },
        [name, base],
        "test_accuracy",
        difference,
      ),
    );
  }
  const strongest = conditionsOf(config).findLast(({ penalty }) => penalty.kind === "norm");
  if (strongest)
    claims.push(
      paired(
        {
          id: "shared-continues",
          statement: `The gap goes on narrowing to λ = ∞: with shared weights it is at most that of λ = ${strongest.name} (difference)`,
          source: "measured for this project",
          passes: { max: 0 },
          note:
            "if it fails, smoothness in depth is not what narrows the gap: with Adam the gradient of a finite penalty also enters the second moment, and " +
            "the loss is descended more slowly (figure train-loss)",
        },
        [SHARED, strongest.name],
        "gap",
        difference,
      ),
    );
  const shared = networks.filter((row) => row.penalty === SHARED);
  const steps = shared.flatMap((row) => [row.lipschitz_V as number, row.lipschitz_W as number]);
  const missing = seeds.length - shared.length;
  claims.push(
    extremeClaim(
      {
        id: "shared-exactly",
        statement: "λ = ∞: all layers are equal to the last bit after training (largest L·max_k ‖Z_{k+1} − Z_k‖_F)",
        source: "equal starts, equal moves",
        passes: { min: 0, max: 0 },
        ...(missing > 0 && { undecided: `${missing} ${missing === 1 ? "seed is" : "seeds are"} missing` }),
      },
      steps.length > 0 ? Math.max(...steps) : null,
    ),
  );
  return claims;
}

export const MEANS = [
  "train_loss",
  "test_loss",
  "gap",
  "test_accuracy",
  "accuracy_gap",
  "lipschitz_V",
  "lipschitz_W",
] as const;

/** Mean over seeds of each recorded state, with the interval of the mean. */
export function meanRows(config: DepthPenaltyConfig, curves: readonly Row[]): Row[] {
  return conditionsOf(config).flatMap(({ name }) => {
    const rows = curves.filter((row) => row.penalty === name);
    const steps = [...new Set(rows.map((row) => row.step as number))];
    return steps.map((step): Row => {
      const states = rows.filter((row) => row.step === step);
      const mean: Row = { penalty: name, step, seeds: states.length };
      for (const column of MEANS) {
        const { mean: value, interval } = meanInterval(
          states.map((row) => row[column] as number),
          CONFIDENCE,
        );
        mean[column] = value;
        for (const [i, end] of ["lower", "upper"].entries())
          mean[`${column}_${end}`] = Number.isFinite(interval[i]!) ? interval[i]! : null;
      }
      return mean;
    });
  });
}
