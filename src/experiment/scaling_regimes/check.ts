/** Ratios of the shallowest networks against the float64 reference. */
import { denseAdjoint, denseForward } from "../../reference/dense.ts";
import type { Cell, Claim } from "../record.ts";
import { judge } from "../statistics.ts";
import { weightsOf } from "../training.ts";
import { RATIOS } from "./claims.ts";
import { processName } from "./config.ts";
import { type Case, ratios } from "./training.ts";

/** Both ratios of a network at its initial weights in float64. */
export function float64Ratios({ spec }: Case): ReturnType<typeof ratios> {
  const { shape, data } = spec;
  const { width, depth } = shape;
  const initial = weightsOf(spec);
  const weights = {
    A: Float64Array.from(initial.A),
    B: Float64Array.from(initial.B),
    V: Float64Array.from(initial.V),
    W: Float64Array.from(initial.W),
  };
  const n = data.rows;
  const { states } = denseForward(shape, weights, data.inputs, n);
  // With one output p_L is a multiple of B, and the ratio the same for all multiples.
  const last = Float64Array.from({ length: n * width }, (_, at) => weights.B[at % width]!);
  const { adjoints } = denseAdjoint(shape, weights, states, last, n);
  const end = depth * n * width;
  return ratios(
    {
      firstState: states.subarray(0, n * width),
      lastState: states.subarray(end),
      firstAdjoint: adjoints.subarray(0, n * width),
      lastAdjoint: adjoints.subarray(end),
    },
    width,
  );
}

/** Of h_L − h_0, of which float32 rounds h_L: 1e-7 over the least ratio, 1e-3, with the errors of some ten layers. */
const TOLERANCE = 1e-3;

export function checkClaims(cases: readonly Case[], initial: readonly Record<string, Cell>[]): Claim[] {
  const looked = cases.filter(({ rate }) => rate === null);
  const depth = looked.reduce((least, one) => Math.min(least, one.depth), Infinity);
  const shallow = looked.filter((one) => one.depth === depth && one.seed === 0);
  const errors = shallow.flatMap((one) => {
    const row = initial.find(
      ({ process, beta, depth, draw }) =>
        process === processName(one.process) && beta === one.beta && depth === one.depth && draw === one.seed,
    );
    if (!row) return [];
    const truth = float64Ratios(one);
    return RATIOS.map((ratio) => Math.abs((row[ratio] as number) / truth[ratio]! - 1));
  });
  const measured = errors.length > 0 ? Math.max(...errors) : null;
  const passes = { max: TOLERANCE };
  return [
    {
      id: "float64",
      statement: `Both ratios of ${shallow.length} networks of L = ${depth} agree with the float64 reference: largest relative error`,
      source: "measured for this project",
      measured,
      passes,
      verdict: judge(measured, passes),
    },
  ];
}
