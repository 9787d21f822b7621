/** The claims of `activations-and-init`: exponents in depth over seeds, verdicts by the rule, and the published numbers. */
import type { Activation } from "../../config/dense.ts";
import type { Cell, Claim } from "../record.ts";
import { CONFIDENCE, extremeClaim, seedClaim } from "../seed_claim.ts";
import { furtherDraw, logLogSlope, meanInterval, slopeOverSeeds } from "../statistics.ts";
import {
  type ActivationsAndInitConfig,
  FAMILIES,
  type Family,
  isSmooth,
  PUBLISHED,
  PUBLISHED_ACTIVATIONS,
  type Row,
  resolvedDepths,
  type Start,
  startsOf,
} from "./config.ts";
import {
  joined,
  POWERS,
  ROUGH_ABOVE,
  SMOOTH_RANGE,
  type Smoothness,
  smoothnessOf,
  variationIndex,
} from "./smoothness.ts";

const PAPER = "Marion, Wu, Sander, Biau (ICLR 2024)";
const MEASURED = "measured for this project";
/** Tolerance of the exponent of Σ ‖ΔX‖², which is twice that of ‖ΔX‖. */
const VARIATION_TOLERANCE = 0.2;

/** Depths and, for every seed, a number at each of them; NaN where a training is missing. */
interface Series {
  readonly depths: readonly number[];
  readonly perSeed: readonly (readonly number[])[];
}

function seriesOf(
  config: ActivationsAndInitConfig,
  states: readonly Row[],
  start: Start,
  of: Readonly<Record<string, Cell>>,
  column: string,
): Series {
  const mine = states.filter(
    (row) => row.start === start.name && Object.entries(of).every(([key, value]) => row[key] === value),
  );
  const depths = resolvedDepths(config, start);
  const at = (depth: number, seed: number) => {
    const value = mine.find((row) => row.depth === depth && row.seed === seed)?.[column];
    return typeof value === "number" && value > 0 ? value : Number.NaN;
  };
  return { depths, perSeed: config.seeds.map((seed) => depths.map((depth) => at(depth, seed))) };
}

/** Exponent in L of every seed; NaN with fewer than three depths or where a training is missing. */
function slopes({ depths, perSeed }: Series): number[] {
  return perSeed.map((y) =>
    depths.length > 2 && y.every(Number.isFinite) ? logLogSlope(depths, y).slope : Number.NaN,
  );
}

/** The same between the two deepest. */
function lastSlopes({ depths, perSeed }: Series): number[] {
  return slopes({ depths, perSeed }).map((slope, seed) =>
    Number.isFinite(slope) ? logLogSlope(depths.slice(-2), perSeed[seed]!.slice(-2)).slope : slope,
  );
}

function meanOf(values: readonly number[]): number | null {
  return values.every(Number.isFinite) ? meanInterval(values, CONFIDENCE).mean : null;
}

/** Exponents in L and the verdict of every activation, start and family. */
export function verdictRows(config: ActivationsAndInitConfig, states: readonly Row[]): Row[] {
  return config.activations.flatMap((activation) =>
    startsOf(config).flatMap((start) =>
      FAMILIES.map((family): Row => {
        const series = (column: string) => seriesOf(config, states, start, { activation, family }, column);
        const steps = series("max_step");
        const { depths, perSeed } = steps;
        const whole = slopes(steps).every(Number.isFinite);
        const slope = whole
          ? slopeOverSeeds(
              perSeed.map((y) => ({ x: depths, y })),
              CONFIDENCE,
            )
          : undefined;
        const exponents = POWERS.map((p) => meanOf(slopes(series(`variation_${p}`))));
        const known = exponents.filter((each) => each !== null);
        const [lower, upper] = (slope?.interval ?? [null, null]).map((end) => (Number.isFinite(end) ? end : null));
        return {
          ...{ activation, start: start.name, family },
          depths: depths.length,
          slope: slope?.slope ?? null,
          lower: lower!,
          upper: upper!,
          last_slope: meanOf(lastSlopes(steps)),
          roughness_slope: meanOf(slopes(series("roughness"))),
          ...Object.fromEntries(POWERS.map((p, i) => [`variation_slope_${p}`, exponents[i]!])),
          variation_index: known.length === POWERS.length ? variationIndex(known) : null,
          verdict: slope ? smoothnessOf(slope.slope, slope.interval) : "undecided",
        };
      }),
    ),
  );
}

/** The paper's judgement of trained weights by eye (Table 1, convolutional networks on CIFAR-10). */
const BY_EYE: readonly { readonly activation: Activation; readonly start: "tied" | "iid"; readonly smooth: boolean }[] =
  [
    { activation: "identity", start: "tied", smooth: true },
    { activation: "identity", start: "iid", smooth: false },
    { activation: "gelu", start: "tied", smooth: true },
    { activation: "gelu", start: "iid", smooth: false },
    { activation: "relu", start: "tied", smooth: false },
    { activation: "relu", start: "iid", smooth: false },
  ];

/** The verdict on V and W together, beside the paper's. */
export function comparedWithEye({ activations }: ActivationsAndInitConfig, verdicts: readonly Row[]): Row[] {
  return BY_EYE.filter(({ activation }) => activations.includes(activation)).map(({ activation, start, smooth }) => {
    const families = verdicts.filter((row) => row.activation === activation && row.start === start);
    const verdict = joined(families.map((row) => row.verdict as Smoothness));
    return { activation, start, by_eye: smooth ? "smooth" : "rough", verdict };
  });
}

export function claimsOf(
  config: ActivationsAndInitConfig,
  states: readonly Row[],
  published: readonly Row[],
  verdicts: readonly Row[],
): Claim[] {
  const { activations } = config;
  const list: Claim[] = [];
  for (const activation of activations)
    for (const start of startsOf(config))
      for (const family of FAMILIES) {
        const steps = seriesOf(config, states, start, { activation, family }, "max_step");
        const what = `${activation}, ${start.name}: max_k ‖${family}_{k+1} − ${family}_k‖ after training, exponent of L`;
        const id = `${activation}-${start.name.replaceAll(" ", "-")}-${family}`;
        const last = meanOf(lastSlopes(steps));
        const few = steps.depths.length < 3;
        const common = {
          ...(last !== null && { note: `between L = ${steps.depths.slice(-2).join(" and ")}: ${last.toFixed(3)}` }),
          ...(few && { undecided: "fewer than three depths resolve the start" }),
        };
        const rough = (statement: string, source: string) =>
          list.push(
            seedClaim({ ...common, id: `${id}-rough`, statement, source, passes: { min: ROUGH_ABOVE } }, slopes(steps)),
          );
        if (start.initialisation === "iid")
          rough(`${what}: rough`, `${PAPER}, Table 1: no smooth weights from an iid start (CIFAR-10, by eye)`);
        else if (isSmooth(activation) || (family === "V" && start.initialisation === "tied"))
          list.push(
            seedClaim(
              {
                ...common,
                id: `${id}-smooth`,
                statement: `${what}: that of a Lipschitz function of depth, −1`,
                source: isSmooth(activation)
                  ? `${PAPER}, Propositions 3 and 7`
                  : `${MEASURED}: one draw in float64, where V stays smooth under ReLU`,
                passes: SMOOTH_RANGE,
              },
              slopes(steps),
            ),
          );
        else if (start.initialisation === "tied")
          rough(
            `${what}: rough, although the start is tied`,
            `${PAPER}, Table 1: no smooth weights with ReLU (CIFAR-10, by eye); one draw in float64 has local exponents −0.71, −0.63, −0.28`,
          );
      }
  const tied: Start = { name: "tied", initialisation: "tied" };
  for (const activation of activations.filter(isSmooth))
    list.push(
      seedClaim(
        {
          id: `${activation}-tied-2-variation`,
          statement: `${activation}, tied: Σ_k ‖W_{k+1} − W_k‖² vanishes like the 2-variation of a Lipschitz function, 1/L (exponent of L)`,
          source:
            "definition of the p-variation; Cohen, Cont, Rossier, Xu (ICML 2021) use its exponent to tell ODE from SDE",
          passes: { min: -1 - VARIATION_TOLERANCE, max: -1 + VARIATION_TOLERANCE },
        },
        slopes(seriesOf(config, states, tied, { activation, family: "W" }, "variation_2")),
      ),
    );
  list.push(iidRoughness(config, states), agreement(comparedWithEye(config, verdicts)));
  return [...list, ...publishedClaims(config, published)];
}

function iidRoughness(config: ActivationsAndInitConfig, states: readonly Row[]): Claim {
  const { seeds, depths, activations } = config;
  const values = seeds.map((seed) => {
    const mine = states.filter(
      (row) => row.start === "iid" && row.family === "W" && row.depth === depths.at(-1) && row.seed === seed,
    );
    return mine.length < activations.length
      ? Number.NaN
      : mine.reduce((sum, row) => sum + (row.roughness as number), 0) / mine.length;
  });
  return seedClaim(
    {
      id: "iid-roughness",
      statement: `From iid starts W keeps the roughness of independent layers, 1, at L = ${depths.at(-1)} (mean over activations)`,
      source: "von Neumann's ratio: 1 in expectation for independent layers",
      passes: { min: 0.9, max: 1.1 },
      note: "Range: training adds a part that is small beside W ~ N(0, 1).",
    },
    values,
  );
}

function agreement(compared: readonly Row[]): Claim {
  const decided = compared.filter(({ verdict }) => verdict !== "undecided");
  const same = decided.filter(({ verdict, by_eye }) => verdict === by_eye).length;
  const open = compared.length - decided.length;
  return extremeClaim(
    {
      id: "by-eye",
      statement:
        "The rule's verdicts are those that the paper reached by eye, of identity, GELU and ReLU from tied and iid starts (share)",
      source: `${PAPER}, Table 1, last column (convolutional networks on CIFAR-10)`,
      passes: { min: 1 },
      note: `${same} of ${compared.length} alike${open > 0 ? `, ${open} undecided` : ""}`,
      ...(open > 0 && same === decided.length && { undecided: "some verdicts are open, none disagrees" }),
    },
    compared.length > 0 ? same / compared.length : null,
  );
}

/** Whether one draw of a float64 program is what these seeds let expect of a further one. */
function publishedClaims(config: ActivationsAndInitConfig, published: readonly Row[]): Claim[] {
  return PUBLISHED_ACTIVATIONS.flatMap((activation) =>
    FAMILIES.flatMap((family: Family) =>
      config.publishedDepths.map((depth): Claim => {
        const number = PUBLISHED.steps[activation][family][PUBLISHED.depths.indexOf(depth)]!;
        const steps = published
          .filter((row) => row.activation === activation && row.family === family && row.depth === depth)
          .map((row) => Math.log(row.max_step as number));
        const whole = steps.length === config.seeds.length && steps.length > 2 && steps.every(Number.isFinite);
        const draw = whole ? furtherDraw(steps, Math.log(number), CONFIDENCE) : undefined;
        const mean = whole ? Math.exp(meanInterval(steps).mean).toPrecision(3) : undefined;
        return extremeClaim(
          {
            id: `published-${activation}-${family}-L${depth}`,
            statement: `${activation}, tied, L = ${depth}: max_k ‖${family}_{k+1} − ${family}_k‖ = ${number} of one draw in float64 is as a further seed's (t score of its logarithm)`,
            source: `${MEASURED}: one draw in float64, n = 100, d = q = 16, m = 32, t = 5`,
            passes: draw ? { min: -draw.limit, max: draw.limit } : { min: 0 },
            note: draw
              ? `Geometric mean over ${steps.length} seeds: ${mean}. Range: Student's t of a further draw at 95 %.`
              : "Needs three seeds or more.",
            ...(!draw && { undecided: "a training is missing or the seeds are too few" }),
          },
          draw?.score ?? null,
        );
      }),
    ),
  );
}
