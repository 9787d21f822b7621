import { LOSSES, type Loss } from "../../config/dense.ts";
import { RandomStream } from "../../model/random.ts";
import { lossGrid } from "../../plan/grids.ts";
import { lossWork } from "../../plan/work.ts";
import { denseLoss } from "../../reference/dense.ts";
import { at, EPSILON, type KernelRow, normal, type RowSizes, sample } from "./row.ts";

/** Roundings of one exponential, of the software adapter's builtin exp and of WGSL's promise at moderate arguments. */
const EXP_ULP = 40;

export function lossRows({ rows, batch }: RowSizes): KernelRow[] {
  return [
    lossRow("squared-norm", rows, 16),
    lossRow("squared-norm", batch, 16),
    // The classes of the digits.
    lossRow("cross-entropy", batch, 10),
  ];
}

function lossRow(loss: Loss, rows: number, outputs: number): KernelRow {
  const entropy = loss === "cross-entropy";
  return {
    kernel: "loss/loss",
    shape: `n ${rows}, d' ${outputs}`,
    work: lossWork(loss, rows, outputs),
    prepare: () => {
      const output = normal("outputs", rows * outputs);
      const stream = new RandomStream(0, "labels");
      const target = entropy
        ? Uint32Array.from({ length: rows }, (_, i) => stream.uint32(i) % outputs)
        : normal("targets", rows * outputs);
      return {
        variant: loss,
        constants: { LOSS: LOSSES.indexOf(loss) },
        tensors: { output, target_bits: target, grad: rows * outputs, row_loss: 2 * rows },
        params: { rows, outputs, scale: 1 / rows },
        grid: lossGrid(rows),
        expected: () => {
          const compared = sample(rows);
          const each = Array.from(compared, (row) =>
            denseLoss(
              loss,
              Float64Array.from(output.subarray(row * outputs, (row + 1) * outputs)),
              entropy ? [target[row]!] : target.subarray(row * outputs, (row + 1) * outputs),
              1,
              outputs,
            ),
          );
          // `outputs` terms of 3 roundings (an exponential has more) and their sum, of terms of the size of a loss or of 1.
          const relative = (EPSILON * (outputs + (entropy ? EXP_ULP : 5))) / rows;
          const gradient = each.flatMap(({ gradOutput }) => [...gradOutput]);
          const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const elements = Uint32Array.from({ length: compared.length * outputs }, (_, i) => {
            return compared[Math.floor(i / outputs)]! * outputs + (i % outputs);
          });
          return [
            {
              output: "row_loss",
              take: at(compared.map((row) => 2 * row)),
              values: each.map(({ loss: value }) => value / rows),
              tolerance: each.map(({ loss: value }) => relative * (value + (entropy ? 8 : 0) + 1)),
            },
            {
              output: "row_loss",
              take: at(compared.map((row) => 2 * row + 1)),
              values: each.map(({ correct }) => (entropy ? correct : 0)),
              tolerance: 0,
            },
            {
              output: "grad",
              take: at(elements),
              values: gradient.map((value) => value / rows),
              tolerance: relative * largest,
            },
          ];
        },
      };
    },
  };
}
