import { describe, expect, it } from "vitest";
import {
  decayRate,
  judge,
  logLogSlope,
  meanInterval,
  median,
  quantile,
  rankCorrelation,
  slopeOverSeeds,
} from "../../src/experiment/statistics.ts";

/** Numerical Recipes' 32-bit generator, enough for a coverage count, and Box-Muller on top. */
function normals(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

describe("logLogSlope", () => {
  it("recovers a power law exactly", () => {
    const x = [2, 4, 8, 16, 32];
    const fit = logLogSlope(
      x,
      x.map((value) => 3 * value ** -1.5),
    );
    expect(fit.slope).toBeCloseTo(-1.5, 12);
    expect(fit.intercept).toBeCloseTo(Math.log(3), 12);
    expect(fit.r2).toBeCloseTo(1, 12);
    expect(fit.points).toBe(5);
    expect(fit.interval[1] - fit.interval[0]).toBeLessThan(1e-12);
  });

  it("agrees with a regression worked by hand", () => {
    // u = 0, 1, 2 and v = 0, 2, 1: slope 1/2, residuals -1/2, 1, -1/2, so s² = 1.5 on one degree of freedom, se = √(1.5/2).
    const fit = logLogSlope([1, Math.E, Math.E ** 2], [1, Math.E ** 2, Math.E]);
    expect(fit.slope).toBeCloseTo(0.5, 12);
    expect(fit.intercept).toBeCloseTo(0.5, 12);
    expect(fit.standardError).toBeCloseTo(Math.sqrt(0.75), 12);
    expect(fit.r2).toBeCloseTo(0.25, 12);
    // t(0.975, 1) = tan(0.475 π).
    const half = Math.tan(0.475 * Math.PI) * Math.sqrt(0.75);
    expect(fit.interval[0]).toBeCloseTo(0.5 - half, 8);
    expect(fit.interval[1]).toBeCloseTo(0.5 + half, 8);
  });

  it("says that two points have no known error", () => {
    const fit = logLogSlope([1, 10], [1, 0.1]);
    expect(fit.slope).toBeCloseTo(-1, 12);
    expect(fit.interval).toEqual([-Infinity, Infinity]);
  });

  it("covers the true slope about as often as it claims", () => {
    const normal = normals(7);
    const x = [2, 4, 8, 16, 32, 64, 128];
    const repetitions = 2000;
    let covered = 0;
    for (let i = 0; i < repetitions; i++) {
      const { interval } = logLogSlope(
        x,
        x.map((value) => value ** -1 * Math.exp(0.2 * normal())),
        0.9,
      );
      if (interval[0] <= -1 && interval[1] >= -1) covered += 1;
    }
    // Four standard deviations of a binomial count.
    const spread = 4 * Math.sqrt((0.9 * 0.1) / repetitions);
    expect(Math.abs(covered / repetitions - 0.9)).toBeLessThan(spread);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("names a y that has no logarithm: %s", (bad) => {
    expect(() => logLogSlope([1, 2, 3], [1, bad, 1])).toThrow(
      `y[1] must be a positive finite number to take its logarithm, got ${bad}`,
    );
  });

  it("refuses what has no slope", () => {
    expect(() => logLogSlope([1], [1])).toThrow("at least 2 points, got 1");
    expect(() => logLogSlope([3, 3], [1, 2])).toThrow("distinct x, all are 3");
    expect(() => logLogSlope([1, 2], [1])).toThrow("got 2 and 1");
    expect(() => logLogSlope([1, 2], [1, 2], 1)).toThrow("confidence must be in (0, 1), got 1");
  });
});

describe("decayRate", () => {
  it("recovers an exponential exactly, however late", () => {
    const t = [300, 325, 350, 400];
    const fit = decayRate(
      t,
      t.map((value) => 5 * Math.exp(-0.03 * value)),
    );
    expect(fit.rate).toBeCloseTo(0.03, 12);
    expect(fit.intercept).toBeCloseTo(Math.log(5), 9);
    expect(fit.points).toBe(4);
  });

  it("agrees with a regression worked by hand, its interval turned round", () => {
    // As above: t = 0, 1, 2 and log y = 0, 2, 1 have slope 1/2 and standard error √0.75.
    const { rate, interval, standardError } = decayRate([0, 1, 2], [1, Math.E ** 2, Math.E]);
    expect(rate).toBeCloseTo(-0.5, 12);
    expect(standardError).toBeCloseTo(Math.sqrt(0.75), 12);
    expect(interval[0] + interval[1]).toBeCloseTo(-1, 12);
    expect(interval[1]).toBeGreaterThan(rate);
  });

  it("names what has no logarithm, and refuses equal times", () => {
    expect(() => decayRate([0, 1], [1, 0])).toThrow("y[1] must be a positive finite number");
    expect(() => decayRate([2, 2], [1, 1])).toThrow("distinct x, all are 2");
  });
});

describe("meanInterval", () => {
  it("is Student's interval", () => {
    // Mean 2, s = 1, se = 1/√3; t(0.975, 2) = 4.302653.
    const { mean, interval, standardError, count } = meanInterval([1, 2, 3]);
    expect(mean).toBe(2);
    expect(count).toBe(3);
    expect(standardError).toBeCloseTo(1 / Math.sqrt(3), 12);
    expect(interval[1]).toBeCloseTo(2 + 4.302652729911275 / Math.sqrt(3), 6);
    expect(interval[0] + interval[1]).toBeCloseTo(4, 12);
  });

  it("knows nothing about the spread of one value", () => {
    expect(meanInterval([5]).interval).toEqual([-Infinity, Infinity]);
  });

  it("names a value that is not finite, and refuses none", () => {
    expect(() => meanInterval([1, Number.NaN])).toThrow("values[1] must be finite, got NaN");
    expect(() => meanInterval([])).toThrow("at least one value");
  });
});

describe("median and quantile", () => {
  it("interpolate between order statistics", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(quantile([10, 20, 30, 40], 0.25)).toBe(17.5);
    expect(quantile([10, 20, 30, 40], 0)).toBe(10);
    expect(quantile([10, 20, 30, 40], 1)).toBe(40);
  });

  it("leave their input in its order", () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it("refuse p outside [0, 1]", () => {
    expect(() => quantile([1], 1.1)).toThrow("p must be in [0, 1], got 1.1");
  });
});

describe("slopeOverSeeds", () => {
  const x = [1, 2, 4, 8];
  const seed = (power: number) => ({ x, y: x.map((value) => value ** power) });

  it("takes the interval over seeds", () => {
    const fit = slopeOverSeeds([seed(-0.9), seed(-1), seed(-1.1)]);
    const expected = meanInterval([-0.9, -1, -1.1]);
    expect(fit.source).toBe("seeds");
    expect(fit.slope).toBeCloseTo(-1, 12);
    expect(fit.interval[0]).toBeCloseTo(expected.interval[0], 10);
    expect(fit.interval[1]).toBeCloseTo(expected.interval[1], 10);
    expect(fit.perSeed.map((slope) => Number(slope.toFixed(9)))).toEqual([-0.9, -1, -1.1]);
  });

  it("falls back to the regression with one seed, and says so", () => {
    const one = { x, y: [1, 0.6, 0.2, 0.13] };
    const fit = slopeOverSeeds([one]);
    expect(fit.source).toBe("regression");
    expect(fit.interval).toEqual(logLogSlope(one.x, one.y).interval);
  });

  it("names the seed of a value without a logarithm", () => {
    expect(() => slopeOverSeeds([seed(-1), { x, y: [1, 1, 0, 1] }])).toThrow(
      "seed 1: y[2] must be a positive finite number",
    );
    expect(() => slopeOverSeeds([])).toThrow("at least one seed");
  });
});

describe("judge", () => {
  const closed = { min: -1.1, max: -0.9 };
  it.each([
    ["inside, no interval", -1, undefined, "holds"],
    ["on the edge", -0.9, undefined, "holds"],
    ["outside, no interval", -0.8, undefined, "fails"],
    ["interval inside", -1, [-1.05, -0.95], "holds"],
    ["interval outside", -0.7, [-0.75, -0.65], "fails"],
    ["point inside, interval crosses but resolves the range", -1.05, [-1.2, -0.95], "holds"],
    ["point inside, interval wider than the range resolves", -1, [-1.3, -0.7], "not decided"],
    ["point outside, interval reaches in", -0.85, [-0.95, -0.75], "not decided"],
    ["infinite interval", -1, [-Infinity, Infinity], "not decided"],
    ["interval of not-a-number", -1, [Number.NaN, Number.NaN], "not decided"],
    ["no number", null, undefined, "not decided"],
    ["not finite", Number.NaN, undefined, "not decided"],
  ] as const)("two ends: %s", (_, measured, interval, verdict) => {
    expect(judge(measured, closed, interval)).toBe(verdict);
  });

  it.each([
    ["interval inside", 0.3, [0.1, 0.5], "holds"],
    ["interval outside", -0.3, [-0.5, -0.1], "fails"],
    ["point inside, interval crosses the only edge", 0.1, [-0.05, 0.25], "not decided"],
    ["point inside, no interval", 0.1, undefined, "holds"],
  ] as const)("one end: %s", (_, measured, interval, verdict) => {
    expect(judge(measured, { min: 0 }, interval)).toBe(verdict);
  });

  it("passes a single value measured exactly", () => {
    expect(judge(0, { min: 0, max: 0 }, [0, 0])).toBe("holds");
  });

  it("refuses a range that decides nothing", () => {
    expect(() => judge(1, {})).toThrow("at least one end");
    expect(() => judge(1, { min: 2, max: 1 })).toThrow("min <= max, got 2 and 1");
    expect(() => judge(1, { min: 0 }, [2, 1])).toThrow("lower <= upper, got 2 and 1");
  });
});

describe("rankCorrelation", () => {
  it("is ±1 for monotone pairs, whatever their scale", () => {
    const x = [1, 2, 5, 9, 30];
    expect(rankCorrelation(x, x.map(Math.exp)).rho).toBe(1);
    expect(
      rankCorrelation(
        x,
        x.map((value) => 1 / value),
      ).rho,
    ).toBe(-1);
  });

  it("agrees with 1 − 6 Σ d² / (n (n² − 1)) worked by hand, and with Fisher's z", () => {
    // Ranks 1 2 3 4 5 and 2 1 4 3 5: Σ d² = 4, ρ = 1 − 24/120.
    const { rho, interval, points } = rankCorrelation([1, 2, 3, 4, 5], [20, 10, 40, 30, 50]);
    expect(rho).toBeCloseTo(0.8, 12);
    expect(points).toBe(5);
    const half = 1.959963985 * Math.sqrt((1 + 0.32) / 2);
    expect(interval[0]).toBeCloseTo(Math.tanh(Math.atanh(0.8) - half), 7);
    expect(interval[1]).toBeCloseTo(Math.tanh(Math.atanh(0.8) + half), 7);
  });

  it("gives equal values their mean rank, and nothing where one side does not vary", () => {
    // Ranks 1 2.5 2.5 4 and 1 2 3 4: Σuv = 4.5, Σu² = 4.5, Σv² = 5.
    expect(rankCorrelation([0, 7, 7, 9], [1, 2, 3, 4]).rho).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12);
    expect(rankCorrelation([1, 1, 1, 1], [1, 2, 3, 4])).toEqual({ rho: null, interval: [-1, 1], points: 4 });
    expect(rankCorrelation([1, 2, 3], [3, 1, 2]).interval).toEqual([-1, 1]);
    expect(() => rankCorrelation([1, 2], [1])).toThrow(/equally long/);
    expect(() => rankCorrelation([1, Number.NaN], [1, 2])).toThrow(/values\[1\]/);
  });

  it("covers zero for independent pairs about as often as it says", () => {
    const normal = normals(11);
    let covered = 0;
    for (let trial = 0; trial < 400; trial++) {
      const [x, y] = [0, 1].map(() => Array.from({ length: 12 }, normal));
      const { interval } = rankCorrelation(x!, y!);
      if (interval[0] <= 0 && 0 <= interval[1]) covered++;
    }
    // 95 % of 400 with a binomial standard deviation of 4.4; the approximation itself is within 2 %.
    expect(covered).toBeGreaterThan(400 * 0.95 - 8 - 3 * 4.4);
  });
});
