import { expect, test } from "vitest";
import { DEFAULT_PROFILE, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { layerSums, lossGrid, matmulGrid, normalGrid, vectorGrid } from "../../src/plan/grids.ts";

const sizes = [1, 15, 16, 17, 255, 256, 257, 65_536, 10_000_019];

test("a product's blocks cover it, and not one block more than needed", () => {
  for (const rows of sizes.slice(0, -1))
    for (const columns of sizes.slice(0, -1)) {
      const [x, y = 1] = matmulGrid(rows, columns);
      expect([32 * x >= columns, 32 * (x - 1) < columns]).toEqual([true, true]);
      expect([16 * y >= rows, 16 * (y - 1) < rows]).toEqual([true, true]);
    }
});

test("grids that stride stay within what every device allows, and begin with a workgroup for everything", () => {
  for (const size of sizes)
    for (const grid of [
      vectorGrid(size, DEFAULT_PROFILE),
      vectorGrid(size, SOFTWARE_PROFILE),
      layerSums(size, 256, DEFAULT_PROFILE).grid,
      layerSums(size, 256, SOFTWARE_PROFILE).grid,
      lossGrid(size),
      normalGrid(size),
    ]) {
      expect(grid[0]).toBeGreaterThanOrEqual(1);
      expect(grid[0]).toBeLessThanOrEqual(DEFAULT_PROFILE.maxGroupsPerDimension);
    }
  expect(vectorGrid(257, DEFAULT_PROFILE)).toEqual([2]);
  expect(layerSums(300, 256, DEFAULT_PROFILE)).toEqual({ lanes: 32, grid: [300] });
  expect(lossGrid(33)).toEqual([2]);
  // An odd `first` splits a pair at both ends: one pair more than half of the numbers.
  expect(normalGrid(128)).toEqual([2]);
});

test("a software adapter gets as many workgroups of a vector as its cores can share out", () => {
  expect(vectorGrid(1e6, SOFTWARE_PROFILE)).toEqual([16 * SOFTWARE_PROFILE.parallelGroups]);
});

test("a software adapter sums a layer by one invocation, but not few layers or long ones", () => {
  expect(layerSums(300, 256, SOFTWARE_PROFILE)).toEqual({ lanes: 1, grid: [10] });
  expect(layerSums(2, 256, SOFTWARE_PROFILE)).toEqual({ lanes: 32, grid: [2] });
  expect(layerSums(300, 65_536, SOFTWARE_PROFILE)).toEqual({ lanes: 32, grid: [300] });
});
