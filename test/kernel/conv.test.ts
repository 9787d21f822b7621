import { describe, expect, test } from "vitest";
import { convRows } from "../../src/benchmark/kernel_rows/conv.ts";
import { rowSizes } from "../../src/benchmark/kernel_rows/row.ts";
import { compare } from "../../src/benchmark/kernels.ts";
import { openTestDevice } from "../support/device.ts";
import { poisoned, runKernel } from "../support/kernel.ts";

const gpu = await openTestDevice();
const plain = await openTestDevice({ withoutSubgroups: true });
// The cases of the benchmark at odd sizes: five images (a quad that is not full) of 5 × 7 pixels, 6 channels, several blocks of a tile.
const sizes = rowSizes(gpu.profile, true);
const every = { device: gpu, profile: gpu.profile, kernels: /./ };
// Only some kernels are laid out by the kind of device, or share loads among the lanes of a quad.
const LAYOUTS = {
  "this adapter": every,
  "as for a GPU": {
    ...every,
    profile: { ...gpu.profile, kind: "hardware" as const },
    kernels: /\/(forward|backward|stem)$/,
  },
  "without subgroups": {
    device: plain,
    profile: plain.profile,
    kernels: /\/(forward|backward|stem|weight_gradient)$/,
  },
};

describe.each(Object.entries(LAYOUTS))("tiles of %s", (_, { device, profile, kernels }) => {
  const rows = convRows(profile, sizes).filter(({ kernel }) => kernels.test(kernel));
  test.each(rows.map((row) => [`${row.kernel}: ${row.shape}`, row] as const))(
    "%s equals float64, twice with the same bits",
    async (_, row) => {
      const { constants, tensors, params, grid, expected } = row.prepare();
      const expectations = expected();
      const bindings = Object.fromEntries(
        Object.entries(tensors).map(([name, data]) => [name, typeof data === "number" ? poisoned(data) : data]),
      );
      const outputs = [...new Set(expectations.map(({ output }) => output))];
      const run = () => runKernel(device, row.kernel, constants, bindings, outputs, params, grid);
      const first = await run();
      for (const expectation of expectations) {
        const { error, tolerance } = compare(expectation, first[expectation.output]!);
        expect(error, expectation.output).toBeLessThanOrEqual(tolerance);
      }
      expect(await run()).toEqual(first);
    },
  );
});
