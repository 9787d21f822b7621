/** The claims of `roughness`, and the rows they are read from. Pure. */
import type { Cell, Claim } from "../record.ts";
import { extremeClaim, seedClaim } from "../seed_claim.ts";
import { slopesBySeed } from "../synthetic.ts";
import { casesOf, type Kind, type RoughnessConfig, type Row } from "./config.ts";

const SOURCE = "Marion, Wu, Sander, Biau (ICLR 2024), Proposition 7";

/** Tolerance of an exponent that is predicted to be 0 (of the factors) or −1 (of the steps themselves). */
const EXPONENT_TOLERANCE = 0.1;

/** One row a finished training. */
export function endRows(config: RoughnessConfig, states: readonly Row[]): Row[] {
  return casesOf(config).flatMap(({ kind, r, depth, seed }): Row[] => {
    const mine = states.filter((row) => row.kind === kind && row.r === r && row.depth === depth && row.seed === seed);
    const end = mine.find(({ step }) => step === config.steps);
    const start = mine.find(({ step }) => step === 0);
    if (!end || !start) return [];
    const largest = Math.max(...mine.map((row) => row.max_step as number));
    return [
      {
        kind,
        r,
        depth,
        seed,
        start_step: start.max_step!,
        largest_step: largest,
        end_step: end.max_step!,
      },
    ];
  });
}

export function amplificationOf({ largest_step, start_step }: Row): number {
  return (largest_step as number) / (start_step as number);
}

/** Least e^{aT} with L‖ΔZ(T)‖ ≤ (r + b) e^{aT} at all r, b e^{aT} being what the tied start reaches. */
export function fitRows(
  { kinds, roughness, depths, seeds, steps, rate }: RoughnessConfig,
  ends: readonly Row[],
): Row[] {
  return kinds.flatMap((kind) =>
    depths.flatMap((depth) =>
      seeds.flatMap((seed): Row[] => {
        const at = (of: Kind | "tied", r: number) =>
          ends.find((row) => row.kind === of && row.r === r && row.depth === depth && row.seed === seed)?.end_step as
            | number
            | undefined;
        const tied = at("tied", 0);
        const rough = roughness.map((r) => at(kind, r));
        if (tied === undefined || rough.includes(undefined)) return [];
        const factor = Math.max(...rough.map((step, i) => (depth * (step! - tied)) / roughness[i]!));
        const a = Math.log(factor) / (steps * rate);
        return [{ kind, depth, seed, factor, a, b: (depth * tied) / factor }];
      }),
    ),
  );
}

export function claimsOf(config: RoughnessConfig, ends: readonly Row[], fits: readonly Row[]): Claim[] {
  const { kinds, roughness, depths, seeds } = config;
  const slopes = (value: (depth: number, seed: number) => Cell | undefined) =>
    slopesBySeed(config, (depth, seed) => value(depth, seed) as number | undefined);
  const end = (kind: Kind | "tied", r: number, depth: number, seed: number) =>
    ends.find((row) => row.kind === kind && row.r === r && row.depth === depth && row.seed === seed);
  const around = (exponent: number) => ({ min: exponent - EXPONENT_TOLERANCE, max: exponent + EXPONENT_TOLERANCE });
  const list: Claim[] = [
    seedClaim(
      {
        id: "tied-step-slope",
        statement: "From the tied start, r = 0, the largest step over layers and time falls like 1/L (exponent of L)",
        source: "Marion, Wu, Sander, Biau (ICLR 2024), Proposition 3",
        passes: around(-1),
      },
      slopes((depth, seed) => end("tied", 0, depth, seed)?.largest_step),
    ),
  ];
  for (const kind of kinds) {
    for (const r of roughness)
      list.push(
        seedClaim(
          {
            id: `${kind}-amplification-slope-r${r}`,
            statement: `${kind}, r = ${r}: the amplification max_{k,t} ‖Z_{k+1} − Z_k‖ / max_k ‖Z_{k+1}(0) − Z_k(0)‖ does not depend on L (exponent of L)`,
            source: SOURCE,
            passes: around(0),
          },
          slopes((depth, seed) => {
            const row = end(kind, r, depth, seed);
            return row && amplificationOf(row);
          }),
        ),
      );
    const mine = fits.filter((row) => row.kind === kind);
    const bound = (depth: number, seed: number) => mine.find((row) => row.depth === depth && row.seed === seed);
    list.push(
      seedClaim(
        {
          id: `${kind}-factor-slope`,
          statement: `${kind}: the least factor e^{aT} with which (‖Z_{k+1}(0) − Z_k(0)‖ + b/L) e^{aT} bounds the steps at all r does not depend on L (exponent of L)`,
          source: SOURCE,
          passes: around(0),
        },
        slopes((depth, seed) => bound(depth, seed)?.factor),
      ),
      seedClaim(
        {
          id: `${kind}-bound-at-depth`,
          statement: `${kind}: with a and b taken at L = ${depths[0]} alone, the bound holds at every greater depth and every r (largest ratio of a step to it)`,
          source: SOURCE,
          passes: { max: (depths.at(-1)! / depths[0]!) ** EXPONENT_TOLERANCE },
          note: `Range: exponents within ${EXPONENT_TOLERANCE} of those of the bound, from L = ${depths[0]} to ${depths.at(-1)}.`,
        },
        seeds.map((seed) => {
          const base = bound(depths[0]!, seed);
          if (!base || depths.length < 2) return Number.NaN;
          const ratios = depths.slice(1).flatMap((depth) =>
            [0, ...roughness].map((r) => {
              const row = end(r === 0 ? "tied" : kind, r, depth, seed);
              return row
                ? (depth * (row.end_step as number)) / ((r + (base.b as number)) * (base.factor as number))
                : Number.NaN;
            }),
          );
          return Math.max(...ratios);
        }),
      ),
      seedClaim(
        {
          id: `${kind}-printed-form`,
          statement: `${kind}: the form as printed, e^{αT} on the second term only, holds with the tied start's second term (e^{aT} at L = ${depths.at(-1)})`,
          source: `${SOURCE} as printed`,
          passes: { max: 1 },
          note: "The proof yields e^{αT} on both terms. One random direction a seed: not the worst one.",
        },
        seeds.map((seed) => (bound(depths.at(-1)!, seed)?.factor as number | undefined) ?? Number.NaN),
      ),
    );
  }
  const deviations = ends.flatMap(({ r, depth, start_step }) =>
    (r as number) > 0
      ? [Math.abs(((start_step as number) * (depth as number)) / (r as number) - 1)]
      : [start_step as number],
  );
  list.push(
    extremeClaim(
      {
        id: "start-steps",
        statement: "The starts have steps of r/L, exactly 0 from tied weights (largest relative deviation)",
        source: "the construction",
        passes: {
          max:
            (2 ** -24 * Math.max(...depths) * 2 * 5 * Math.sqrt(config.width * config.hidden)) / Math.min(...roughness),
        },
        note: "Range: float32 rounds entries of W, below 5 standard deviations, by at most 5·2⁻²⁴ each, 2L/r times that relative to a step.",
      },
      deviations.length > 0 ? Math.max(...deviations) : null,
    ),
  );
  return list;
}
