/** The trainings of `scaling-regimes`: draws that are only looked at, and trainings on the digits. */
import type { DenseShape } from "../../config/dense.ts";
import type { DenseData, StackEnds } from "../../model/dense_pass.ts";
import { RandomStream } from "../../model/random.ts";
import { CLASSES, PIXELS } from "../digits/config.ts";
import type { SplitDigits } from "../digits/split.ts";
import { loadSplit } from "../digits/training.ts";
import type { Cell } from "../record.ts";
import { roughness } from "../statistics.ts";
import type { Replica, StudyTraining } from "../study.ts";
import { IID, type Process, processName, RBF, type ScalingRegimesConfig } from "./config.ts";
import { WeightDraws } from "./weights.ts";

type Row = Record<string, Cell>;

/** One training with what its rows are named by. */
export interface Case extends StudyTraining {
  readonly process: Process;
  readonly beta: number;
  readonly depth: number;
  /** Of the draw at initialisation, of the training on the digits. */
  readonly seed: number;
  /** Learning rate; null for a draw that is only looked at. */
  readonly rate: number | null;
}

function shapeOf(width: number, depth: number, beta: number, inputs: number, outputs: number): DenseShape {
  return { inputs, width, hidden: width, outputs, depth, activation: "relu", widthFactors: "code", beta };
}

const stem = (process: Process) => processName(process).replaceAll(/[^a-z0-9.]+/gi, "-");

/** The maps and regimes at initialisation: A = I, one linear output. */
export function initialCases(config: ScalingRegimesConfig): Case[] {
  const { model, width, depths, draws, rows, iidBetas, rbfBetas, kernelLength, fractional } = config;
  const source = new WeightDraws(width, Math.max(depths.at(-1)!, fractional.depths.at(-1)!), kernelLength);
  const kinds = [
    { process: IID, betas: iidBetas, depths, draws, rows },
    { process: RBF, betas: rbfBetas, depths, draws, rows },
    ...fractional.hursts.map((hurst) => ({ ...fractional, process: { kind: "fbm", hurst } as Process })),
  ];
  const A = new Float32Array(width * width);
  for (let i = 0; i < width; i++) A[i * width + i] = 1;
  return kinds.flatMap((kind) => {
    const { process } = kind;
    return Array.from({ length: kind.draws }, (_, seed) => {
      const B = new RandomStream(seed, "B").fillNormal(new Float32Array(width), 0, 1 / Math.sqrt(width));
      const data = {
        inputs: new RandomStream(seed, "X").fillNormal(new Float32Array(kind.rows * width)),
        targets: new Float32Array(kind.rows),
        rows: kind.rows,
      };
      return kind.depths.flatMap((depth) =>
        kind.betas.map(
          (beta): Case => ({
            id: `initial-${stem(process)}-draw${seed}-L${depth}-b${beta}`,
            label: `${processName(process)} L=${depth} β=${beta} draw ${seed}`,
            spec: {
              shape: shapeOf(width, depth, beta, width, 1),
              weights: source.weights(process, model, depth, seed, { A, B }),
              data,
              loss: "squared-norm",
              flow: { rate: 1, stop: { steps: 0 } },
            },
            recordSteps: [0],
            process,
            beta,
            depth,
            seed,
            rate: null,
          }),
        ),
      );
    }).flat();
  });
}

/** Digits of one seed: centred on the training rows, ‖x‖ = √64. */
export function digitsOf({ trained }: ScalingRegimesConfig, seed: number): Promise<SplitDigits> {
  return loadSplit({ trainRows: trained.trainRows, testRows: trained.testRows, width: PIXELS }, seed);
}

/** Rows of zeros, for planning without data. */
export function blankSplit({ trained }: ScalingRegimesConfig): SplitDigits {
  const blank = (rows: number): DenseData => ({
    inputs: new Float32Array(rows * PIXELS),
    targets: new Uint32Array(rows),
    rows,
  });
  return { train: blank(trained.trainRows), test: blank(trained.testRows) };
}

/** Processes and β whose weights after training the paper draws over depth (its figure 8). */
export const DRAWN: readonly { readonly process: Process; readonly beta: number }[] = [
  { process: RBF, beta: 1 },
  { process: IID, beta: 1 },
  { process: IID, beta: 0.5 },
];

/** Trainings of res-1 by Adam: A, V and B move, W = I does not. */
export function trainedCases(config: ScalingRegimesConfig, splits: readonly SplitDigits[]): Case[] {
  const { width, depth, betas, hursts, rates, steps } = config.trained;
  const source = new WeightDraws(width, depth, config.kernelLength);
  const grid = [
    ...DRAWN,
    ...hursts.flatMap((hurst) => betas.map((beta) => ({ process: { kind: "fbm", hurst } as Process, beta }))),
  ];
  return splits.flatMap(({ train, test }, seed) => {
    const A = new RandomStream(seed, "A").fillNormal(new Float32Array(width * PIXELS), 0, 1 / Math.sqrt(PIXELS));
    const B = new RandomStream(seed, "B").fillNormal(new Float32Array(CLASSES * width), 0, 1 / Math.sqrt(width));
    return grid.flatMap(({ process, beta }) =>
      rates.map(
        (rate): Case => ({
          id: `trained-${stem(process)}-seed${seed}-b${beta}-rate${rate}`,
          label: `${processName(process)} β=${beta} rate ${rate} seed ${seed}, trained`,
          spec: {
            shape: shapeOf(width, depth, beta, PIXELS, CLASSES),
            weights: source.weights(process, "res-1", depth, seed, { A, B }),
            data: train,
            loss: "cross-entropy",
            flow: { rate, optimiser: "adam", layerFactors: { V: 1, W: 0 }, stop: { steps } },
          },
          recordSteps: [0, steps],
          heldOut: test,
          process,
          beta,
          depth,
          seed,
          rate,
        }),
      ),
    );
  });
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** ‖h_L − h_0‖/‖h_0‖ and ‖p_0 − p_L‖/‖p_L‖, geometric means over rows; null beyond the range of float32. */
export function ratios(
  ends: Readonly<Record<keyof StackEnds, ArrayLike<number>>>,
  width: number,
): { forward: number | null; gradient: number | null } {
  const ratio = (changed: ArrayLike<number>, start: ArrayLike<number>) => {
    const rows = start.length / width;
    let logs = 0;
    for (let r = 0; r < rows; r++) {
      let difference = 0;
      let norm = 0;
      for (let i = r * width; i < (r + 1) * width; i++) {
        difference += (changed[i]! - start[i]!) ** 2;
        norm += start[i]! ** 2;
      }
      logs += Math.log(difference / norm) / 2 / rows;
    }
    return finite(Math.exp(logs));
  };
  return {
    forward: ratio(ends.lastState, ends.firstState),
    gradient: ratio(ends.firstAdjoint, ends.lastAdjoint),
  };
}

export async function record(one: Case, replica: Replica, step: number): Promise<Row[]> {
  const { process, beta, depth, seed, rate } = one;
  const name = { process: processName(process), hurst: process.hurst, beta, depth };
  const found = ratios(await replica.ends(), one.spec.shape.width);
  if (rate === null) return [{ ...name, draw: seed, ...found }];
  const { loss, correct } = await replica.loss();
  const held = await replica.heldOut();
  const { V } = replica.initial();
  const change = await replica.change();
  return [
    {
      ...name,
      seed,
      rate,
      step,
      loss: finite(loss),
      accuracy: correct / one.spec.data.rows,
      testLoss: finite(held.loss),
      testAccuracy: held.correct / one.heldOut!.rows,
      ...found,
      roughness: roughness(
        V.map((value, i) => value + change.V[i]!),
        depth,
      ),
    },
  ];
}
