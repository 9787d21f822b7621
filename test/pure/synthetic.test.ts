import { describe, expect, test } from "vitest";
import { geometricMeanColumns, slopesBySeed, syntheticData, syntheticShape } from "../../src/experiment/synthetic.ts";

const config = { parametrisation: "code", activation: "gelu", samples: 3, width: 2, hidden: 5 } as const;

describe("slopes by seed", () => {
  test("one exponent a seed", () => {
    const slopes = slopesBySeed({ depths: [2, 4, 8], seeds: [1, 2] }, (depth, seed) => 7 * depth ** -seed);
    expect(slopes[0]).toBeCloseTo(-1, 12);
    expect(slopes[1]).toBeCloseTo(-2, 12);
  });

  test("no number where one is missing, is 0, or depths are too few", () => {
    const seeds = [0];
    expect(slopesBySeed({ depths: [2, 4, 8], seeds }, (depth) => (depth === 4 ? undefined : 1))).toEqual([Number.NaN]);
    expect(slopesBySeed({ depths: [2, 4, 8], seeds }, (depth) => depth - 2)).toEqual([Number.NaN]);
    expect(slopesBySeed({ depths: [2, 4], seeds }, () => 1)).toEqual([Number.NaN]);
  });
});

test("the geometric mean has an interval from two values on", () => {
  const { max_step, lower, upper, seeds } = geometricMeanColumns([1, 4])!;
  expect(max_step).toBeCloseTo(2, 12);
  expect(seeds).toBe(2);
  // Student's t at 97.5 % with one degree of freedom is 12.706; the standard error of ln 1 and ln 4 is ln 2.
  expect(upper! / max_step).toBeCloseTo(2 ** 12.7062, 0);
  expect(lower! * upper!).toBeCloseTo(4, 9);
  expect(geometricMeanColumns([3])).toMatchObject({ lower: null, upper: null });
  expect(geometricMeanColumns([])).toBeUndefined();
  expect(geometricMeanColumns([0, 1])).toBeUndefined();
});

test("data do not depend on depth and differ by seed", () => {
  const data = syntheticData(config, 4);
  expect(data.inputs).toHaveLength(6);
  expect(data.inputs).not.toEqual(data.targets);
  expect(syntheticData(config, 5).inputs).not.toEqual(data.inputs);
  expect(syntheticShape(config, 9)).toMatchObject({ inputs: 2, outputs: 2, depth: 9, widthFactors: "code" });
});
