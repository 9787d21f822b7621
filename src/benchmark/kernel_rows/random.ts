import { normalTable, RandomStream } from "../../model/random.ts";
import { normalGrid } from "../../plan/grids.ts";
import { normalWork } from "../../plan/work.ts";
import type { KernelRow, RowSizes } from "./row.ts";

export function randomRows({ randomNumbers: count }: RowSizes): KernelRow[] {
  const scale = 0.25;
  return [
    {
      kernel: "random/normal",
      shape: `${count} numbers`,
      work: normalWork(count),
      prepare: () => {
        const stream = new RandomStream(7, "bench");
        return {
          variant: "",
          constants: {},
          tensors: { table: Uint32Array.from(normalTable()), output: count },
          params: { key0: stream.key[0], key1: stream.key[1], first: 0, count, scale },
          grid: normalGrid(count),
          // The same bits as on the host, whose own test holds them against the distribution.
          expected: () => [
            { output: "output", values: stream.fillNormal(new Float32Array(count), 0, scale), tolerance: 0 },
          ],
        };
      },
    },
  ];
}
