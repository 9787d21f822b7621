import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dispatchesPerStep, planDense } from "../../src/plan/dense.ts";
import { DEFAULT_PROFILE, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import {
  MATMUL_TILES,
  MATMUL_VARIANTS,
  type MatmulShape,
  matmulDispatch,
  offersMatmul,
  planMatmul,
} from "../../src/plan/matmul.ts";

const shapeOf = (rows: number, columns: number, inner = 64, layers = 1): MatmulShape => ({
  ...{ rows, columns, inner, layers },
  ...{ aStride: 64, bStride: 1024, yStride: 1024 },
});

describe("the tile chosen", () => {
  test.each([
    ["few results: the smallest", 100, 256, 1, "small"],
    ["more: 64 × 64 with many invocations", 1024, 1024, 1, "medium-wide"],
    ["many: 128 × 128", 4096, 1024, 1, "large"],
    ["many layers of few results", 256, 256, 64, "large"],
    ["rows of one and a half large tiles: no quarter of padding", 192, 65_536, 1, "medium"],
    ["thin products: none", 1024, 15, 1, "registers"],
  ] as const)("%s", (_, rows, columns, layers, variant) => {
    expect(planMatmul(shapeOf(rows, columns, 64, layers), DEFAULT_PROFILE).variant).toBe(variant);
  });

  test("no barriers on a software adapter, and nothing that the device has no room for", () => {
    expect(planMatmul(shapeOf(4096, 4096), SOFTWARE_PROFILE).variant).toBe("registers");
    const constants = (rows: number, columns: number) =>
      planMatmul(shapeOf(rows, columns), SOFTWARE_PROFILE).kernel.constants;
    // Large blocks only where they leave work for every core.
    expect(constants(256, 256)).toEqual({ BLOCK_M: 8, BLOCK_N: 8 });
    expect(constants(100, 16)).toEqual({ BLOCK_M: 4, BLOCK_N: 4 });
    expect(constants(32, 128)).toEqual({ BLOCK_M: 4, BLOCK_N: 4 });
    const small = { ...DEFAULT_PROFILE, maxInvocations: 128 };
    expect(planMatmul(shapeOf(65_536, 4096), small).variant).toBe("medium");
    const tiny = { ...DEFAULT_PROFILE, maxWorkgroupStorageBytes: 4096 };
    expect(planMatmul(shapeOf(65_536, 4096), tiny).variant).toBe("registers");
  });
});

test("every tile fits the limits that all devices have, and the promises of its shader", () => {
  for (const variant of MATMUL_VARIANTS) expect(offersMatmul(variant, DEFAULT_PROFILE)).toBe(true);
  for (const { TM, TN, TK, BLOCK_M, BLOCK_N } of Object.values(MATMUL_TILES)) {
    const workgroup = (TM / BLOCK_M) * (TN / BLOCK_N);
    expect([TM % (4 * BLOCK_M), TN % (8 * BLOCK_N), workgroup % 32]).toEqual([0, 0, 0]);
    // Transposed in one go by blocks of 4 × 4, and loaded by at most 4 vec4 an invocation.
    for (const extent of [TM, TN]) {
      expect((TK * extent) / 16).toBeLessThanOrEqual(workgroup);
      expect((TK * extent) / 4 / workgroup).toBeLessThanOrEqual(4);
      expect(((TK * extent) / 4) % workgroup).toBe(0);
    }
    expect([4, 8]).toContain(TK / 4);
  }
});

test("the grid of large blocks covers every result once", () => {
  for (const [rows, columns] of [
    [256, 256],
    [131, 1025],
  ] as const) {
    const [x, y] = planMatmul(shapeOf(rows, columns), SOFTWARE_PROFILE).kernel.grid;
    expect([x, y]).toEqual([Math.ceil(columns / 64), Math.ceil(rows / 32)]);
  }
});

test("the grid covers every result once, and layers lie in the grid or in dispatches of their own", () => {
  const extent = fc.integer({ min: 1, max: 3000 });
  fc.assert(
    fc.property(
      extent,
      extent,
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(...MATMUL_VARIANTS),
      (rows, columns, layers, variant) => {
        const plan = planMatmul(shapeOf(rows, columns, 8, layers), DEFAULT_PROFILE, variant);
        const [height, width] =
          variant === "registers" ? [16, 32] : [MATMUL_TILES[variant].TM, MATMUL_TILES[variant].TN];
        const [x, y] = plan.kernel.grid;
        expect(x * width).toBeGreaterThanOrEqual(columns);
        expect((x - 1) * width).toBeLessThan(columns);
        expect(y * height).toBeGreaterThanOrEqual(rows);
        expect((y - 1) * height).toBeLessThan(rows);
        const { params, grid } = matmulDispatch(plan, { aLayer: 64, bLayer: 128, yLayer: 256, yAt: 4 });
        expect(grid[2]).toBe(layers);
        expect(params).toMatchObject(variant === "registers" ? { y_at: 4, y_layer: 256 } : { y_at4: 1, y_layer4: 64 });
      },
    ),
  );
});

test("a dense pass by products: batches of layers within the memory kept for them, one dispatch for their gradients", () => {
  const profile = { ...DEFAULT_PROFILE, maxBindingBytes: 2 ** 31 - 4, maxBufferBytes: 2 ** 32 };
  const size = (max: number) => fc.integer({ min: 1, max });
  fc.assert(
    fc.property(size(600), size(2000), size(3000), size(300), (width, hidden, rows, depth) => {
      const shape = {
        inputs: 4,
        width,
        hidden,
        outputs: 4,
        depth,
        activation: "gelu",
        widthFactors: "code",
        beta: 1,
      } as const;
      const plan = planDense(shape, profile, { rows, training: true, layout: "matmul" });
      const { layers, hiddenPadded } = plan.products!;
      expect(layers).toBeGreaterThanOrEqual(1);
      expect(layers).toBeLessThanOrEqual(depth);
      expect(hiddenPadded % 4).toBe(0);
      expect(plan.tensors).toMatchObject({
        activated: 4 * layers * rows * hiddenPadded,
        unitAdjoint: 4 * layers * rows * hiddenPadded,
        adjoints: 4 * (layers + 1) * plan.slotFloats,
      });
      if (layers > 1) expect(2 * plan.tensors.activated! + plan.tensors.adjoints!).toBeLessThan(2 ** 27);
      const batches = Math.ceil(depth / layers);
      const trained = { A: false, Z: false, B: false };
      if (plan.segments.length === 1 && plan.states === "stored")
        expect(dispatchesPerStep(plan, trained)).toBe(4 + 5 * depth + 2 * batches);
      const forward = planDense(shape, profile, { rows, training: false, layout: "matmul" });
      expect(forward.tensors).toMatchObject({ activated: 4 * rows * hiddenPadded });
      expect(forward.tensors).not.toHaveProperty("unitAdjoint");
    }),
  );
});

test("strides say how operands are stored", () => {
  const shape = { ...shapeOf(8, 12, 16), aTransposed: true, bTransposed: true };
  const registers = matmulDispatch(planMatmul(shape, DEFAULT_PROFILE, "registers"), { aAt: 16, alpha: 0.5 });
  expect(registers.params).toMatchObject({ a_row: 1, a_column: 64, b_row: 1, b_column: 1024, a_at: 16, alpha: 0.5 });
  const tiled = planMatmul(shape, DEFAULT_PROFILE, "small");
  expect(tiled.kernel.constants).toMatchObject({ A_TRANSPOSED: true, B_TRANSPOSED: true, TM: 32 });
  expect(matmulDispatch(tiled, { aAt: 16 }).params).toMatchObject({ a_stride4: 16, b_stride4: 256, a_at4: 4 });
});
