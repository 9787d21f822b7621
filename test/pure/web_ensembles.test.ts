import { expect, it } from "vitest";
import { EXAMPLES } from "../../web/src/ensembles/examples.ts";
import type { View } from "../../web/src/ensembles/protocol.ts";
import { choiceOf, linkOf, textOfExample, textOfLink, withNames } from "../../web/src/ensembles/settings.ts";
import { DensityPicture } from "../../web/src/worker/density.ts";

it.each(EXAMPLES.map((example) => [example.id, example] as const))(
  "%s can be solved as it stands, and its link is it",
  (_, example) => {
    const text = textOfExample(example);
    const read = choiceOf(text);
    expect("choice" in read && read.choice.initialRanges).toEqual(example.initial);
    expect(textOfLink(new URLSearchParams(String(linkOf(text))))).toEqual({ text, unknown: [] });
  },
);

it("a text of one's own, whose names differ, is in the link", () => {
  const first = textOfExample(EXAMPLES[0]!);
  const source =
    "// components: q, r\n// parameters: ω\nfn vector_field(t: f32, y: State, p: Params) -> State { return y; } // Ω ≤ 1";
  const text = withNames({ ...first, source, values: { ...first.values, "p.ω.to": "3", n: "5" } });
  expect(text.values).toMatchObject({ "p.ω.from": "1", "p.ω.to": "3", x: "q", y: "r", n: "5" });
  expect(Object.keys(text.values)).not.toContain("p.σ.from");
  const link = String(linkOf(text));
  expect(link).toMatch(/text=[\w-]+(&|$)/);
  expect(textOfLink(new URLSearchParams(link))).toEqual({ text, unknown: [] });
});

it("what is wrong is said by key, and what a link has besides is named", () => {
  const text = textOfExample(EXAMPLES[0]!);
  const values = { ...text.values, n: "1.5", tolerance: "0", "y.x.from": "", interval: "x" };
  const read = choiceOf({ ...text, values });
  expect("problems" in read && Object.keys(read.problems).sort()).toEqual(["interval", "n", "tolerance", "y.x.from"]);
  expect(choiceOf({ ...text, source: "fn vector_field() {}" })).toMatchObject({
    problems: { source: expect.stringContaining("components") },
  });
  const { text: read2, unknown } = textOfLink(new URLSearchParams("example=none&text=%2A&depth=3"));
  expect(unknown).toEqual(["example=none", "text", "depth"]);
  expect(read2).toEqual(text);
});

const VIEW: View = {
  x: 0,
  y: 1,
  width: 40,
  height: 30,
  trail: 0,
  colours: [
    [255, 255, 255],
    [0, 0, 255],
    [0, 0, 0],
  ],
};
const isDrawn = (pixels: Uint8ClampedArray) =>
  Array.from({ length: pixels.length / 4 }, (_, i) => pixels[4 * i]! < 255 || pixels[4 * i + 2]! < 255);
const count = (pixels: Uint8ClampedArray) => isDrawn(pixels).filter(Boolean).length;

it("a point is drawn where the axes have it, and what two share is darker", () => {
  const picture = new DensityPicture();
  const { pixels, x, y } = picture.draw(Float32Array.of(0, 0, 10, 5, 10, 5), 2, VIEW)!;
  expect(x[0]).toBeLessThan(0);
  expect(x[1]).toBeGreaterThan(10);
  const at = (px: number, py: number) => {
    const column = Math.floor(((px - x[0]) / (x[1] - x[0])) * VIEW.width);
    const row = Math.floor(((y[1] - py) / (y[1] - y[0])) * VIEW.height);
    return [...pixels.subarray(4 * (row * VIEW.width + column), 4 * (row * VIEW.width + column) + 3)];
  };
  // Few points are three pixels wide.
  expect(count(pixels)).toBe(2 * 9);
  const sum = (colour: readonly number[]) => colour.reduce((total, part) => total + part, 0);
  expect(sum(at(10, 5))).toBeLessThan(sum(at(0, 0)));
  expect(sum(at(0, 0))).toBeLessThan(3 * 255);
  expect(at(0, 5)).toEqual([255, 255, 255]);
});

it("a trail fades, axes keep what they can, and one that flies off does not shrink the rest", () => {
  const points = Float32Array.from({ length: 2000 }, (_, i) => ((i * 7919) % 1000) / 100);
  const picture = new DensityPicture();
  const first = picture.draw(points, 2, { ...VIEW, trail: 0.9 })!;
  const moved = points.map((value) => 5 + 0.5 * (value - 5));
  const second = picture.draw(moved, 2, { ...VIEW, trail: 0.9 })!;
  expect(second.x).toEqual(first.x);
  const kept = isDrawn(second.pixels);
  expect(isDrawn(first.pixels).every((drawn, i) => !drawn || kept[i])).toBe(true);
  const bare = picture.draw(moved, 2, VIEW)!;
  expect(count(bare.pixels)).toBeLessThan(count(second.pixels));
  moved[0] = 1e30;
  moved[3] = Number.NaN;
  expect(picture.draw(moved, 2, VIEW)!.x).toEqual(first.x);
  expect(count(picture.draw(new Float32Array(0), 2, VIEW)!.pixels)).toBe(0);
  expect(new DensityPicture().draw(new Float32Array(0), 2, VIEW)).toBeUndefined();
  expect(picture.draw(moved, 2, { ...VIEW, width: 0 })).toBeUndefined();
});
