import { describe, expect, it } from "vitest";
import {
  exponentClaim,
  floorOf,
  medianInterval,
  predictedMs,
  prototypeClaims,
  STEP_SIZES,
  stepMemory,
  stepPoint,
} from "../../src/benchmark/step_points.ts";
import { partsOf } from "../../src/benchmark/step_timing.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";

const timed = (size: number, ms: number) => ({
  size,
  time: { median: ms, lower: 0.9 * ms, upper: 1.1 * ms, samples: 9 },
  median: { interval: [0.95 * ms, 1.05 * ms] as const, confidence: 0.95 },
});

describe("points", () => {
  it("move one of depth, width and batch from the paper's figure 1", () => {
    expect(stepPoint("depth", 4096)).toMatchObject({ shape: { depth: 4096, width: 16, hidden: 32 }, rows: 100 });
    expect(stepPoint("width", 48)).toMatchObject({
      shape: { depth: 64, inputs: 48, width: 48, hidden: 96, outputs: 48 },
      rows: 100,
    });
    expect(stepPoint("batch", 7)).toMatchObject({ shape: { depth: 64, width: 16 }, rows: 7 });
    for (const axis of ["depth", "width", "batch"] as const) {
      for (const size of STEP_SIZES[axis]) expect(stepPoint(axis, size).size).toBe(size);
      for (const size of [0, 1.5, Number.NaN]) expect(() => stepPoint(axis, size)).toThrow(ConfigError);
    }
  });

  it("know the memory of their training, the largest tensor among it", () => {
    const shallow = stepMemory(stepPoint("depth", 64), SOFTWARE_PROFILE);
    const deep = stepMemory(stepPoint("depth", 16_384), SOFTWARE_PROFILE);
    // Weights, change and two copies of it (4 kB a layer each) and stored states of 112 or more rows of 16.
    expect(deep.bytes).toBeGreaterThan(16_384 * (4 * 4096 + 4 * 112 * 16));
    expect(deep.bytes).toBeLessThan(2 * 16_384 * (4 * 4096 + 4 * 112 * 16));
    expect(deep.largest.bytes).toBeLessThan(deep.bytes / 2);
    expect(shallow.bytes).toBeLessThan(deep.bytes / 64);
    const wide = stepMemory(stepPoint("width", 1024), SOFTWARE_PROFILE);
    expect(wide.largest.name).toMatch(/weights|change/);
    expect(wide.largest.bytes).toBeGreaterThan(SOFTWARE_PROFILE.maxBufferBytes);
  });
});

describe("prediction", () => {
  it("of nothing is unknown, from one point linear, from two along their line", () => {
    expect(predictedMs([], 100)).toBeUndefined();
    expect(predictedMs([{ flops: 10, ms: 3 }], 100)).toBeCloseTo(30, 12);
    const [a, b] = [
      { flops: 10, ms: 1 },
      { flops: 100, ms: 10 ** 1.5 },
    ];
    expect(predictedMs([a, b], 1000)).toBeCloseTo(1000, 9);
  });

  it("never hopes for less than linear growth, nor fears more than quadratic", () => {
    const flat = [
      { flops: 10, ms: 4 },
      { flops: 40, ms: 4 },
    ];
    expect(predictedMs(flat, 160)).toBeCloseTo(16, 9);
    const steep = [
      { flops: 10, ms: 1 },
      { flops: 20, ms: 100 },
    ];
    expect(predictedMs(steep, 40)).toBeCloseTo(400, 9);
  });
});

it("the floor is the largest of three times, in milliseconds", () => {
  const ceilings = { fma: { value: 2 }, copy: { value: 5 }, fmaLatency: { value: 10 } };
  const of = (flops: number, bytes: number, sequential: number) => floorOf({ flops, bytes, sequential }, ceilings);
  expect(of(6e6, 1, 1)).toEqual({ boundBy: "arithmetic", ms: 3 });
  expect(of(6e6, 20e6, 1)).toEqual({ boundBy: "memory", ms: 4 });
  expect(of(6e6, 20e6, 5e5)).toEqual({ boundBy: "latency", ms: 5 });
});

it("times of kernels are summed by the part that their names say", () => {
  const time = (nanoseconds: number) => ({ nanoseconds, passes: [] });
  const times = new Map([
    ["dense/rows_forward", time(4e6)],
    ["dense/tile_adjoint", time(2e6)],
    ["dense/tile_gradient", time(6e6)],
    ["flow/update", time(8e6)],
    ["dense/matmul", time(1e6)],
    ["metric/sum", time(1e6)],
  ]);
  expect(partsOf(times, 2)).toEqual({ forward: 2, adjoint: 1, gradient: 3, update: 4, other: 1 });
  expect(partsOf(new Map(), 2)).toEqual({});
});

describe("interval of a median", () => {
  it("has the ranks of the binomial tables", () => {
    const values = (count: number) => Array.from({ length: count }, (_, i) => i + 1).reverse();
    // Sign-test tables, two-sided 95 %: n = 9 ranks 2 and 8 (96.1 %), n = 20 ranks 6 and 15 (95.9 %).
    expect(medianInterval(values(9)).interval).toEqual([2, 8]);
    expect(medianInterval(values(9)).confidence).toBeCloseTo(1 - 20 / 512, 12);
    expect(medianInterval(values(20)).interval).toEqual([6, 15]);
    expect(medianInterval(values(20)).confidence).toBeCloseTo(0.9586, 4);
  });

  it("of few values is all of them, with the confidence that this has", () => {
    expect(medianInterval([3, 1, 2, 5, 4])).toEqual({ interval: [1, 5], confidence: 0.9375 });
    expect(medianInterval([3])).toEqual({ interval: [3, 3], confidence: 0 });
    expect(() => medianInterval([])).toThrow(RangeError);
  });
});

describe("claims", () => {
  it("linear in depth holds for a line, fails for a square, and leaves out small depths", () => {
    const line = [16, 64, 256, 1024, 4096].map((size) => timed(size, size === 16 ? 50 : size / 10));
    expect(exponentClaim("depth", line)).toMatchObject({ verdict: "holds", id: "linear-in-depth" });
    expect(exponentClaim("depth", line).measured).toBeCloseTo(1, 9);
    const square = [64, 256, 1024].map((size) => timed(size, size ** 2));
    expect(exponentClaim("depth", square)).toMatchObject({ verdict: "fails" });
    const flat = [64, 256, 1024].map((size) => timed(size, size ** 0.2));
    expect(exponentClaim("depth", flat)).toMatchObject({ verdict: "fails" });
    expect(exponentClaim("batch", flat)).toMatchObject({ verdict: "holds" });
  });

  it("two depths decide nothing, and the claim says what it lacks", () => {
    const claim = exponentClaim(
      "depth",
      [16, 64, 256].map((size) => timed(size, size)),
    );
    expect(claim).toMatchObject({ measured: null, verdict: "not decided" });
    expect(claim.note).toContain("there are 2");
  });

  it("twice as fast as the prototype: where it was timed only, and by the median's interval", () => {
    const times = [timed(16, 1), timed(64, 11), timed(256, 60), timed(1024, 172.9)];
    const claims = prototypeClaims(times, "SwiftShader driver 5.0.0 (software, SwiftShader from npm)", 2);
    expect(claims.map(({ id, verdict }) => [id, verdict])).toEqual([
      ["twice-the-prototype-64", "not decided"],
      ["twice-the-prototype-256", "fails"],
      ["twice-the-prototype-1024", "not decided"],
    ]);
    expect(prototypeClaims([timed(64, 8)], "SwiftShader", 2)[0]).toMatchObject({ verdict: "holds", measured: 8 });
    expect(prototypeClaims([timed(64, 8)], "SwiftShader", 16)[0]!.verdict).toBe("not decided");
    expect(prototypeClaims([timed(64, 8)], "llvmpipe", 2)[0]!.verdict).toBe("not decided");
  });
});
