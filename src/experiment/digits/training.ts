/** The trainings of `digits`: data, one cell each, and what they leave. */
import { DensePass } from "../../model/dense_pass.ts";
import type { DenseStack } from "../../model/dense_stack.ts";
import type { RunStatus } from "../record.ts";
import { roughness } from "../statistics.ts";
import { type CellRecord, createTraining, runCell } from "../training.ts";
import {
  type Case,
  type Context,
  cellId,
  FAMILIES,
  type Family,
  labelOf,
  type Row,
  recordedSteps,
  specOf,
  TRAINED,
} from "./config.ts";
import { type SplitConfig, type SplitDigits, splitDigits } from "./split.ts";

export type { SplitDigits } from "./split.ts";

/** The split of the digits that ship with the package. */
export async function loadSplit(config: SplitConfig, seed: number): Promise<SplitDigits> {
  const { readDigits } = await import("../../data/digits.ts");
  return splitDigits(readDigits(), config, seed);
}

/** What all finished and begun trainings left. */
export interface Collected {
  readonly training: Row[];
  readonly layers: Row[];
  readonly smoothness: Row[];
  /** Cells that ran to their last step. */
  readonly finished: Set<string>;
  status: RunStatus;
  detail?: string;
}

export async function trainCase(
  context: Context,
  one: Case,
  { train, test }: SplitDigits,
  onSteps: (steps: number, loss: number) => void,
): Promise<CellRecord> {
  const { gpu, config } = context;
  const spec = specOf(config, one, train);
  const steps = recordedSteps(config);
  let testPass: DensePass | undefined;
  return runCell(
    context,
    cellId(one),
    steps,
    async () => {
      const training = await createTraining(gpu, spec);
      const pass = await DensePass.create(training.stack, test, spec.loss, { training: false });
      testPass = pass;
      return {
        ...training,
        destroy() {
          pass.destroy();
          training.destroy();
        },
      };
    },
    async ({ stack, flow, pass, measure }, step) => {
      const gradient = await measure.gradient(flow.recorder, pass, TRAINED);
      const { W, V } = await measure.depth(flow.recorder);
      const held = await measure.loss(flow.recorder, testPass!);
      const state: Row = {
        table: "training",
        ...one,
        step,
        time: step * config.rate,
        loss: gradient.loss,
        accuracy: gradient.correct / train.rows,
        test_loss: held.loss,
        test_accuracy: held.correct / test.rows,
        pl_ratio: gradient.plRatio,
        energy_rate: gradient.energyRate,
        max_step_V: V.maxStep,
        max_step_W: W.maxStep,
        mean_step_V: V.meanStep,
        mean_step_W: W.meanStep,
        max_norm_V: V.maxNorm,
        max_norm_W: W.maxNorm,
      };
      if (step < config.steps) return [state];
      const shown = one.seed === config.seeds[0] && one.depth === config.depths.at(-1);
      return [state, ...(await lastRows(stack, one, shown))];
    },
    onSteps,
  );
}

/** Roughness of the trained weights, and one entry of V_k and W_k against depth where it is shown. */
async function lastRows(stack: DenseStack, one: Case, shown: boolean): Promise<Row[]> {
  const { depth, width, hidden } = stack.shape;
  const { initial } = stack;
  const change = await stack.readChange();
  // What all layers share cancels in the roughness; the change alone keeps the digits that W itself rounds away.
  const moving = (family: Family) =>
    stack.tied ? change[family] : change[family].map((value, i) => value + initial[family][i]!);
  const rows: Row[] = [
    {
      table: "roughness",
      roughness_V: roughness(moving("V"), depth),
      roughness_W: roughness(moving("W"), depth),
    },
  ];
  if (!shown) return rows;
  const layer = width * hidden;
  for (const state of ["before", "after"] as const) {
    for (let k = 0; k < depth; k++) {
      const entry = (family: Family) =>
        initial[family][k * layer]! + (state === "after" ? change[family][k * layer]! : 0);
      rows.push({ table: "layers", ...one, layer: k + 1, s: (k + 1) / depth, state, V: entry("V"), W: entry("W") });
    }
  }
  return rows;
}

export function collect(collected: Collected, one: Case, record: CellRecord): void {
  const rows = (table: string) =>
    record.rows.filter((row) => row.table === table).map(({ table: _, ...row }) => row as Row);
  const training = rows("training");
  collected.training.push(...training);
  collected.layers.push(...rows("layers"));
  if (record.status !== "done") {
    // The first misfortune names the run; later cells still run after a divergence.
    if (collected.status === "done" || record.status === "cancelled") {
      collected.status = record.status;
      collected.detail = `${labelOf(one)}: ${record.detail}`;
    }
    return;
  }
  collected.finished.add(cellId(one));
  const [first, last, rough] = [training[0]!, training.at(-1)!, rows("roughness")[0]!];
  for (const family of FAMILIES) {
    const [initial, final] = [first, last].map((row) => row[`max_step_${family}`] as number);
    collected.smoothness.push({
      ...one,
      family,
      max_step_initial: initial!,
      max_step_final: final!,
      scaled_final: one.depth * final!,
      ratio: initial! > 0 ? final! / initial! : null,
      roughness: rough[`roughness_${family}`]!,
    });
  }
}
