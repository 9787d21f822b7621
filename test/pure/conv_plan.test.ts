import { describe, expect, test } from "vitest";
import { CONV_PARAMETERS, type ConvShape, convParameterShapes, PAPER_CONV_SHAPE } from "../../src/config/conv.ts";
import { convOffsets, imagesPerBuffer, planConv } from "../../src/plan/conv.ts";
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

describe("fused", () => {
  const plain = { ...PAPER_CONV_SHAPE, normalisation: { kind: "none" } } as const;
  const options = { images: 64, training: true } as const;

  test("is for a GPU and images that are kept apart; what does not fit goes layer by layer", () => {
    const { fused } = planConv(plain, HARDWARE, options);
    const { OUT, TILE_X, TILE_Y } = fused!.constants as Record<string, number>;
    expect((100 / (TILE_X! * TILE_Y!)) * (16 / OUT!)).toBeLessThanOrEqual(HARDWARE.maxInvocations);
    expect(planConv(plain, SOFTWARE_PROFILE, options).fused).toBeUndefined();
    expect(planConv(PAPER_CONV_SHAPE, HARDWARE, options).fused).toBeUndefined();
    // A map of 32 × 100 numbers takes 12.8 KB, one of 48 × 100 more than the 16 KiB there are.
    expect(planConv({ ...plain, channels: 32 }, HARDWARE, options).fused).toBeDefined();
    expect(planConv({ ...plain, channels: 48 }, HARDWARE, options).fused).toBeUndefined();
    const refused = (shape: ConvShape, layout = "fused" as const) =>
      expect(() => planConv(shape, HARDWARE, { ...options, layout }));
    refused({ ...plain, channels: 48 }).toThrow(/layout.*workgroup memory/);
    refused(PAPER_CONV_SHAPE).toThrow(/layout.*batch/);
    refused({ ...plain, depth: 1 }).toThrow(/layout.*one layer/);
  });

  test("takes a dispatch a segment, whose maps fit a binding", () => {
    const { fused, dispatches, segmentLayers, stateFloats } = planConv(plain, HARDWARE, options);
    const segments = Math.ceil(256 / segmentLayers);
    expect(dispatches.forward).toBe(3 + 2 + Math.ceil(255 / fused!.forwardLayers));
    // Unpooling, head, stem, and the scales and shifts of the stem's normalisation; the first layer; a segment; its weights.
    expect(dispatches.backward).toBe(4 + 2 + segments + 2 * segments);
    for (const layers of [fused!.forwardLayers, segmentLayers])
      expect((layers + 1) * 4 * stateFloats).toBeLessThanOrEqual(HARDWARE.maxBindingBytes);
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

test("images of a set fit a binding", () => {
  const bytes = 3 * 32 * 32;
  const held = imagesPerBuffer(DEFAULT_PROFILE, bytes);
  expect(held).toBeLessThan(50_000);
  expect(held * bytes).toBeLessThanOrEqual(DEFAULT_PROFILE.maxBindingBytes);
  expect((held + 1) * bytes).toBeGreaterThan(DEFAULT_PROFILE.maxBindingBytes);
});
