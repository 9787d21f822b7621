import { INDEXINGS, type Indexing } from "../../flow/measurements.ts";
import { packLayers } from "../../model/dense_stack.ts";
import { paddedWidth } from "../../plan/dense.ts";
import type { DeviceProfile } from "../../plan/device_profile.ts";
import { layerSums, REDUCE_GROUPS } from "../../plan/grids.ts";
import { depthDifferenceWork, depthDistanceWork, summaryWork, sumSquaresWork, sumWork } from "../../plan/work.ts";
import { matchedLayers, normSummary, squaredDistance } from "../../reference/metrics.ts";
import { sizedSum } from "../../reference/sums.ts";
import { EPSILON, type KernelRow, normal, paperShape, type RowSizes } from "./row.ts";

/** Invocations of a workgroup of these kernels: each sums a stride, the first one the 32 sums. */
const WORKGROUP = 32;

export function metricRows(profile: DeviceProfile, sizes: RowSizes): KernelRow[] {
  const { rows, batch, stackDepth, referenceDepth } = sizes;
  const { width, hidden } = paperShape(stackDepth);
  return [
    sumRow(rows),
    sumRow(batch),
    sumSquaresRow(stackDepth * 2 * width * hidden),
    depthDifferenceRow(profile, stackDepth),
    ...depthDistanceRows(profile, stackDepth, referenceDepth),
    summaryRow(stackDepth),
    summaryRow(referenceDepth),
  ];
}

/** Tied layers that have moved a little, as a training leaves them: W, V [L, q m] in float64, and both as on the device. */
function layers(stream: string, depth: number, profile: DeviceProfile) {
  const shape = paperShape(depth);
  const elements = shape.width * shape.hidden;
  const half = paddedWidth(shape.width, profile);
  const [w0, v0] = [normal(`${stream} W`, elements), normal(`${stream} V`, elements)];
  const [dw, dv] = [normal(`${stream} dW`, depth * elements, 0.1), normal(`${stream} dV`, depth * elements, 0.1)];
  const whole = (initial: Float32Array, change: Float32Array) =>
    Float64Array.from(change, (value, i) => initial[i % elements]! + value);
  return {
    initial: packLayers(shape, 1, half, w0, v0),
    change: packLayers(shape, depth, half, dw, dv),
    W: whole(w0, dw),
    V: whole(v0, dv),
    elements,
    layer4: (shape.hidden * half) / 2,
    half4: half / 4,
  };
}

type Layers = ReturnType<typeof layers>;

/** Squares of numbers of a layer summed by so many invocations: their roundings and those of the sums. */
const layerRelative = (layer4: number, lanes: number) => EPSILON * (layer4 / lanes + lanes + 24);

function depthDifferenceRow(profile: DeviceProfile, depth: number): KernelRow {
  const { width, hidden } = paperShape(depth);
  const numbers = 2 * width * hidden;
  return {
    kernel: "metric/depth_difference",
    shape: `L ${depth}, ${numbers} numbers a layer`,
    work: depthDifferenceWork(depth, numbers, numbers),
    prepare: () => {
      const stack = layers("stack", depth, profile);
      const { lanes, grid } = layerSums(depth, stack.layer4, profile);
      return {
        variant: `LANES ${lanes}`,
        constants: { LANES: lanes, TIED: true, HALF4: stack.half4 },
        tensors: { initial: stack.initial, change: stack.change, y: 4 * depth },
        params: { depth, layer4: stack.layer4 },
        grid,
        expected: () => {
          const values = Array.from({ length: depth }, (_, k) => {
            const square = (z: Float64Array) => squaredDistance(z, k, stack.elements);
            const difference = (z: Float64Array) =>
              k === depth - 1 ? 0 : squaredDistance(z, k, stack.elements, { z, j: k + 1 });
            return [difference(stack.W), difference(stack.V), square(stack.W), square(stack.V)];
          }).flat();
          const relative = layerRelative(stack.layer4, lanes);
          return [{ output: "y", values, tolerance: values.map((value) => relative * value) }];
        },
      };
    },
  };
}

function depthDistanceRows(profile: DeviceProfile, depth: number, referenceDepth: number): KernelRow[] {
  let pair: { stack: Layers; other: Layers } | undefined;
  const draw = () => {
    pair ??= { stack: layers("stack", depth, profile), other: layers("reference", referenceDepth, profile) };
    return pair;
  };
  return INDEXINGS.map((indexing) => depthDistanceRow(depth, referenceDepth, indexing, profile, draw));
}

function depthDistanceRow(
  depth: number,
  referenceDepth: number,
  indexing: Indexing,
  profile: DeviceProfile,
  draw: () => { stack: Layers; other: Layers },
): KernelRow {
  const { width, hidden } = paperShape(depth);
  const count = indexing === "interpolation" ? referenceDepth : depth;
  return {
    kernel: "metric/depth_distance",
    shape: `L ${depth} to ${referenceDepth}`,
    work: depthDistanceWork(count, depth, count, 2 * width * hidden),
    prepare: () => {
      const { stack, other } = draw();
      const { lanes, grid } = layerSums(count, stack.layer4, profile);
      return {
        variant: `${indexing}, LANES ${lanes}`,
        constants: { INDEXING: INDEXINGS.indexOf(indexing), LANES: lanes, HALF4: stack.half4 },
        tensors: {
          initial: stack.initial,
          change: stack.change,
          reference_initial: other.initial,
          reference_change: other.change,
          y: 4 * count,
        },
        params: {
          depth,
          reference_depth: referenceDepth,
          layer4: stack.layer4,
          initial_layer4: 0,
          reference_initial_layer4: 0,
        },
        grid,
        expected: () => {
          const values = Array.from({ length: count }, (_, i) => {
            const { k, j } = matchedLayers(indexing, depth, referenceDepth, i);
            const distance = (a: Float64Array, z: Float64Array) => squaredDistance(a, k, stack.elements, { z, j });
            return [distance(stack.W, other.W), distance(stack.V, other.V), 0, 0];
          }).flat();
          const relative = layerRelative(stack.layer4, lanes);
          return [{ output: "y", values, tolerance: values.map((value) => relative * value) }];
        },
      };
    },
  };
}

function sumRow(count: number): KernelRow {
  return {
    kernel: "metric/sum",
    shape: `${count} pairs`,
    work: sumWork(count),
    prepare: () => {
      const x = normal("pairs", 2 * count);
      return {
        variant: "",
        constants: {},
        tensors: { x, y: 4 },
        params: { count, at: 1 },
        grid: [1],
        expected: () => {
          const sums = [0, 1].map((part) => sizedSum(count, (i) => x[2 * i + part]!));
          return [
            {
              output: "y",
              values: [0, 0, ...sums.map(({ value }) => value)],
              tolerance: [0, 0, ...sums.map(({ size }) => EPSILON * (count / WORKGROUP + WORKGROUP + 1) * size)],
            },
          ];
        },
      };
    },
  };
}

function sumSquaresRow(count: number): KernelRow {
  return {
    kernel: "metric/sum_squares",
    shape: `${count} numbers`,
    work: sumSquaresWork(count),
    prepare: () => {
      const x = normal("numbers", count);
      const factor = 2.5;
      return {
        variant: "",
        constants: {},
        tensors: { x, partial: 2 * REDUCE_GROUPS },
        params: { count4: count / 4, layer4: count / 4, at: 0, stride: 0, factor },
        grid: [REDUCE_GROUPS],
        expected: () => {
          const total = factor * sizedSum(count, (i) => x[i]! ** 2).value;
          return [
            {
              output: "partial",
              take: (partial) => [sizedSum(REDUCE_GROUPS, (g) => partial[2 * g]!).value],
              values: [total],
              tolerance: EPSILON * (count / (4 * WORKGROUP * REDUCE_GROUPS) + 40) * total,
            },
          ];
        },
      };
    },
  };
}

function summaryRow(count: number): KernelRow {
  return {
    kernel: "metric/summary",
    shape: `${count} layers`,
    work: summaryWork(count),
    prepare: () => {
      const x = normal("squared norms", 4 * count).map((value) => value * value);
      return {
        variant: "",
        constants: {},
        tensors: { x, y: 12 },
        params: { count, at: 0 },
        grid: [1],
        expected: () => {
          const { top, roots, squares } = normSummary(x, count);
          const values = [...top, ...roots, ...squares];
          const relative = EPSILON * (count / WORKGROUP + WORKGROUP + 8);
          return [{ output: "y", values, tolerance: values.map((value) => relative * value) }];
        },
      };
    },
  };
}
