/** The claims of `clipping`. Pure. */
import type { Claim } from "../record.ts";
import { extremeClaim, seedClaim } from "../seed_claim.ts";
import { slopesBySeed } from "../synthetic.ts";
import { type Clip, type ClippingConfig, casesOf, clipsOf, LARGEST_MOVE, nameOf, type Row } from "./config.ts";

const PAPER = "Marion, Wu, Sander, Biau (ICLR 2024)";

const INVERSE_DEPTH = { min: -1.1, max: -0.9 };

/** M_π = sup‖π‖_F over the matrices that are projected: C, or √p C for p coordinates. */
export function clipSize({ width, hidden }: Pick<ClippingConfig, "width" | "hidden">, { clip, bound }: Clip): number {
  const coordinates = Math.max(width * hidden, width * width);
  return clip === "none" ? Infinity : clip === "norm" ? bound! : Math.sqrt(coordinates) * bound!;
}

/** What clipping changes, against the plain flow from the same start: relative difference of the loss, at its largest over the recorded steps. */
export function differenceRows(config: ClippingConfig, states: readonly Row[]): Row[] {
  const { depths, seeds, rate } = config;
  const depth = depths.at(-1)!;
  const lossesOf = (name: string, seed: number) =>
    states
      .filter((row) => row.case === name && row.seed === seed && row.depth === depth && row.rate === rate)
      .map(({ loss }) => loss as number);
  return clipsOf(config).flatMap((clip) =>
    clip.clip === "none"
      ? []
      : seeds.flatMap((seed): Row[] => {
          const [plain, clipped] = [lossesOf("none", seed), lossesOf(nameOf(clip), seed)];
          if (plain.length === 0 || plain.length !== clipped.length) return [];
          const difference = Math.max(...clipped.map((loss, i) => Math.abs(loss / plain[i]! - 1)));
          return [{ clip: clip.clip, bound: clip.bound, depth, seed, difference }];
        }),
  );
}

export function claimsOf(config: ClippingConfig, ends: readonly Row[], differences: readonly Row[]): Claim[] {
  const { depths, seeds, rate, steps, width, hidden, largeRates, samples } = config;
  const list: Claim[] = [];
  const unfinished = ends.length < casesOf(config).length ? "not all trainings finished" : undefined;
  const undecided = unfinished === undefined ? {} : { undecided: unfinished };
  for (const clip of clipsOf(config)) {
    if (clip.clip === "none") continue;
    const name = nameOf(clip);
    const slopes = slopesBySeed(
      config,
      (depth, seed) =>
        ends.find((row) => row.case === name && row.rate === rate && row.depth === depth && row.seed === seed)
          ?.largest_step as number | undefined,
    );
    list.push(
      seedClaim(
        {
          id: `${clip.clip}-${clip.bound}-step-slope`,
          statement: `Clipped ${clip.clip === "norm" ? "by norm" : "by coordinate"} at C = ${clip.bound}: max over k and t of ‖Z_{k+1} − Z_k‖ falls like 1/L (exponent of L)`,
          source: `${PAPER}, Proposition 3`,
          passes: INVERSE_DEPTH,
        },
        slopes,
      ),
    );
  }
  const clipped = ends.filter((row) => row.clip !== "none");
  const ratio = (row: Row, value: (clip: Clip, time: number) => number) =>
    value({ clip: row.clip as Clip["clip"], bound: row.bound as number }, steps * (row.rate as number));
  const most = (values: readonly number[]) => (values.length > 0 ? Math.max(...values) : null);
  list.push(
    extremeClaim(
      {
        id: "norm-bound",
        statement:
          "‖A‖, ‖B‖, ‖V_k‖ and ‖W_k‖ stay below M = T M_π + 2√(qm) at every clipping, rate, depth, seed and recorded time (largest ratio)",
        source: `${PAPER}, Proposition 3`,
        passes: { max: 1 },
        note: `Holds with probability at least 1 − exp(−3qm/16) over W_0, here 1 − ${Math.exp((-3 * width * hidden) / 16).toExponential(1)} a seed.`,
        ...undecided,
      },
      most(
        clipped.map((row) =>
          ratio(
            row,
            (clip, time) =>
              (row.largest_norm as number) / (time * clipSize(config, clip) + 2 * Math.sqrt(width * hidden)),
          ),
        ),
      ),
    ),
    extremeClaim(
      {
        id: "speed-bound",
        statement:
          "No coordinate (no matrix, clipped by norm) moves farther than T C, at every clipping, rate, depth and seed (largest ratio)",
        source: `${PAPER}, eq. 5`,
        passes: { max: 1 + steps * 2 ** -24 * Math.sqrt(width * hidden) },
        note: "Range: one rounding a step, and √(qm) of them in a norm.",
        ...undecided,
      },
      most(clipped.map((row) => ratio(row, (clip, time) => (row.moved as number) / (time * clip.bound!)))),
    ),
  );
  const diverged = (rows: readonly Row[]) => rows.filter(({ status }) => status === "diverged").length;
  if (largeRates.length > 0) {
    const plain = ends.filter((row) => row.clip === "none" && row.rate === largeRates.at(-1));
    list.push(
      extremeClaim(
        {
          id: "plain-blows-up",
          statement: `Without clipping, Euler steps of η = ${largeRates.at(-1)} diverge (share of the seeds)`,
          source: "measured for this project; the unclipped flow has no global existence in general",
          passes: { min: 1 },
          ...undecided,
        },
        plain.length > 0 ? diverged(plain) / plain.length : null,
      ),
      extremeClaim(
        {
          id: "clipped-no-blow-up",
          statement: `Clipped, no training diverges at any step size up to η = ${largeRates.at(-1)} with η C <= ${LARGEST_MOVE} (trainings that do)`,
          source: `${PAPER}, Proposition 1`,
          passes: { min: 0, max: 0 },
          note: "The proposition is about the flow, which Euler steps of this size do not follow; a bound on the weights is what both share.",
          ...undecided,
        },
        clipped.length > 0 ? diverged(clipped) : null,
      ),
    );
  }
  for (const kind of ["coordinate", "norm"] as const) {
    const bounds = kind === "coordinate" ? config.coordinateBounds : config.normBounds;
    if (bounds.length < 2) continue;
    const of = (bound: number) =>
      differences
        .filter((row) => row.clip === kind && row.bound === bound)
        .map(({ difference }) => difference as number);
    list.push(
      seedClaim(
        {
          id: `${kind}-limit`,
          statement: `Clipped by ${kind} at C = ${bounds.at(-1)}, the loss is that of the plain flow (largest relative difference over the recorded times, L = ${depths.at(-1)})`,
          source: "measured for this project: π is the identity where C exceeds every gradient",
          passes: { min: 0, max: kind === "coordinate" ? 0 : steps * 2 ** -24 * 8 * (width + hidden + samples) },
          note:
            kind === "coordinate"
              ? "The same kernels in the same order: the same bits."
              : "Range: gradients pass through a buffer, so their sums may round otherwise; 8 (q + m + n) roundings a step.",
        },
        of(bounds.at(-1)!),
      ),
      seedClaim(
        {
          id: `${kind}-monotone`,
          statement: `Clipped by ${kind}, the difference to the plain flow shrinks as C grows (largest ratio of a difference to that at the next smaller C)`,
          source: "measured for this project",
          passes: { max: 1 },
        },
        seeds.map((seed) => {
          const values = bounds.map(
            (bound) =>
              differences.find((row) => row.clip === kind && row.bound === bound && row.seed === seed)?.difference as
                | number
                | undefined,
          );
          return values.includes(undefined)
            ? Number.NaN
            : Math.max(...values.slice(1).map((value, i) => (values[i] === 0 ? 0 : value! / values[i]!)));
        }),
      ),
    );
  }
  return list;
}
