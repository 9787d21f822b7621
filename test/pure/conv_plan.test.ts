import { describe, expect, test } from "vitest";
import { CONV_PARAMETERS, convParameterShapes, PAPER_CONV_SHAPE } from "../../src/config/conv.ts";
import { convOffsets, planConv } from "../../src/plan/conv.ts";
import { DEFAULT_PROFILE, type DeviceProfile, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";

const HARDWARE: DeviceProfile = { ...DEFAULT_PROFILE, subgroups: true };

test("parameters lie one after the other, 1,206,106 numbers for the paper's network", () => {
  const { offsets, numbers } = convOffsets(PAPER_CONV_SHAPE);
  const sizes = convParameterShapes(PAPER_CONV_SHAPE);
  let at = 0;
  for (const name of CONV_PARAMETERS) {
    expect(offsets[name]).toBe(at);
    at += sizes[name].reduce((product, size) => product * size, 1);
  }
  // Stem 1,200 + 32, a layer 4,704, head 650.
  expect(numbers).toBe(1200 + 32 + 256 * 4704 + 650);
});

describe.each([
  ["software", SOFTWARE_PROFILE],
  ["hardware", HARDWARE],
])("%s", (_, profile) => {
  test.each([1, 2, 64, 100])("tiles cover a map once, lines fill workgroups: %i images", (images) => {
    for (const channels of [3, 16, 64])
      for (const size of [32, 17]) {
        const shape = { ...PAPER_CONV_SHAPE, channels, height: size, width: size, depth: 4 };
        const plan = planConv(shape, profile, { images, training: true });
        const { TILE_X, TILE_Y, OUT, LINES, HEIGHT, WIDTH } = plan.layerConstants as Record<string, number>;
        const blocks = Math.ceil(HEIGHT! / TILE_Y!) * Math.ceil(WIDTH! / TILE_X!);
        const groups = Math.ceil(channels / (4 * OUT!));
        expect(plan.bands).toBeGreaterThanOrEqual(1);
        expect(plan.bands).toBeLessThanOrEqual(blocks);
        expect(plan.lineGroups * LINES!).toBe(plan.bands * groups);
        expect(4 * LINES!).toBeLessThanOrEqual(profile.maxInvocations);
        expect((4 * plan.stateFloats) % profile.offsetAlignment).toBe(0);
        expect(plan.stateFloats).toBeGreaterThanOrEqual(images * channels * HEIGHT! * WIDTH!);
        expect(plan.segmentLayers).toBeGreaterThanOrEqual(1);
        expect(plan.segmentLayers).toBeLessThanOrEqual(4);
      }
  });
});

test("two dispatches a layer forward and two back, whatever the depth", () => {
  const dispatches = (depth: number) => {
    const { dispatches: all, segmentLayers } = planConv({ ...PAPER_CONV_SHAPE, depth }, HARDWARE, {
      images: 64,
      training: true,
    });
    return {
      forward: all.forward - 2 * depth,
      backward: all.backward - 2 * depth - 2 * Math.ceil(depth / segmentLayers),
    };
  };
  expect(dispatches(16)).toEqual({ forward: 3, backward: 6 });
  expect(dispatches(256)).toEqual(dispatches(16));
});

test("an adapter without subgroups is refused with a reason", () => {
  expect(() => planConv(PAPER_CONV_SHAPE, DEFAULT_PROFILE, { images: 1, training: false })).toThrow(/subgroups/);
});
