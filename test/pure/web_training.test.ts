import { expect, it } from "vitest";
import { PRESETS, singleTrainingSchema, smoothnessVerdict } from "../../src/experiment/single_training/config.ts";
import { roughness } from "../../src/experiment/statistics.ts";
import { RandomStream } from "../../src/model/random.ts";
import { csvOf, History } from "../../web/src/training/history.ts";
import type { Frame } from "../../web/src/training/protocol.ts";
import { DEFAULT_SLOT, linkOf, runFileOf, slotOf, slotsOfLink, textOf } from "../../web/src/training/settings.ts";
import { ratios } from "../../web/src/worker/layer_samples.ts";

it("a link carries every choice, and says what it does not know", () => {
  const text = { ...textOf(DEFAULT_SLOT), depth: "100", activation: "sin", rate: "1e-3", referenceDepth: "400" };
  const query = linkOf([text, textOf(DEFAULT_SLOT)]);
  const { slots, unknown } = slotsOfLink(new URLSearchParams(query.toString()));
  expect(slots).toEqual([text, textOf(DEFAULT_SLOT)]);
  expect(unknown).toEqual([]);
  expect([...query.keys()].filter((key) => key.startsWith("a.")).length).toBe(
    Object.keys(DEFAULT_SLOT.training).length + 1,
  );
  expect(slotsOfLink(new URLSearchParams("a.depth=8&c.depth=9&a.colour=red"))).toEqual({
    slots: [{ ...textOf(DEFAULT_SLOT), depth: "8" }],
    unknown: ["c.depth", "a.colour"],
  });
});

it("what is wrong is named by field", () => {
  const problems = (change: Record<string, string>) => {
    const read = slotOf({ ...textOf(DEFAULT_SLOT), ...change });
    return "problems" in read ? Object.keys(read.problems) : [];
  };
  expect(problems({})).toEqual([]);
  expect(problems({ depth: "1" })).toEqual(["depth"]);
  expect(problems({ depth: "" })).toEqual(["depth"]);
  expect(problems({ rate: "-1", activation: "step" })).toEqual(["activation", "rate"]);
  expect(problems({ dataset: "digits", rows: "1797" })).toEqual(["rows"]);
  expect(problems({ referenceDepth: "64" })).toEqual(["referenceDepth"]);
  expect(problems({ referenceDepth: "65" })).toEqual([]);
  expect(problems({ depth: "65536", referenceDepth: "65537" })).toEqual(["referenceDepth"]);
});

it("the exported file holds a whole configuration of the experiment", () => {
  const { experiment, config } = JSON.parse(runFileOf(PRESETS.smoke));
  expect(experiment).toBe("single-training");
  expect(singleTrainingSchema.parse(config)).toEqual(PRESETS.smoke);
});

it("roughness: of all layers the experiments' own number, of pairs of layers an estimate of it", () => {
  const [depth, hidden, half] = [64, 3, 4];
  const floats = hidden * 2 * half;
  const layers = new RandomStream(1, "layers").fillNormal(new Float64Array(depth * floats));
  // A slow wave under V, independent numbers under W.
  for (let i = 0; i < layers.length; i++)
    if (i % (2 * half) >= half) layers[i] = Math.sin((6 * Math.floor(i / floats)) / depth + i);
  const family = (first: number) => layers.filter((_, i) => Math.floor(i / half) % 2 === first);
  const whole = ratios(layers, floats, half, depth);
  expect(whole.W).toBeCloseTo(roughness(family(0), depth)!, 12);
  expect(whole.V).toBeCloseTo(roughness(family(1), depth)!, 12);
  const pairs = [0, 7, 19, 30, 41, 55, 62].flatMap((k) => [...layers.subarray(k * floats, (k + 2) * floats)]);
  const sampled = ratios(Float64Array.from(pairs), floats, half, 2);
  expect(sampled.W! / whole.W!).toBeGreaterThan(0.5);
  expect(sampled.W! / whole.W!).toBeLessThan(2);
  expect(smoothnessVerdict(sampled.W)).toBe("fails");
  expect(ratios(new Float64Array(depth * floats), floats, half, depth)).toEqual({ V: null, W: null });
});

it("the verdict is that of waves over depth", () => {
  const wave = (layers: number) =>
    smoothnessVerdict(
      roughness(
        Float64Array.from({ length: 4000 }, (_, k) => Math.sin((2 * Math.PI * k) / layers)),
        4000,
      ),
    );
  expect([40, 21, 15, 9, 4].map(wave)).toEqual(["holds", "holds", "not decided", "fails", "fails"]);
  expect(smoothnessVerdict(null)).toBe("not decided");
});

const frame = (step: number): Frame => ({
  slot: 0,
  step,
  time: step / 100,
  loss: step === 0 ? Number.NaN : 1 / step,
  lipschitz: { V: 1, W: 2 },
  roughness: { V: 0.1, W: null },
  depths: new Float64Array(3),
  entries: { V: new Float64Array(3), W: new Float64Array(3) },
  stepMs: 5,
});

it("a long history is thinned out evenly and keeps its newest state", () => {
  const history = new History();
  for (let step = 0; step <= 9000; step++) history.add(frame(step));
  const steps = history.frames.map(({ step }) => step);
  expect(steps.length).toBeLessThanOrEqual(2001);
  expect(steps.length).toBeGreaterThan(1000);
  expect([steps[0], steps.at(-1)]).toEqual([0, 9000]);
  const gaps = new Set(steps.slice(1, -1).map((step, i) => step - steps[i]!));
  expect(gaps.size).toBe(1);
  history.forgetAfter(4500);
  expect(Math.max(...history.frames.map(({ step }) => step))).toBeLessThanOrEqual(4500);
});

it("CSV: a cell that has no number is empty", () => {
  const history = new History();
  history.add(frame(0));
  history.add(frame(4));
  expect(csvOf([history]).split("\n")).toEqual([
    "network,step,time,loss,lipschitz_V,lipschitz_W,roughness_V,roughness_W,distance_V,distance_W,step_ms",
    "A,0,0,,1,2,0.1,,,,5",
    "A,4,0.04,0.25,1,2,0.1,,,,5",
    "",
  ]);
});
