/** The claims of `prolongation`: numbers a seed, their intervals over seeds, the ranges that theory gives. Pure. */
import type { Prolongation } from "../../model/depth_prolongation.ts";
import type { Cell, Claim } from "../record.ts";
import { CONFIDENCE, type SeedClaim, seedClaim } from "../seed_claim.ts";
import { judge, slopeOverSeeds } from "../statistics.ts";
import { FAMILIES, METHODS, type ProlongationConfig, prolongedCost, type Row, totalSteps } from "./config.ts";
import type { Collected } from "./training.ts";

const THEOREM = "Marion, Wu, Sander, Biau (ICLR 2024), Theorem 4";
const MEASURED = "measured for this project";

/** Tolerance around the exponent −1: at these depths the next order in 1/L still shows. */
const INVERSE_DEPTH = { min: -1.25, max: -0.8 };

function matches(row: Row, wanted: Readonly<Record<string, Cell>>): boolean {
  return Object.entries(wanted).every(([key, value]) => row[key] === value);
}

/** Share of the layer-steps of the training that is deep from the start. */
export function costShare(config: ProlongationConfig): number {
  return prolongedCost(config, totalSteps(config)) / (totalSteps(config) * config.depths.at(-1)!);
}

export function claimsOf(config: ProlongationConfig, collected: Collected): Claim[] {
  const { depths, seeds } = config;
  const [shallow, deep] = [depths[0]!, depths.at(-1)!];
  const total = totalSteps(config);
  const { curves, jumps, distances } = collected;

  /** A claim on the mean over seeds of a number; a seed without it leaves the claim open. */
  const overSeeds = (claim: SeedClaim, value: (seed: number) => number | undefined): Claim => {
    const values = seeds.map(value).filter((each) => each !== undefined);
    const missing = seeds.length - values.length;
    const reason = `${missing} ${missing === 1 ? "seed is" : "seeds are"} missing`;
    return seedClaim({ ...claim, ...(missing > 0 && { undecided: reason }) }, values);
  };
  const jumpOf = (method: Prolongation, depth: number, seed: number, field: string) =>
    jumps.find((row) => matches(row, { method, depth, seed }))?.[field] as number | undefined;
  const final = (schedule: string, depth: number, seed: number, field: string) =>
    curves.find((row) => matches(row, { schedule, depth, seed, step: total }))?.[field] as number | undefined;
  const distanceOf = (schedule: string, method: Prolongation, family: string, seed: number) =>
    distances.find((row) => matches(row, { schedule, method, family, seed }))?.l2 as number | undefined;
  const ratio = (above: number | undefined, below: number | undefined) =>
    above === undefined || below === undefined ? undefined : above / below;
  const lossGap = (schedule: string, depth: number, seed: number) => {
    const [reached, target] = [final(schedule, depth, seed, "loss"), final("from the start", deep, seed, "loss")];
    return reached === undefined || target === undefined ? undefined : Math.abs(reached - target);
  };

  const list: Claim[] = [];
  for (const method of METHODS) {
    const complete = seeds.filter((seed) => depths.every((depth) => jumpOf(method, depth, seed, "jump") !== undefined));
    const fit =
      complete.length > 0
        ? slopeOverSeeds(
            complete.map((seed) => ({ x: depths, y: depths.map((depth) => jumpOf(method, depth, seed, "jump")!) })),
            CONFIDENCE,
          )
        : undefined;
    list.push({
      id: `jump-slope-${method}`,
      statement: `${method} prolongation from L to 2L: the jump |ℓ(2L) − ℓ(L)| of the loss falls like 1/L (exponent in L)`,
      source: `${THEOREM} (no rate stated); the Euler error of L layers is O(1/L)`,
      measured: fit?.slope ?? null,
      ...(fit && { interval: fit.interval, confidence: CONFIDENCE }),
      passes: INVERSE_DEPTH,
      verdict: fit && complete.length === seeds.length ? judge(fit.slope, INVERSE_DEPTH, fit.interval) : "not decided",
    });
  }
  list.push(
    overSeeds(
      {
        id: "jump-ratio",
        statement: `Linear interpolation does not make the jump smaller: its jump over that of constant prolongation, from L = ${deep}`,
        source: "Taylor expansion, see note",
        passes: { min: 0.9, max: 1.1 },
        note:
          "two Euler steps of half the length differ from one by its truncation error, O(1/L) over all layers, whatever the interpolation; the two " +
          "methods differ by the second difference of the weights within a layer and by half a layer at either end, O(1/L²) over all layers: the ratio is 1 + O(1/L)",
      },
      (seed) => ratio(jumpOf("linear", deep, seed, "jump"), jumpOf("constant", deep, seed, "jump")),
    ),
    overSeeds(
      {
        id: "lipschitz-constant",
        statement: `Constant prolongation doubles L·max_k‖V_{k+1} − V_k‖_F (ratio after to before, from L = ${deep})`,
        source: "exact: the largest step stays and the number of layers doubles",
        passes: { min: 1.99, max: 2.01 },
      },
      (seed) =>
        ratio(
          jumpOf("constant", deep, seed, "lipschitz_after_V"),
          jumpOf("constant", deep, seed, "lipschitz_before_V"),
        ),
    ),
    overSeeds(
      {
        id: "lipschitz-linear",
        statement: `Linear interpolation does not raise L·max_k‖V_{k+1} − V_k‖_F (ratio after to before, from L = ${deep})`,
        source: "exact: no step is longer than half the largest one before",
        passes: { max: 1.01 },
        note: "1 % is left for the rounding of the weights to float32",
      },
      (seed) =>
        ratio(jumpOf("linear", deep, seed, "lipschitz_after_V"), jumpOf("linear", deep, seed, "lipschitz_before_V")),
    ),
  );
  const share = `${(100 * costShare(config)).toPrecision(3)} % of the layer-steps`;
  for (const method of METHODS) {
    list.push(
      overSeeds(
        {
          id: `loss-${method}`,
          statement: `Prolonged level by level (${method}) to L = ${deep} with ${share}, the final loss is that of the training deep from the start (relative difference)`,
          source: THEOREM,
          passes: { max: 1 / shallow },
          note: `1/L of the smallest depth: the theorem's order, with the constant set to 1; in a float64 program the loss of figure 1's set-up at depth L is within 0.35/L of its limit`,
        },
        (seed) => ratio(lossGap(method, deep, seed), final("from the start", deep, seed, "loss")),
      ),
      overSeeds(
        {
          id: `loss-gain-${method}`,
          statement: `Its loss (${method}) is nearer to that of the deep training than the loss of L = ${shallow} trained to the end (ratio of the differences)`,
          source: MEASURED,
          passes: { max: 1 },
        },
        (seed) => ratio(lossGap(method, deep, seed), lossGap("from the start", shallow, seed)),
      ),
    );
    for (const family of FAMILIES)
      list.push(
        overSeeds(
          {
            id: `distance-gain-${method}-${family.toLowerCase()}`,
            statement: `${family} as a function of depth, prolonged level by level (${method}), is nearer to that of the deep training than ${family} of L = ${shallow} trained to the end, interpolated in the same way (ratio of root mean squares)`,
            source: `${THEOREM} (ii): both tend to one function; which is nearer is ${MEASURED}`,
            passes: { max: 1 },
          },
          (seed) =>
            ratio(
              distanceOf("prolonged", method, family, seed),
              distanceOf("shallow to the end", method, family, seed),
            ),
        ),
      );
  }
  for (const family of FAMILIES)
    list.push(
      overSeeds(
        {
          id: `distance-linear-${family.toLowerCase()}`,
          statement: `Prolonged linearly, ${family} ends nearer to the deep training than prolonged as a constant (ratio of distances)`,
          source: MEASURED,
          passes: { max: 1 },
        },
        (seed) =>
          ratio(distanceOf("prolonged", "linear", family, seed), distanceOf("prolonged", "constant", family, seed)),
      ),
    );
  for (const family of FAMILIES) {
    const steps = (method: Prolongation) => (seed: number) =>
      ratio(final(method, deep, seed, `max_step_${family}`), final("from the start", deep, seed, `max_step_${family}`));
    const proposition = "Marion, Wu, Sander, Biau (ICLR 2024), Proposition 7";
    list.push(
      overSeeds(
        {
          id: `smooth-linear-${family.toLowerCase()}`,
          statement: `Prolonged linearly, the network ends as smooth as the deep training: max_k‖${family}_{k+1} − ${family}_k‖_F over that of the deep training`,
          source: `${proposition}: O(1/L) stays O(1/L); a common constant is ${MEASURED}`,
          passes: { min: 0.8, max: 1.25 },
        },
        steps("linear"),
      ),
      overSeeds(
        {
          id: `stairs-constant-${family.toLowerCase()}`,
          statement: `Prolonged as a constant, the network keeps its stairs: max_k‖${family}_{k+1} − ${family}_k‖_F over that of the deep training`,
          source: `${proposition} bounds how roughness grows; that the flow does not smooth it away is ${MEASURED}`,
          passes: { min: 2 },
          note: "2 is what the last prolongation alone leaves",
        },
        steps("constant"),
      ),
    );
  }
  return list;
}
