import { describe, expect, it } from "vitest";
import { CONV_PEERS, defaultConvPeers, makeConvCase } from "../../src/benchmark/conv_peer_comparison.ts";
import { defaultRuns, parseRun } from "../../src/benchmark/experiments.ts";
import {
  defaultPeers,
  fasterPeers,
  lossDifference,
  makeCase,
  PEERS,
  parsePeer,
  parsePeers,
  ratioOf,
  referenceOf,
} from "../../src/benchmark/peer_comparison.ts";
import { ConfigError } from "../../src/config/errors.ts";

describe("names of peers", () => {
  it("carry an adapter and a largest depth", () => {
    expect(parsePeer("pytorch", PEERS)).toMatchObject({
      label: "pytorch",
      name: "pytorch",
      limit: Number.POSITIVE_INFINITY,
    });
    expect(parsePeer("tfjs-webgpu@1024", PEERS)).toMatchObject({ label: "tfjs-webgpu", limit: 1024 });
    expect(parsePeer("deeplimit:swiftshader@64", PEERS)).toMatchObject({
      label: "deeplimit:swiftshader",
      name: "deeplimit",
      adapter: "swiftshader",
      limit: 64,
    });
  });

  it("are refused when unknown, malformed, twice, or with an adapter for the processor", () => {
    for (const text of ["", "keras", "constructor", "pytorch@", "pytorch@x", "pytorch@64@64", "handwritten:software"])
      expect(() => parsePeer(text, PEERS), text).toThrow(ConfigError);
    expect(() => parsePeers(["pytorch", "pytorch@64"], PEERS)).toThrow(/once, got "pytorch"/);
    expect(parsePeers(["deeplimit", "deeplimit:swiftshader"], PEERS)).toHaveLength(2);
  });

  it("by default are all of them, deeplimit first", () => {
    for (const software of [true, false]) {
      const specs = parsePeers(defaultPeers(software), PEERS);
      expect(specs.map(({ name }) => name)).toEqual(Object.keys(PEERS));
      expect(specs[0]!.name).toBe("deeplimit");
    }
  });
});

it("the case is standard normal, by depth and seed the same", () => {
  const problem = makeCase(64, 3);
  expect(problem).toEqual({ ...makeCase(64, 3), depth: 64 });
  expect(makeCase(256, 3).X).toEqual(problem.X);
  expect(makeCase(64, 4).X).not.toEqual(problem.X);
  expect([problem.X.length, problem.Y.length, problem.W0.length]).toEqual([1600, 1600, 512]);
  const mean = problem.X.reduce((sum, x) => sum + x, 0) / 1600;
  const square = problem.X.reduce((sum, x) => sum + x * x, 0) / 1600;
  // Five standard errors: 1/√1600 and √2/√1600.
  expect(Math.abs(mean)).toBeLessThan(5 / 40);
  expect(Math.abs(square - 1)).toBeLessThan((5 * Math.SQRT2) / 40);
  expect(() => makeCase(0)).toThrow(ConfigError);
});

describe("losses", () => {
  it("differ by the worst step that both have", () => {
    expect(lossDifference([1, 2, 3], [1, 2.5])).toBeCloseTo(0.2, 12);
    expect(lossDifference([1, 2], [1, 2])).toBe(0);
  });

  it("that are not numbers differ", () => {
    expect(lossDifference([1, Number.NaN], [1, 2])).toBeNaN();
    expect(lossDifference([1, 2], [1, Number.NaN])).toBeNaN();
    expect(lossDifference([Number.POSITIVE_INFINITY], [1])).toBeNaN();
  });

  it("are compared with the float64 arithmetic where it ran", () => {
    const named = (...names: string[]) => names.map((name) => ({ name }));
    expect(referenceOf(named("deeplimit", "pytorch", "handwritten"))?.name).toBe("handwritten");
    expect(referenceOf(named("deeplimit", "pytorch"))?.name).toBe("pytorch");
    expect(referenceOf(named("tfjs-cpu", "jax-wasm"))?.name).toBe("tfjs-cpu");
    expect(referenceOf([])).toBeUndefined();
  });
});

describe("ratios", () => {
  it("are taken round by round, and their spread decides", () => {
    const own = [
      [2, 2, 2],
      [4, 4, 4],
    ];
    expect(
      ratioOf(own, [
        [4, 6, 8],
        [10, 8, 6],
      ]),
    ).toEqual({ ratio: 2.5, lowest: 2, highest: 3, rounds: 2, verdict: "deeplimit faster" });
    expect(ratioOf(own, [[1], [3]])).toMatchObject({ lowest: 0.5, highest: 0.75, verdict: "peer faster" });
    expect(ratioOf(own, [[1], [5]])).toMatchObject({ lowest: 0.5, highest: 1.25, verdict: "undecided" });
    expect(ratioOf(own, [[2], [8]])!.verdict).toBe("undecided");
  });

  it("of one round have the spread of their quartiles", () => {
    expect(ratioOf([[1, 2, 3]], [[3, 4, 5]])).toEqual({
      ratio: 2,
      lowest: 3.5 / 2.5,
      highest: 3,
      rounds: 1,
      verdict: "deeplimit faster",
    });
    expect(ratioOf([[1, 2, 3]], [[1, 3, 5]])!.verdict).toBe("undecided");
  });

  it("need a round that both have", () => {
    expect(ratioOf([[1], undefined], [undefined, [2]])).toBeUndefined();
    expect(ratioOf([[1], [2]], [[3], undefined])).toMatchObject({ ratio: 3, rounds: 1 });
  });

  it("that deeplimit loses are said in words", () => {
    const row = (peer: string, depth: number, ratio: number, verdict: string) => ({ peer, depth, ratio, verdict });
    expect(
      fasterPeers([
        row("a", 64, 0.25, "peer faster"),
        row("a", 256, 0.9, "undecided"),
        row("a", 1024, 3, "deeplimit faster"),
        row("b", 64, 2, "deeplimit faster"),
      ]),
    ).toEqual([
      "a is faster than deeplimit at L = 64 (0.25 of deeplimit's time).",
      "a and deeplimit differ by less than their spread at L = 256 (0.90 of deeplimit's time).",
    ]);
  });
});

describe("runs of experiments", () => {
  it("are NAME:PRESET", () => {
    expect(parseRun("digits:reduced")).toEqual({ experiment: "digits", preset: "reduced" });
    for (const text of ["digits", "digits:", ":smoke", "digits:large", "digits:smoke:1"])
      expect(() => parseRun(text), text).toThrow(ConfigError);
  });

  it("by default leave out nothing silently", () => {
    const hardware = defaultRuns(false);
    const skipped = hardware.filter(({ skip }) => skip !== undefined);
    expect(skipped).toEqual([{ experiment: "cifar", preset: "reduced", skip: "needs the files of a dataset" }]);
    const names = ({ experiment, preset }: (typeof hardware)[number]) => `${experiment}:${preset}`;
    expect(defaultRuns(true).map(names)).toEqual(hardware.map(names));
    expect(defaultRuns(true).map(({ preset, skip }) => preset === "smoke" || skip !== undefined)).not.toContain(false);
  });
});

it("the convolutional case is one layer of the paper's network, by depth and seed the same", () => {
  const problem = makeConvCase(4, 3);
  expect(makeConvCase(4, 3)).toEqual(problem);
  expect(makeConvCase(64, 3).parameters).toEqual(problem.parameters);
  expect(makeConvCase(4, 4).pixels).not.toEqual(problem.pixels);
  const lengths = Object.fromEntries(Object.entries(problem.parameters).map(([name, { length }]) => [name, length]));
  expect(lengths).toMatchObject({
    stem: 1200,
    conv1: 2304,
    bias1: 16,
    conv2: 2304,
    scale2: 16,
    head: 640,
    headBias: 10,
  });
  expect(new Set(problem.parameters.scale2)).toEqual(new Set([0.5]));
  expect(problem.pixels).toHaveLength(64 * 3 * 32 * 32);
  expect(new Set(problem.labels)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  expect(() => makeConvCase(1.5)).toThrow(ConfigError);
  for (const software of [true, false])
    expect(parsePeers(defaultConvPeers(software), CONV_PEERS).map(({ name }) => name)).toEqual(Object.keys(CONV_PEERS));
});
