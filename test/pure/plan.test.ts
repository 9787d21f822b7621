import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DenseShape } from "../../src/config/dense.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { type DensePlanOptions, paddedWidth, planDense, stackBytes } from "../../src/plan/dense.ts";
import { DEFAULT_PROFILE, type DeviceProfile, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";

const PROFILES: readonly DeviceProfile[] = [
  DEFAULT_PROFILE,
  SOFTWARE_PROFILE,
  { ...SOFTWARE_PROFILE, subgroups: false },
  { ...DEFAULT_PROFILE, subgroups: true, maxBindingBytes: 2 ** 31 - 4, maxBufferBytes: 2 ** 32, parallelGroups: 32 },
];
const shapeOf = (change: Partial<DenseShape> = {}): DenseShape => ({
  inputs: 16,
  width: 16,
  hidden: 32,
  outputs: 16,
  depth: 64,
  activation: "gelu",
  widthFactors: "code",
  beta: 1,
  ...change,
});

const shapes = fc
  .record({
    inputs: fc.integer({ min: 1, max: 300 }),
    width: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 512 })),
    hidden: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 2048 })),
    outputs: fc.integer({ min: 1, max: 300 }),
    depth: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 20_000 })),
  })
  .map(shapeOf);
const options = fc.record(
  {
    rows: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3000 })),
    training: fc.boolean(),
    timeBudgetMs: fc.double({ min: 0.01, max: 1000, noNaN: true }),
    nanosecondsPerLayer: fc.double({ min: 10, max: 1e7, noNaN: true }),
  },
  { requiredKeys: ["rows", "training"] },
);
const profiles = fc.constantFrom(...PROFILES);

describe("properties", () => {
  test("segments tile [0, depth) exactly, and all but the last are equally long", () => {
    fc.assert(
      fc.property(shapes, profiles, options, (shape, profile, option) => {
        const { segments } = planDense(shape, profile, option);
        let next = 0;
        for (const { first, count } of segments) {
          expect(first).toBe(next);
          expect(count).toBeGreaterThan(0);
          next += count;
        }
        expect(next).toBe(shape.depth);
        for (const { count } of segments.slice(0, -1)) expect(count).toBe(segments[0].count);
        expect(segments.at(-1)!.count).toBeLessThanOrEqual(segments[0].count);
      }),
    );
  });

  test("every range of a segment is aligned and fits one binding, every tensor one buffer", () => {
    fc.assert(
      fc.property(shapes, profiles, options, (shape, profile, option) => {
        const plan = planDense(shape, profile, option);
        const stored = plan.states === "stored";
        for (const { first, count } of plan.segments) {
          expect((4 * plan.layerFloats * first) % profile.offsetAlignment).toBe(0);
          expect(4 * plan.layerFloats * count).toBeLessThanOrEqual(profile.maxBindingBytes);
          expect((4 * plan.slotFloats * (stored ? first : 0)) % profile.offsetAlignment).toBe(0);
          if (!option.training) continue;
          expect(4 * plan.slotFloats * (count + 1)).toBeLessThanOrEqual(profile.maxBindingBytes);
          expect(4 * plan.partialGroups * plan.layerFloats * count).toBeLessThanOrEqual(profile.maxBindingBytes);
        }
        expect(plan.tensors.states).toBe(4 * plan.slotFloats * plan.slots);
        expect(plan.tensors.states).toBeLessThanOrEqual(profile.maxBufferBytes);
      }),
    );
  });

  test("rows and widths are padded to what the kernels promise, by less than one more block", () => {
    fc.assert(
      fc.property(shapes, profiles, options, (shape, profile, option) => {
        const plan = planDense(shape, profile, option);
        expect(plan.widthPadded).toBe(paddedWidth(shape.width, profile));
        expect(plan.widthPadded % 4).toBe(0);
        expect(plan.widthPadded - shape.width).toBeLessThan(16);
        expect(plan.rowsPadded).toBeGreaterThanOrEqual(option.rows);
        expect(plan.slotFloats).toBeGreaterThanOrEqual(plan.rowsPadded * plan.widthPadded);
        expect(plan.slotFloats % 64).toBe(0);
        const { forward, gradient } = plan.kernels;
        if (plan.layout === "matmul") {
          expect(plan.rowsPadded).toBe(option.rows);
          expect(forward).toBeUndefined();
          return;
        }
        const block = Number(forward!.constants.ROWS) * (plan.layout === "rows" ? 4 : 1);
        expect(plan.rowsPadded % block).toBe(0);
        expect(forward!.grid[0] * block).toBe(plan.rowsPadded);
        const multiple = Math.max(block, gradient ? Number(gradient.constants.ROWS) : 1);
        expect(plan.rowsPadded % multiple).toBe(0);
        expect(plan.rowsPadded - option.rows).toBeLessThan(Math.max(multiple, 8));
        expect(forward!.constants).toMatchObject({ WIDTH: plan.widthPadded, HIDDEN: shape.hidden });
      }),
    );
  });

  test("workgroup memory, invocations and grids are within the limits", () => {
    fc.assert(
      fc.property(shapes, profiles, options, (shape, profile, option) => {
        const { kernels, layout, widthPadded } = planDense(shape, profile, option);
        for (const kernel of Object.values(kernels))
          for (const size of kernel.grid) expect(size).toBeLessThanOrEqual(profile.maxGroupsPerDimension);
        if (layout !== "tile") return;
        const { ROWS, WORKGROUP } = kernels.forward!.constants;
        expect(4 * Number(ROWS) * (2 * widthPadded + shape.hidden)).toBeLessThanOrEqual(
          profile.maxWorkgroupStorageBytes,
        );
        expect(WORKGROUP).toBeLessThanOrEqual(profile.maxInvocations);
        if (!kernels.gradient) return;
        const { ROWS: rows, UNITS: units } = kernels.gradient.constants;
        expect(4 * Number(rows) * (2 * widthPadded + 2 * Number(units))).toBeLessThanOrEqual(
          profile.maxWorkgroupStorageBytes,
        );
        expect(kernels.gradient.grid[0] * Number(units)).toBeGreaterThanOrEqual(shape.hidden);
      }),
    );
  });

  test("stored states fit `stateBytes`; else they are recomputed within it, down to the shortest segment", () => {
    fc.assert(
      fc.property(shapes, profiles, options, fc.integer({ min: 2, max: 400 }), (shape, profile, option, slots) => {
        const { slotFloats } = planDense(shape, profile, option);
        const stateBytes = 4 * slotFloats * slots;
        const plan = planDense(shape, profile, { ...option, training: true, stateBytes });
        expect(plan.states === "stored").toBe(
          Math.min(stateBytes, profile.maxBufferBytes) >= 4 * slotFloats * (shape.depth + 1),
        );
        if (plan.states === "stored") {
          expect(plan.slots).toBe(shape.depth + 1);
          return;
        }
        expect(plan.slots).toBe(plan.segments[0].count + 1);
        // Offsets of layers are multiples of 256 bytes: that many layers are the shortest segment.
        const shortest = 256 / gcd(256, 4 * plan.layerFloats);
        if (plan.segments[0].count > shortest) expect(plan.tensors.states).toBeLessThanOrEqual(stateBytes);
        expect(plan.tensors.checkpoints).toBe(2 * plan.segments.length * 4 * slotFloats);
        expect(plan.notes.join()).toContain("recomputed");
      }),
    );
  });

  test("a segment takes no longer than the time budget, but for the shortest one", () => {
    fc.assert(
      fc.property(shapes, profiles, options, (shape, profile, option) => {
        const nanosecondsPerLayer = option.nanosecondsPerLayer ?? 1e5;
        const timeBudgetMs = option.timeBudgetMs ?? 10;
        const plan = planDense(shape, profile, { ...option, nanosecondsPerLayer, timeBudgetMs });
        const shortest = 256 / gcd(256, 4 * plan.layerFloats);
        for (const { count } of plan.segments)
          if (count > shortest) expect(count * nanosecondsPerLayer).toBeLessThanOrEqual(timeBudgetMs * 1e6);
      }),
    );
  });

  test("replicas multiply what is theirs and share the rest; rows of one stay together", () => {
    const count = fc.integer({ min: 2, max: 12 });
    fc.assert(
      fc.property(shapes, profiles, options, count, (shape, profile, option, replicas) => {
        const one = planDense(shape, profile, option);
        if (one.layout === "matmul") {
          expect(() => planDense(shape, profile, { ...option, replicas })).toThrow(/replicas/);
          return;
        }
        let plan: ReturnType<typeof planDense>;
        try {
          plan = planDense(shape, profile, { ...option, replicas, choice: one.choice });
        } catch (error) {
          // A layer of all of them exceeds a binding.
          expect(String(error)).toContain("largest binding");
          return;
        }
        const { rows, rowsPadded, partialGroups, unitFloats, widthPadded } = one;
        expect(plan).toMatchObject({ replicas, rows, rowsPadded, partialGroups, unitFloats, widthPadded });
        expect(plan.layerFloats).toBe(replicas * one.layerFloats);
        expect(plan.slotFloats).toBeGreaterThanOrEqual(replicas * rowsPadded * widthPadded);
        for (const [name, { grid, constants }] of Object.entries(plan.kernels)) {
          // However many there are, the pipelines are the same.
          expect(constants).toEqual(one.kernels[name as keyof typeof one.kernels]!.constants);
          const [x, y, z] = one.kernels[name as keyof typeof one.kernels]!.grid;
          if (name === "gradient") expect([grid[0], grid[2]]).toEqual([x, replicas * z]);
          else expect(grid).toEqual([x, replicas * y, z]);
        }
        for (const name of ["input", "output", "target", "gradOutput", "rowLoss"])
          expect(plan.tensors[name]).toBe(replicas * one.tensors[name]!);
      }),
    );
  });

  test("a plan is a plain value: the same twice, and the same after JSON", () => {
    fc.assert(
      fc.property(shapes, profiles, options, (shape, profile, option) => {
        const plan = planDense(shape, profile, option);
        expect(planDense(shape, profile, option)).toEqual(plan);
        expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
      }),
    );
  });
});

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

test.each([
  ["rows on a software adapter with subgroups", SOFTWARE_PROFILE, {}, "rows"],
  ["products without barriers on one without", { ...SOFTWARE_PROFILE, subgroups: false }, {}, "matmul"],
  ["tiles there where a layer is tiny", { ...SOFTWARE_PROFILE, subgroups: false }, { width: 4, hidden: 8 }, "tile"],
  ["tiles on hardware", DEFAULT_PROFILE, {}, "tile"],
  ["rows at width 112", SOFTWARE_PROFILE, { width: 112 }, "rows"],
  ["products at width 113, beyond the registers", SOFTWARE_PROFILE, { width: 113 }, "matmul"],
  ["products where a layer's weights deserve reuse", DEFAULT_PROFILE, { width: 128, hidden: 128 }, "matmul"],
  ["products beyond workgroup memory", DEFAULT_PROFILE, { width: 16, hidden: 4096 }, "matmul"],
] as const)("layout: %s", (_, profile, shape, layout) => {
  expect(planDense(shapeOf(shape), profile, { rows: 100, training: true }).layout).toBe(layout);
});

test("the dispatches of one segment do not depend on depth", () => {
  const kernels = (depth: number, option: Partial<DensePlanOptions> = {}) => {
    const plan = planDense(shapeOf({ depth }), SOFTWARE_PROFILE, {
      rows: 100,
      training: true,
      nanosecondsPerLayer: 100,
      ...option,
    });
    expect(plan.segments.length).toBe(1);
    return plan.kernels;
  };
  expect(kernels(1024)).toEqual(kernels(2));
});

test("a layer that no binding holds is a ConfigError that says which", () => {
  const plan = (change: Partial<DenseShape>, rows: number) => () =>
    planDense(shapeOf(change), DEFAULT_PROFILE, { rows, training: true });
  expect(plan({ width: 8192, hidden: 8192 }, 1)).toThrow(ConfigError);
  expect(plan({ width: 8192, hidden: 8192 }, 1)).toThrow(/weights of one layer .*134217728/);
  expect(plan({ width: 8192, hidden: 1 }, 3000)).toThrow(/one layer's states/);
  expect(plan({ width: 1024, hidden: 1024 }, 100)).not.toThrow();
});

test("rows asked for where subgroups are missing is a ConfigError", () => {
  expect(() => planDense(shapeOf(), DEFAULT_PROFILE, { rows: 4, training: true, layout: "rows" })).toThrow(/subgroups/);
});

test("the paper's set-up at depth 16384 on the software adapter", () => {
  const plan = planDense(shapeOf({ depth: 16_384 }), SOFTWARE_PROFILE, { rows: 100, training: true });
  expect({ ...plan, segments: plan.segments.length, first: plan.segments[0] }).toMatchInlineSnapshot(`
    {
      "choice": {
        "layout": "rows",
        "rows": 7,
        "workgroup": 4,
      },
      "first": {
        "count": 523,
        "first": 0,
      },
      "kernels": {
        "adjoint": {
          "constants": {
            "HIDDEN": 32,
            "ROWS": 7,
            "WIDTH": 16,
            "WORKGROUP": 4,
          },
          "grid": [
            4,
            1,
            1,
          ],
          "name": "dense/rows_adjoint",
        },
        "forward": {
          "constants": {
            "HIDDEN": 32,
            "ROWS": 7,
            "WIDTH": 16,
            "WORKGROUP": 4,
          },
          "grid": [
            4,
            1,
            1,
          ],
          "name": "dense/rows_forward",
        },
      },
      "layerFloats": 1024,
      "layers": 16384,
      "layout": "rows",
      "notes": [],
      "partialGroups": 4,
      "replicas": 1,
      "rows": 100,
      "rowsPadded": 112,
      "scales": {
        "inner": 1,
        "outer": 0.00006103515625,
      },
      "segments": 32,
      "shape": {
        "activation": "gelu",
        "beta": 1,
        "depth": 16384,
        "hidden": 32,
        "inputs": 16,
        "outputs": 16,
        "width": 16,
        "widthFactors": "code",
      },
      "slotFloats": 1792,
      "slots": 16385,
      "stages": 1,
      "states": "stored",
      "tensors": {
        "adjoint": 7168,
        "adjointLow": 7168,
        "gradOutput": 6400,
        "input": 6400,
        "output": 6400,
        "partials": 8568832,
        "rowLoss": 800,
        "scales": 8,
        "stateLow": 7168,
        "states": 117447680,
        "target": 6400,
      },
      "unitFloats": 32,
      "widthPadded": 16,
    }
  `);
});

test("the same at depth 1000 with the limits that every implementation offers", () => {
  const plan = planDense(shapeOf({ depth: 1000 }), DEFAULT_PROFILE, { rows: 100, training: true, stateBytes: 2 ** 20 });
  expect({ ...plan, segments: plan.segments.length, first: plan.segments[0] }).toMatchInlineSnapshot(`
    {
      "choice": {
        "gradientRows": 8,
        "gradientUnits": 32,
        "layout": "tile",
        "rows": 1,
        "workgroup": 32,
      },
      "first": {
        "count": 45,
        "first": 0,
      },
      "kernels": {
        "adjoint": {
          "constants": {
            "HIDDEN": 32,
            "ROWS": 1,
            "WIDTH": 16,
            "WORKGROUP": 32,
          },
          "grid": [
            104,
            1,
            1,
          ],
          "name": "dense/tile_adjoint",
        },
        "forward": {
          "constants": {
            "HIDDEN": 32,
            "ROWS": 1,
            "WIDTH": 16,
            "WORKGROUP": 32,
          },
          "grid": [
            104,
            1,
            1,
          ],
          "name": "dense/tile_forward",
        },
        "gradient": {
          "constants": {
            "HIDDEN": 32,
            "ROWS": 8,
            "UNITS": 32,
            "WIDTH": 16,
            "WORKGROUP": 32,
          },
          "grid": [
            1,
            45,
            1,
          ],
          "name": "dense/tile_gradient",
        },
      },
      "layerFloats": 1024,
      "layers": 1000,
      "layout": "tile",
      "notes": [
        "states of 1001 layers do not fit 1048576 bytes: every 45th is stored, the others are recomputed",
      ],
      "partialGroups": 1,
      "replicas": 1,
      "rows": 100,
      "rowsPadded": 104,
      "scales": {
        "inner": 1,
        "outer": 0.001,
      },
      "segments": 23,
      "shape": {
        "activation": "gelu",
        "beta": 1,
        "depth": 1000,
        "hidden": 32,
        "inputs": 16,
        "outputs": 16,
        "width": 16,
        "widthFactors": "code",
      },
      "slotFloats": 1664,
      "slots": 46,
      "stages": 1,
      "states": "recomputed",
      "tensors": {
        "adjoint": 6656,
        "adjointLow": 6656,
        "adjoints": 299520,
        "checkpoints": 306176,
        "embedded": 6656,
        "gradOutput": 6400,
        "input": 6400,
        "output": 6400,
        "partials": 184320,
        "rowLoss": 800,
        "scales": 8,
        "stateLow": 6656,
        "states": 306176,
        "target": 6400,
      },
      "unitFloats": 32,
      "widthPadded": 16,
    }
  `);
});

test("bytes of a stack: weights and change of every layer, tied initial values once", () => {
  const shape = shapeOf({ inputs: 3, width: 5, hidden: 7, outputs: 2, depth: 11 });
  const [layer, ends] = [4 * 7 * 2 * 8, 4 * (16 + 12)];
  expect(stackBytes(shape, true, DEFAULT_PROFILE)).toEqual({
    weights: 11 * layer + ends,
    change: 11 * layer + ends,
    initial: layer + ends,
  });
  expect(stackBytes(shape, false, DEFAULT_PROFILE).initial).toBe(11 * layer + ends);
});

test("parameters of replicas are those of one, so many times", () => {
  const shape = shapeOf({ inputs: 3, width: 5, hidden: 7, outputs: 2, depth: 11 });
  const one = stackBytes(shape, true, SOFTWARE_PROFILE);
  for (const [name, bytes] of Object.entries(stackBytes(shape, true, SOFTWARE_PROFILE, 6)))
    expect(bytes).toBe(6 * one[name]!);
});

test("a software adapter gives replicas more rows an invocation than one stack, whose rows fill its cores", () => {
  const shape = shapeOf({ width: 4, hidden: 8 });
  const tile = (replicas: number) => planDense(shape, SOFTWARE_PROFILE, { rows: 12, replicas, training: true }).choice;
  expect([tile(1), tile(8)]).toMatchObject([{ rows: 2 }, { rows: 3 }]);
});
