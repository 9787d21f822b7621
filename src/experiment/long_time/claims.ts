/** What the rows of a long-time run decide. Pure. */
import type { Claim } from "../record.ts";
import { CONFIDENCE, extremeClaim, seedClaim } from "../seed_claim.ts";
import { decayRate, logLogSlope } from "../statistics.ts";
import type { LongTimeRows } from "./collect.ts";
import { FAMILIES, type LongTimeConfig, PRESETS, type Row, SETUPS, type SetupName, trainingId } from "./config.ts";

const PAPER = "Marion, Wu, Sander, Biau (ICLR 2024)";
const MEASURED = "measured for this project";

/**
 * What is claimed of t → ∞ is judged once the loss has fallen so far: the way that is left is at most 2√(ℓ/μ), a hundredth of what it
 * was at the start.
 */
const AT_REST = 1e-4;
/** The slope of the distance is fitted where the loss is below the first share of ℓ(0) and above the second multiple of ℓ(T). */
const FIT_BELOW = 0.1;
/** The distance to Z(T) instead of Z_∞ then misses at most √(1/100) of itself. */
const FIT_ABOVE = 100;
const FIT_POINTS = 3;
/** Below this share of ℓ(0) the residuals, a ten-thousandth of the outputs, come near the rounding of float32 states summed over layers. */
const ROUNDING = 1e-8;

/**
 * A float64 program's numbers for figure 2 (code parametrisation, Euler with η = 0.005), with its own draw of weights and data, at
 * training times η · iterations. The published curve falls from about 2 to slightly below 1e-7.
 */
const FLOAT64_START = 1.89;
const FLOAT64_DEPTH = 64;
const FLOAT64_NUMBERS: readonly {
  readonly time: number;
  readonly loss: number;
  readonly stepV: number;
  readonly stepW?: number;
  readonly plRatio?: number;
}[] = [
  // biome-ignore lint/suspicious/noApproximativeNumericConstant: a measured number, not 1/√2
  { time: 50, loss: 1.32e-2, stepV: 0.707, stepW: 0.252, plRatio: 0.0503 },
  { time: 100, loss: 1.16e-3, stepV: 1.004 },
  { time: 150, loss: 1.5e-4, stepV: 1.095 },
  { time: 200, loss: 2.6e-5, stepV: 1.127 },
  { time: 250, loss: 5.1e-6, stepV: 1.139 },
  { time: 300, loss: 1.1e-6, stepV: 1.145 },
  { time: 350, loss: 2.8e-7, stepV: 1.147 },
  { time: 400, loss: 7.2e-8, stepV: 1.148, stepW: 0.501, plRatio: 0.0266 },
];
const FLOAT64_START_PL = 4.97;

/** The states of one finished training, in order. */
interface Trajectory {
  readonly states: readonly Row[];
  readonly distances: readonly Row[];
}

export function claimsOf(config: LongTimeConfig, rows: LongTimeRows): Claim[] {
  return [
    zeroClaim(rows),
    ...SETUPS.flatMap((setup) => setupClaims(config, rows, setup)),
    ...magnitudeClaims(config, rows),
  ];
}

function trajectories(config: LongTimeConfig, rows: LongTimeRows, setup: SetupName): Trajectory[] {
  const of = (table: readonly Row[], seed: number) => table.filter((row) => row.setup === setup && row.seed === seed);
  return config[setup].seeds
    .filter((seed) => rows.finished.has(trainingId(setup, seed)))
    .map((seed) => ({ states: of(rows.states, seed), distances: of(rows.distances, seed) }));
}

function missingNote(config: LongTimeConfig, rows: LongTimeRows, setup: SetupName): string | undefined {
  const missing = config[setup].seeds.filter((seed) => !rows.finished.has(trainingId(setup, seed))).length;
  return missing > 0 ? `${missing} of ${config[setup].seeds.length} trainings are missing` : undefined;
}

const number = (row: Row, field: string) => row[field] as number;

/** The recorded state nearest to a time. */
function stateAt(states: readonly Row[], time: number): Row {
  const gap = (row: Row) => Math.abs(number(row, "time") - time);
  return states.reduce((best, row) => (gap(row) < gap(best) ? row : best));
}

function zeroClaim({ states }: LongTimeRows): Claim {
  const early = states.filter((row) => number(row, "step") <= 1);
  const largest = Math.max(...early.flatMap((row) => FAMILIES.map((family) => number(row, `max_step_${family}`))));
  return extremeClaim(
    {
      id: "zero-start",
      statement:
        "With V = 0 and W tied, all layers move alike in the first step: max_k‖Z_{k+1} − Z_k‖_F is exactly 0 after 0 and 1 steps, in every training",
      source: `${PAPER}, eq. 4 at the initial weights`,
      passes: { min: 0, max: 0 },
    },
    early.length === 0 ? null : largest,
  );
}

function setupClaims(config: LongTimeConfig, rows: LongTimeRows, setup: SetupName): Claim[] {
  const all = trajectories(config, rows, setup);
  const { depth, steps, rate } = config[setup];
  const end = Number((steps * rate).toPrecision(6));
  const where = `${setup} set-up, L = ${depth}`;
  const missing = missingNote(config, rows, setup);
  const fallen = all.map(({ states }) => number(states.at(-1)!, "loss") / number(states[0]!, "loss"));
  const restless =
    fallen.length > 0 && Math.max(...fallen) > AT_REST
      ? `the loss has fallen only to ${Math.max(...fallen).toPrecision(2)} of its start by t = ${end}; judged from ${AT_REST} on`
      : undefined;
  const undecided = missing ?? restless;
  const claims: Claim[] = [];
  const add = (claim: Parameters<typeof seedClaim>[0], values: readonly number[]) =>
    claims.push(seedClaim(claim, values));

  add(
    {
      id: `rate-${setup}`,
      statement: `The loss falls exponentially: rate r of ℓ ≈ C e^{−rt} over the last half of the time (${where})`,
      source: `${PAPER}, Theorem 6; figure 2`,
      passes: { min: 0 },
      ...(missing !== undefined && { undecided: missing }),
      note: `${all.length} seeds, t = ${end / 2} to ${end}`,
    },
    all.map(({ states }) => {
      const late = states.filter((row) => number(row, "time") >= end / 2);
      return decayRate(
        late.map((row) => number(row, "time")),
        late.map((row) => number(row, "loss")),
        CONFIDENCE,
      ).rate;
    }),
  );
  add(
    {
      id: `rate-is-pl-ratio-${setup}`,
      statement: `log ℓ falls at the rate of the Polyak–Łojasiewicz ratio over the last half of the time: quotient of the two (${where})`,
      source: `${PAPER}, eq. 4: dℓ/dt = −L Σ_k‖∂ℓ/∂Z_k‖², and Definition 1`,
      passes: { min: 0.95, max: 1.05 },
      ...(missing !== undefined && { undecided: missing }),
      note: `the two are equal for the flow; the tolerance is for Euler's steps and the trapezoidal rule between records; while ℓ > ${ROUNDING} ℓ(0)`,
    },
    all.map(({ states }) => {
      const late = aboveRounding(states, states).filter((row) => number(row, "time") >= end / 2);
      return Math.log(number(late[0]!, "loss") / number(late.at(-1)!, "loss")) / integral(late, "pl_ratio");
    }),
  );
  for (const family of FAMILIES)
    add(
      {
        id: `saturation-${family.toLowerCase()}-${setup}`,
        statement: `L·max_k‖${family}_{k+1} − ${family}_k‖_F saturates: its exponent p in t over the last doubling of the time, log₂ of the quotient (${where})`,
        source: `${PAPER}, Proposition 8 (ii): the constant does not depend on t`,
        passes: { max: 0.1 },
        ...(undecided !== undefined && { undecided }),
        note: "0: constant; 1: linear in t, as at the start. A float64 program's own draw of figure 2 gave 0.027 for V from t = 200 to 400",
      },
      all.map(({ states }) => {
        const field = `max_step_${family}`;
        return Math.log2(number(states.at(-1)!, field) / number(stateAt(states, end / 2), field));
      }),
    );
  add(
    {
      id: `pl-floor-${setup}`,
      statement: `The Polyak–Łojasiewicz ratio stops falling: its exponent in t over the last doubling of the time, log₂ of the quotient (${where})`,
      source: `${PAPER}, Proposition 5 (a floor μ > 0 in a ball around the start); the test is ${MEASURED}`,
      passes: { min: -0.1 },
      ...(undecided !== undefined && { undecided }),
      note: `the least ratio of any recorded state is ${least(all).toPrecision(3)}`,
    },
    all.map(({ states }) =>
      Math.log2(number(states.at(-1)!, "pl_ratio") / number(stateAt(states, end / 2), "pl_ratio")),
    ),
  );
  const slopes = all.map((trajectory) => distanceSlope(trajectory));
  const short = slopes.includes(null)
    ? `needs ${FIT_POINTS} kept states with ${FIT_ABOVE} ℓ(T) <= ℓ(t) <= ${FIT_BELOW} ℓ(0) in every training`
    : undefined;
  add(
    {
      id: `half-rate-${setup}`,
      statement: `‖Z(t) − Z_∞‖ falls like √ℓ(t), at half the rate of the loss: slope of log distance in log ℓ (${where})`,
      source: `${PAPER}, Theorem 6 and A.2: ‖Z(t) − Z_∞‖ <= (M/2) e^{−μt/2}`,
      passes: { min: 0.4, max: 0.6 },
      ...((missing ?? short) !== undefined && { undecided: (missing ?? short)! }),
      note: `Z_∞ is the last state; root mean square over depth; fitted where ${FIT_ABOVE} ℓ(T) <= ℓ(t) <= ${FIT_BELOW} ℓ(0). Directions still at rest when others have settled move the slope off 1/2 by a finite time`,
    },
    slopes.filter((slope) => slope !== null),
  );
  const shares = all.flatMap(({ states, distances }) =>
    aboveRounding(states, distances).map((row) => number(row, "share")),
  );
  claims.push(
    extremeClaim(
      {
        id: `path-bound-${setup}`,
        statement: `The way still to go is at most 2(√ℓ(t) − √ℓ(T))/√μ, μ the least ratio from t on: largest share of that bound (${where})`,
        source: `${PAPER}, A.2 (Polyak–Łojasiewicz: speed² >= μℓ bounds the length of the path)`,
        passes: { max: 1.01 },
        ...(missing !== undefined && { undecided: missing }),
        note: `1 is reached when a single direction is left; 0.01 for Euler's steps and the records between which μ is not seen; while ℓ > ${ROUNDING} ℓ(0)`,
      },
      shares.length === 0 ? null : Math.max(...shares),
    ),
  );
  return claims;
}

/** Rows of a trajectory whose loss float32 still resolves. */
function aboveRounding(states: readonly Row[], rows: readonly Row[]): Row[] {
  return rows.filter((row) => number(row, "loss") > ROUNDING * number(states[0]!, "loss"));
}

function least(all: readonly Trajectory[]): number {
  return Math.min(...all.flatMap(({ states }) => states.map((row) => number(row, "pl_ratio"))));
}

/** Over time, by the trapezoidal rule. */
function integral(states: readonly Row[], field: string): number {
  let sum = 0;
  for (let i = 1; i < states.length; i++) {
    const [a, b] = [states[i - 1]!, states[i]!];
    sum += ((number(b, "time") - number(a, "time")) * (number(a, field) + number(b, field))) / 2;
  }
  return sum;
}

/** Slope of log distance in log loss; null with too few states in the fitted range. */
function distanceSlope({ states, distances }: Trajectory): number | null {
  const first = number(states[0]!, "loss");
  const last = number(states.at(-1)!, "loss");
  const fitted = distances.filter((row) => {
    const loss = number(row, "loss");
    return loss <= FIT_BELOW * first && loss >= FIT_ABOVE * last;
  });
  if (fitted.length < FIT_POINTS) return null;
  return logLogSlope(
    fitted.map((row) => number(row, "loss")),
    fitted.map((row) => number(row, "distance")),
    CONFIDENCE,
  ).slope;
}

/** Quotients with the float64 program's numbers, where the run has the sizes of figure 2, at any depth, and reaches its times. */
function magnitudeClaims(config: LongTimeConfig, rows: LongTimeRows): Claim[] {
  const published = PRESETS.paper;
  const same = (["samples", "width", "hidden"] as const).every((key) => config.figure2[key] === published.figure2[key]);
  if (!same || config.activation !== published.activation) return [];
  const all = trajectories(config, rows, "figure2");
  const missing = missingNote(config, rows, "figure2");
  const claims: Claim[] = [];
  const ratio = (id: string, what: string, values: readonly number[], passes: Claim["passes"], note: string) =>
    claims.push(
      seedClaim(
        {
          id,
          statement: `${what}: quotient with a float64 program's own random draw`,
          source: `${MEASURED} (figure 2 set-up, L = ${FLOAT64_DEPTH})`,
          passes,
          note,
          ...(missing !== undefined && { undecided: missing }),
        },
        values,
      ),
    );
  const twofold = { min: 0.5, max: 2 };
  const at = (time: number) =>
    all.flatMap(({ states }) => {
      const state = stateAt(states, time);
      return Math.abs(number(state, "time") - time) < 1e-6 * (1 + time) ? [{ start: states[0]!, state }] : [];
    });
  const magnitude = (id: string, what: string, time: number, field: string, expected: number) =>
    ratio(
      id,
      what,
      at(time).map(({ state }) => number(state, field) / expected),
      twofold,
      `${expected} expected, ${at(time)
        .map(({ state }) => number(state, field).toPrecision(3))
        .join(", ")} here; only the magnitude must agree`,
    );
  magnitude("pl-ratio-0", "The Polyak–Łojasiewicz ratio at the start", 0, "pl_ratio", FLOAT64_START_PL);
  for (const { time, loss, stepV, stepW, plRatio } of FLOAT64_NUMBERS) {
    if (at(time).length === 0) continue;
    ratio(
      `loss-${time}`,
      `log(ℓ(0)/ℓ(t)) at t = ${time}`,
      at(time).map(
        ({ start, state }) => Math.log(number(start, "loss") / number(state, "loss")) / Math.log(FLOAT64_START / loss),
      ),
      twofold,
      `loss ${loss} expected, ${at(time)
        .map(({ state }) => number(state, "loss").toPrecision(3))
        .join(", ")} here. The logarithm, because a draw sets the rate and the loss is exponential in it`,
    );
    const scaled = (step: number) => Number((FLOAT64_DEPTH * step).toPrecision(4));
    magnitude(`step-v-${time}`, `L·max_k‖V_{k+1} − V_k‖_F at t = ${time}`, time, "scaled_step_V", scaled(stepV));
    if (stepW !== undefined)
      magnitude(`step-w-${time}`, `L·max_k‖W_{k+1} − W_k‖_F at t = ${time}`, time, "scaled_step_W", scaled(stepW));
    if (plRatio !== undefined)
      magnitude(`pl-ratio-${time}`, `The Polyak–Łojasiewicz ratio at t = ${time}`, time, "pl_ratio", plRatio);
  }
  return claims;
}
