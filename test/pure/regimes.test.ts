/** Pure parts of `scaling-regimes` and `mean-field`: exponents, critical β, magnitudes, on rows made by hand. */
import { describe, expect, test } from "vitest";
import { errorRows, expectedInitialError, exponents as sizeExponents } from "../../src/experiment/mean_field/claims.ts";
import { PRESETS as MEAN_FIELD, meanFieldSchema, pointsOf, sizeId } from "../../src/experiment/mean_field/config.ts";
import { clippedMedians, criticals, exponents } from "../../src/experiment/scaling_regimes/claims.ts";
import { PRESETS as SCALING, scalingRegimesSchema } from "../../src/experiment/scaling_regimes/config.ts";
import { fallsToZero, medianInterval } from "../../src/experiment/statistics.ts";

describe("medianInterval", () => {
  test("order statistics of the binomial distribution: second least to second largest of ten", () => {
    // P(at most 1 of 10 below the median) = 11/1024 on each side, at most 2: 56/1024.
    const values = [5, 3, 9, 1, 7, 2, 8, 4, 10, 6];
    expect(medianInterval(values)).toEqual({ median: 5.5, interval: [2, 9] });
    expect(medianInterval(values, 0.9).interval).toEqual([2, 9]);
    expect(medianInterval(values, 0.85).interval).toEqual([3, 8]);
  });

  test("five values decide nothing at 95%, six give the extremes", () => {
    expect(medianInterval([1, 2, 3, 4, 5]).interval).toEqual([-Infinity, Infinity]);
    expect(medianInterval([1, 2, 3, 4, 5, 6]).interval).toEqual([1, 6]);
  });
});

describe("fallsToZero", () => {
  test("interpolates the first fall", () => {
    expect(fallsToZero([0, 1, 2], [3, 1, -1])).toBeCloseTo(1.5, 14);
    expect(fallsToZero([0, 1, 2], [3, 0, -1])).toBe(1);
    expect(fallsToZero([0, 1, 2], [Infinity, 1, -3])).toBeCloseTo(1.25, 14);
  });

  test("is null without a fall, and where it falls from Infinity", () => {
    expect(fallsToZero([0, 1], [2, 1])).toBeNull();
    expect(fallsToZero([0, 1], [-1, -2])).toBeNull();
    expect(fallsToZero([0, 1], [Infinity, -2])).toBeNull();
  });
});

describe("scaling-regimes", () => {
  const rows = (hurst: number | null, beta: number, slope: number, overflow = false) =>
    [0, 1, 2].flatMap((draw) =>
      [10, 100, 1000].map((depth) => ({
        process: hurst === null ? "iid" : `fbm H=${hurst}`,
        hurst,
        beta,
        depth,
        draw,
        forward: overflow && draw === 1 && depth === 1000 ? null : (1 + draw) * (depth < 100 ? 7 : depth ** slope),
        gradient: depth ** (slope / 2),
      })),
    );

  test("every preset satisfies the schema", () => {
    for (const config of Object.values(SCALING)) expect(scalingRegimesSchema.parse(config)).toEqual(config);
    const { trained } = SCALING.smoke;
    const many = scalingRegimesSchema.safeParse({ ...SCALING.smoke, trained: { ...trained, testRows: 1790 } });
    expect(many.error?.issues[0]?.path).toEqual(["trained", "testRows"]);
  });

  test("exponents leave shallow networks out and know overflow", () => {
    const found = exponents([...rows(null, 0.5, -0.25), ...rows(0.8, 0.1, 2, true)]);
    expect(found.map(({ process, ratio }) => `${process} ${ratio}`)).toEqual([
      "iid forward",
      "iid gradient",
      "fbm H=0.8 forward",
      "fbm H=0.8 gradient",
    ]);
    expect(found[0]!.slope).toBeCloseTo(-0.25, 12);
    expect(found[0]!.draws).toBe(3);
    expect(found[2]!.slope).toBe(Infinity);
    expect(found[3]!.slope).toBeCloseTo(1, 12);
  });

  test("the critical β is where the exponent passes 0", () => {
    const curve = [0.4, 0.6, 0.8, 1].flatMap((beta) => rows(0.75, beta, 3 * (0.7 - beta)));
    const [forward, gradient] = criticals(exponents(curve));
    expect(forward).toMatchObject({ hurst: 0.75, ratio: "forward", expected: 0.75 });
    expect(forward!.beta).toBeCloseTo(0.7, 10);
    expect(gradient!.beta).toBeCloseTo(0.7, 10);
  });

  test("maps are clipped medians; overflow is explosion", () => {
    const values = [{ forward: 1e-9 }, { forward: 10 ** 0.5 }, { forward: null }];
    const found = clippedMedians(values.map((row) => ({ ...row, gradient: 0.1 })));
    expect(found.forward).toBeCloseTo(0.5, 12);
    expect(found.gradient).toBeCloseTo(-1, 12);
  });
});

describe("mean-field", () => {
  test("every preset satisfies the schema, limits must be larger", () => {
    for (const config of Object.values(MEAN_FIELD)) expect(meanFieldSchema.parse(config)).toEqual(config);
    const shallow = meanFieldSchema.safeParse({ ...MEAN_FIELD.smoke, referenceDepth: 4 });
    expect(shallow.error?.issues[0]?.path).toEqual(["referenceDepth"]);
    const narrow = meanFieldSchema.safeParse({ ...MEAN_FIELD.smoke, referenceHidden: 8 });
    expect(narrow.error?.issues[0]?.path).toEqual(["referenceHidden"]);
  });

  test("expected error: small states make tanh linear, large ones make it ±1", () => {
    const size = { L: 6, M: 5, D: 2 };
    // ‖h_0‖²/D = s²: E tanh²(s g) → s² and 1.
    const at = (s: number) => expectedInitialError(size, [s, s]);
    expect(at(1e-3) / (1e-3 * Math.sqrt(2 / 30))).toBeCloseTo(1, 5);
    expect(at(1e3) / Math.sqrt(2 / 30)).toBeCloseTo(1, 2);
    // Two samples: the mean of squares.
    expect(expectedInitialError(size, [1e-3, 1e-3, 0, 0])).toBeCloseTo(at(1e-3) / Math.sqrt(2), 12);
  });

  test("exponents of errors made by the rate", () => {
    const config = { ...MEAN_FIELD.smoke, hiddens: [8, 16], hidden: 16, widths: [2, 4, 8], depths: [4, 8] };
    const states = new Map<string, { step: number; loss: number; first: number[]; last: number[] }[]>();
    for (const seed of config.seeds)
      for (const { size, reference } of pointsOf(config)) {
        const state = (step: number, value: number) => ({
          step,
          loss: 1,
          first: Array<number>(size.D).fill(0),
          last: Array<number>(size.D).fill(value),
        });
        const error = Math.sqrt(size.D / (size.L * size.M));
        states.set(sizeId(reference, seed), [state(0, 0), state(config.steps, 3)]);
        states.set(sizeId(size, seed), [state(0, error), state(config.steps, 3 + 2 * error)]);
      }
    const found = sizeExponents(config, errorRows(config, states));
    const slope = (scan: string, step: number) =>
      found.find((one) => one.scan === scan && one.step === step && one.quantity === "error")!.fit.slope;
    for (const step of [0, config.steps]) {
      expect(slope("L", step)).toBeCloseTo(-0.5, 10);
      expect(slope("M", step)).toBeCloseTo(-0.5, 10);
      expect(slope("D", step)).toBeCloseTo(0.5, 10);
    }
  });
});
