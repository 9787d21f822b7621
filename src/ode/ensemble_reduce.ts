import { ConfigError } from "../config/errors.ts";
import type { reductionSchema } from "../config/ode.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { type EnsemblePlan, PARTIAL_WORDS, reductionRows, rowsGrid, SLICE } from "../plan/ode.ts";
import type { EnsembleBuffers } from "./ensemble_buffers.ts";
import type { ReductionResult } from "./ensemble_types.ts";

type Checked = ReturnType<typeof reductionSchema.parse>;

/** Reduces rows over all ranges: those of the states, or, with `points` > 0, of the saved points, [dimension, points]. */
export async function reduceEnsemble(
  gpu: Gpu,
  recorder: Recorder,
  parts: readonly EnsembleBuffers[],
  plan: EnsemblePlan,
  reduction: Checked,
  dimension: number,
  points: number,
): Promise<ReductionResult> {
  const rows = dimension * Math.max(1, points);
  const source = (part: EnsembleBuffers) => (points > 0 ? part.tensors.saved : part.tensors.state);
  const shared = ({ range }: EnsembleBuffers) => ({
    count: range.count,
    stride: range.count,
    status_row: plan.rows.status,
    points,
  });
  if (reduction.kind === "mean-square" && reduction.target.length !== rows)
    throw new ConfigError("reduction.target", `must hold ${rows} numbers`, reduction.target.length);
  if (reduction.kind === "histogram") {
    const { bins, low, high } = reduction;
    const kernel = await gpu.kernel("ode/histogram");
    const counts = gpu.tensor("histogram", 4 * rows * (bins + 2));
    for (const part of parts) {
      recorder.dispatch(
        kernel,
        { x: source(part), state: part.tensors.state, counts },
        { ...shared(part), rows, bins, low, high, per_width: bins / (high - low) },
        rowsGrid(part.range.count, rows, gpu.profile),
      );
    }
    const reading = recorder.read(counts, 0, 4 * rows * (bins + 2));
    recorder.submit();
    const words = new Uint32Array(await reading);
    gpu.release(counts);
    return inRows(
      rows,
      dimension,
      bins + 2,
      (row, k) => words[row * (bins + 2) + k]!,
      (row) => {
        let sum = 0;
        for (let k = 0; k < bins + 2; k++) sum += words[row * (bins + 2) + k]!;
        return sum;
      },
    );
  }
  const moments = await gpu.kernel("ode/moments");
  const join = await gpu.kernel("ode/moments_join");
  const trajectories = parts.reduce((sum, { range }) => sum + range.count, 0);
  const slices = Math.ceil(trajectories / SLICE);
  const batch = reductionRows(rows, slices);
  const partial = [
    gpu.tensor("moments", 4 * PARTIAL_WORDS * batch * slices),
    gpu.tensor("joined moments", 4 * PARTIAL_WORDS * batch * Math.ceil(slices / SLICE)),
  ] as const;
  const result = new Uint32Array(PARTIAL_WORDS * rows);
  for (let firstRow = 0; firstRow < rows; firstRow += batch) {
    const batchRows = Math.min(batch, rows - firstRow);
    for (const part of parts) {
      recorder.dispatch(
        moments,
        { x: source(part), state: part.tensors.state, partial: partial[0] },
        { ...shared(part), first_row: firstRow, rows: batchRows, slices, first_slice: part.range.first / SLICE },
        rowsGrid(Math.ceil(part.range.count / SLICE), batchRows, gpu.profile),
      );
    }
    let [from, to] = partial;
    for (let count = slices; count > 1; ) {
      const results = Math.ceil(count / SLICE);
      recorder.dispatch(
        join,
        { partial: from, result: to },
        { rows: batchRows, slices: count, results },
        rowsGrid(results, batchRows, gpu.profile),
      );
      [from, to, count] = [to, from, results];
    }
    const reading = recorder.read(from, 0, 4 * PARTIAL_WORDS * batchRows);
    recorder.submit();
    result.set(new Uint32Array(await reading), PARTIAL_WORDS * firstRow);
  }
  gpu.release(...partial);
  const floats = new Float32Array(result.buffer);
  const count = (row: number) => result[PARTIAL_WORDS * row]!;
  // Rows are [dimension, points], targets [points, dimension].
  const targetOf = (row: number) => (row % Math.max(1, points)) * dimension + Math.floor(row / Math.max(1, points));
  const value = (row: number): number => {
    if (count(row) === 0) return Number.NaN;
    const at = PARTIAL_WORDS * row;
    switch (reduction.kind) {
      case "mean":
        return floats[at + 1]!;
      case "variance":
        return count(row) === 1 ? 0 : floats[at + 2]! / (count(row) - 1);
      case "mean-square": {
        const apart = floats[at + 1]! - reduction.target[targetOf(row)]!;
        return floats[at + 2]! / count(row) + apart * apart;
      }
      case "minimum":
        return floats[at + 3]!;
      case "maximum":
        return floats[at + 4]!;
    }
  };
  return inRows(rows, dimension, 1, value, count);
}

/** From rows [dimension, points] of `width` numbers to [points, dimension, width]. */
function inRows(
  rows: number,
  dimension: number,
  width: number,
  value: (row: number, k: number) => number,
  count: (row: number) => number,
): ReductionResult {
  const points = rows / dimension;
  const values = new Float32Array(rows * width);
  const counts = new Uint32Array(points);
  for (let point = 0; point < points; point++) {
    counts[point] = count(point);
    for (let i = 0; i < dimension; i++) {
      for (let k = 0; k < width; k++) values[(point * dimension + i) * width + k] = value(i * points + point, k);
    }
  }
  return { values, counts };
}
