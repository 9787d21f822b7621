/** From the last states of the networks: errors against their limits, exponents, and the claims they decide. Pure. */
import type { Cell, Claim } from "../record.ts";
import { judge, meanInterval, type SeedSlope, slopeOverSeeds } from "../statistics.ts";
import { type MeanFieldConfig, pointsOf, SCANS, type Scan, type Size, sizeId } from "./config.ts";

type Row = Record<string, Cell>;

export const CONFIDENCE = 0.95;
const CHIZAT = "Chizat, The hidden width of deep ResNets (2509.10167), abstract: error O(1/L + √(D/(LM)))";
const MEASURED = "measured for this project";
/** Smallest LM/D that exponents are taken over: below, the error is no longer small. */
const FIT_FROM = 4;
/** Smallest LM/D that the leading order is compared at: the next is D/(LM) of it. */
const LEADING_FROM = 32;

/** What one network left at one step. */
export interface NetworkState {
  readonly step: number;
  readonly loss: number;
  /** h_L [n,D]. */
  readonly last: readonly number[];
  /** h_0 [n,D]. */
  readonly first: readonly number[];
}

function rootMeanSquare(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum / a.length);
}

/**
 * Leading order of the error at initialisation, where the limit is h = h_0: h_L − h_0 is a sum of LM independent terms, each coordinate
 * of variance (D/(LM)) E tanh²(g ‖h_0‖/√D) with g standard normal; root mean square over samples.
 */
export function expectedInitialError({ L, M, D }: Size, first: readonly number[]): number {
  const samples = first.length / D;
  let sum = 0;
  for (let i = 0; i < samples; i++) {
    let norm = 0;
    for (let j = i * D; j < (i + 1) * D; j++) norm += first[j]! ** 2;
    sum += meanSquaredTanh(Math.sqrt(norm / D)) / samples;
  }
  return Math.sqrt((D / (L * M)) * sum);
}

/** E tanh²(s g), g standard normal, by the trapezoidal rule: to rounding up to s = 10, within 0.4 · step beyond. */
function meanSquaredTanh(s: number): number {
  const step = 1 / 64;
  let sum = 0;
  for (let g = -9; g <= 9; g += step)
    sum += ((step * Math.exp((-g * g) / 2)) / Math.sqrt(2 * Math.PI)) * Math.tanh(s * g) ** 2;
  return sum;
}

/** One row per network of a scan, seed and step whose limit was run too. */
export function errorRows(config: MeanFieldConfig, states: ReadonlyMap<string, readonly NetworkState[]>): Row[] {
  return config.seeds.flatMap((seed) =>
    pointsOf(config).flatMap(({ scan, size, reference }) => {
      const limit = states.get(sizeId(reference, seed)) ?? [];
      const found = states.get(sizeId(size, seed)) ?? [];
      return found.flatMap(({ step, loss, first, last }): Row[] => {
        const other = limit.find((one) => one.step === step);
        if (!other) return [];
        return [
          {
            scan,
            size: size[scan],
            L: size.L,
            M: size.M,
            D: size.D,
            seed,
            step,
            loss,
            error: rootMeanSquare(last, other.last),
            toFirst: step === 0 ? rootMeanSquare(last, first) : null,
            expected: step === 0 ? expectedInitialError(size, first) : null,
            moved: step === 0 ? null : rootMeanSquare(last, found[0]!.last),
          },
        ];
      });
    }),
  );
}

export interface Exponent {
  readonly scan: Scan;
  readonly step: number;
  readonly quantity: "error" | "moved";
  readonly fit: SeedSlope;
}

const ratio = ({ L, M, D }: Row) => ((L as number) * (M as number)) / (D as number);

/** Exponents of the scanned size over seeds that have at least two sizes. */
export function exponents({ seeds, steps }: MeanFieldConfig, errors: readonly Row[]): Exponent[] {
  return ([0, steps] as const).flatMap((step) =>
    (step === 0 ? (["error"] as const) : (["error", "moved"] as const)).flatMap((quantity) =>
      SCANS.flatMap((scan): Exponent[] => {
        const perSeed = seeds
          .map((seed) =>
            errors.filter(
              (row) => row.scan === scan && row.seed === seed && row.step === step && ratio(row) >= FIT_FROM,
            ),
          )
          .filter((rows) => rows.length > 1)
          .map((rows) => ({
            x: rows.map(({ size }) => size as number),
            y: rows.map((row) => row[quantity] as number),
          }));
        return perSeed.length === 0 ? [] : [{ scan, step, quantity, fit: slopeOverSeeds(perSeed, CONFIDENCE) }];
      }),
    ),
  );
}

const EXPECTED = { L: -0.5, M: -0.5, D: 0.5 } as const;
/** Found by others with the code of the paper, at initialisation. */
const REPORTED = { L: -0.502, M: -0.501, D: 0.51 } as const;
const NAMES = { L: "depth L", M: "hidden width M", D: "state width D" } as const;

export function claims(config: MeanFieldConfig, errors: readonly Row[], found: readonly Exponent[]): Claim[] {
  const list: Claim[] = [];
  const add = (
    scan: Scan,
    step: number,
    quantity: Exponent["quantity"],
    text: Pick<Claim, "id" | "statement" | "source" | "passes"> & { readonly note: string },
  ) => {
    const one = found.find((row) => row.scan === scan && row.step === step && row.quantity === quantity);
    const decided = one !== undefined && one.fit.source === "seeds";
    list.push({
      ...text,
      measured: one?.fit.slope ?? null,
      ...(decided && { interval: one.fit.interval, confidence: CONFIDENCE }),
      verdict: decided ? judge(one.fit.slope, text.passes, one.fit.interval) : "not decided",
    });
  };
  for (const scan of SCANS) {
    const expected = EXPECTED[scan];
    add(scan, 0, "error", {
      id: `initial-${scan}`,
      statement: `At initialisation, the distance of h_L to that of the limit network scales like ${NAMES[scan]} to the power ${expected}`,
      source: `${CHIZAT}; third-party notes report ${REPORTED[scan]}`,
      passes: { min: expected - 0.05, max: expected + 0.05 },
      note: "the limit network is finite and has an error of its own, at most a 16th of the others' variance in preset reduced, which tilts the exponent by about 0.01",
    });
  }
  for (const scan of SCANS) {
    const expected = EXPECTED[scan];
    add(scan, config.steps, "error", {
      id: `trained-${scan}`,
      statement: `After ${config.steps} steps of gradient descent, the distance of h_L to that of the limit network scales like ${NAMES[scan]} to the power ${expected}`,
      source: CHIZAT,
      passes: { min: expected - 0.1, max: expected + 0.1 },
      note:
        scan === "L"
          ? "the term 1/L of the bound, that of Euler's method, would steepen it"
          : "the limit network has the same L, so that the term 1/L of the bound is not in the distance",
    });
  }
  for (const scan of SCANS)
    add(scan, config.steps, "moved", {
      id: `features-${scan}`,
      statement: `Feature learning: training moves h_L by an amount that does not depend on ${NAMES[scan]}: its exponent`,
      source: "Chizat (2509.10167), abstract: this residual scale and rate learn features at any size",
      passes: { min: -0.1, max: 0.1 },
      note: "root mean square over samples and coordinates of h_L after training less h_L before",
    });
  list.push(magnitudeClaim(config, errors));
  return list;
}

function magnitudeClaim({ seeds }: MeanFieldConfig, errors: readonly Row[]): Claim {
  const passes = { min: 0.95, max: 1.05 };
  const perSeed = seeds.flatMap((seed) => {
    const rows = errors.filter((row) => row.step === 0 && row.seed === seed && ratio(row) >= LEADING_FROM);
    if (rows.length === 0) return [];
    const squares = rows.map(({ toFirst, expected }) => ((toFirst as number) / (expected as number)) ** 2);
    return [Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / rows.length)];
  });
  const summary = perSeed.length > 1 ? meanInterval(perSeed, CONFIDENCE) : undefined;
  return {
    id: "initial-magnitude",
    statement:
      "At initialisation the limit is h = h_0, and the root mean square of h_L − h_0 is √(D/(LM) · E tanh²(g ‖h_0‖/√D)): the ratio to it, root mean square over networks",
    source: `a sum of independent terms, exact to leading order in D/(LM); ${MEASURED}`,
    measured: summary?.mean ?? perSeed[0] ?? null,
    ...(summary && { interval: summary.interval, confidence: CONFIDENCE }),
    passes,
    verdict: summary ? judge(summary.mean, passes, summary.interval) : "not decided",
  };
}
