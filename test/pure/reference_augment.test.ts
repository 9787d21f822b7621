import { describe, expect, it } from "vitest";
import { augment } from "../../src/reference/augment.ts";

describe("augment", () => {
  const size = { channels: 1, height: 2, width: 3 };
  const image = [1, 2, 3, 4, 5, 6];
  const plain = (crop: { row: number; column: number; mirrored: boolean }, padding = 2) =>
    [...augment(size, image, [crop], padding, [0], [1 / 255])].map((value) => Math.round(value * 1e9) / 1e9);

  it("crops at a place, with zeros outside the image", () => {
    expect(plain({ row: 2, column: 2, mirrored: false })).toEqual(image);
    expect(plain({ row: 1, column: 2, mirrored: false })).toEqual([0, 0, 0, 1, 2, 3]);
    expect(plain({ row: 2, column: 4, mirrored: false })).toEqual([3, 0, 0, 6, 0, 0]);
    expect(plain({ row: 4, column: 0, mirrored: false })).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("mirrors the crop", () => {
    expect(plain({ row: 0, column: 0, mirrored: true }, 0)).toEqual([3, 2, 1, 6, 5, 4]);
    expect(plain({ row: 2, column: 4, mirrored: true })).toEqual([0, 0, 3, 0, 0, 6]);
  });

  it("normalises each channel, the frame as well", () => {
    const crops = [
      { row: 0, column: 0, mirrored: false },
      { row: 1, column: 1, mirrored: false },
    ];
    const images = [255, 51, 0, 102];
    const out = augment({ channels: 2, height: 1, width: 1 }, images, crops, 1, [0.5, 0.2], [0.25, 0.5]);
    // The first crop lies in the frame: 0 of either channel.
    expect([...out]).toEqual([-2, -0.4, -2, 0.4]);
  });

  it("refuses a crop outside its frame, and lengths that do not fit", () => {
    expect(() => plain({ row: 5, column: 0, mirrored: false })).toThrow(
      "crops[0].row must be an integer in 0..4, got 5",
    );
    expect(() => plain({ row: 0, column: 0.5, mirrored: false })).toThrow("crops[0].column");
    expect(() => augment(size, [1], [{ row: 0, column: 0, mirrored: false }], 0, [0], [1])).toThrow(
      "images must hold 6 numbers, got 1",
    );
  });
});
