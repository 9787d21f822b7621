/** The trainings of `cifar`: one cell each, epoch by epoch, and what they leave. */
import { DataError } from "../../config/errors.ts";
import { scheduleFactor } from "../../config/flow.ts";
import { checkpointConv, convStateDict, restoreConv } from "../../flow/conv_checkpoint.ts";
import type { Gpu, Tensor } from "../../gpu/device.ts";
import { Recorder } from "../../gpu/recorder.ts";
import { initialConvWeights } from "../../model/conv_initialisation.ts";
import { ConvPass } from "../../model/conv_pass.ts";
import { ConvStack } from "../../model/conv_stack.ts";
import type { ImageSet } from "../../model/image_set.ts";
import type { RunStatus } from "../record.ts";
import { roughness } from "../statistics.ts";
import type { CellRecord } from "../training.ts";
import {
  type Case,
  type CifarConfig,
  CONVOLUTIONS,
  type Context,
  type Convolution,
  cellId,
  labelOf,
  type Row,
  shapeOf,
  stepsPerEpoch,
} from "./config.ts";
import type { DeviceImages } from "./images.ts";

/** Steps whose loss has not come back yet: the device works on one while the host records the next. */
const IN_FLIGHT = 2;
/** Images that go into an exported network with their logits, for whoever loads it to compare. */
const EXAMPLES = 8;

/** Sums over the batches of an epoch that are done. */
interface Sums {
  /** Of the mean loss of each batch. */
  readonly loss: number;
  readonly correct: number;
  readonly images: number;
  readonly batches: number;
}
const NOTHING: Sums = { loss: 0, correct: 0, images: 0, batches: 0 };

/** Where a training stands, beside the numbers on the device: text in a checkpoint. JSON gives back every bit of a finite number. */
interface Position {
  readonly epoch: number;
  readonly sums: Sums;
  readonly rows: readonly Row[];
}

class CifarTraining {
  readonly stack: ConvStack;
  readonly pass: ConvPass;
  readonly #gpu: Gpu;
  readonly #evaluation: ConvPass;
  readonly #recorder: Recorder;
  readonly #losses: Tensor;
  readonly #start: Float32Array<ArrayBuffer>;

  private constructor(
    gpu: Gpu,
    parts: { stack: ConvStack; pass: ConvPass; evaluation: ConvPass; start: Float32Array<ArrayBuffer> },
  ) {
    this.#gpu = gpu;
    this.stack = parts.stack;
    this.pass = parts.pass;
    this.#evaluation = parts.evaluation;
    this.#start = parts.start;
    this.#recorder = new Recorder(gpu);
    this.#losses = gpu.tensor("loss of a batch", 16);
  }

  static async create(gpu: Gpu, config: CifarConfig, one: Case): Promise<CifarTraining> {
    const { initialisation, seed, activation } = one;
    const shape = shapeOf(config, activation);
    const start = initialConvWeights({ shape, seed, initialisation });
    const stack = ConvStack.create(gpu, shape, start);
    const pass = await ConvPass.create(stack, {
      images: Math.min(config.batch, config.trainImages),
      training: true,
    });
    const images = Math.min(config.testBatch, config.testImages);
    const evaluation = await ConvPass.create(stack, { images, training: false });
    return new CifarTraining(gpu, { stack, pass, evaluation, start });
  }

  /**
   * Takes batches of a set from where `sums` ends to the last one, with `sgd` as training steps, without as evaluations.
   * Stops early when asked, at least one batch further, or at a loss that is not finite.
   */
  async sweep(
    set: ImageSet,
    sums: Sums,
    options: {
      readonly sgd?: Parameters<ConvPass["update"]>[1];
      readonly stop: () => boolean;
      readonly onBatch?: (loss: number) => void;
    },
  ): Promise<{ readonly sums: Sums; readonly end: "done" | "stopped" | "diverged" }> {
    const { sgd, stop, onBatch } = options;
    const pass = sgd ? this.pass : this.#evaluation;
    const pending: { readonly count: number; readonly read: Promise<ArrayBuffer> }[] = [];
    let at = sums;
    let first = sums.images;
    const settle = async (): Promise<boolean> => {
      const { count, read } = pending.shift()!;
      const [loss, correct] = new Float32Array(await read) as unknown as [number, number];
      if (!Number.isFinite(loss)) return false;
      const { images, batches } = at;
      at = { loss: at.loss + loss, correct: at.correct + correct, images: images + count, batches: batches + 1 };
      onBatch?.(loss);
      return true;
    };
    do {
      const count = Math.min(pass.plan.images, set.count - first);
      set.encodeBatch(this.#recorder, pass, first, count);
      pass.forward(this.#recorder, sgd ? "training" : "evaluation");
      pass.encodeLoss(this.#recorder, this.#losses, 0);
      if (sgd) {
        pass.backward(this.#recorder);
        pass.update(this.#recorder, sgd);
      }
      const read = this.#recorder.read(this.#losses, 0, 8);
      // A lost device refuses them all; only the first is waited for.
      read.catch(() => undefined);
      pending.push({ count, read });
      this.#recorder.submit();
      first += count;
      if (pending.length >= IN_FLIGHT && !(await settle())) return { sums: at, end: "diverged" };
    } while (first < set.count && !stop());
    while (pending.length > 0) if (!(await settle())) return { sums: at, end: "diverged" };
    return { sums: at, end: first < set.count ? "stopped" : "done" };
  }

  /** Weights of a convolution, [L, elements] in float64: initial value and change keep the digits that their float32 sum rounds away. */
  async convolutions(): Promise<Record<Convolution, Float64Array>> {
    const change = await this.#gpu.read(this.stack.change);
    const of = (name: "conv1" | "conv2") => {
      const from = this.stack.part(this.#start, name);
      const moved = this.stack.part(change, name);
      return Float64Array.from(from, (value, i) => value + moved[i]!);
    };
    return { 1: of("conv1"), 2: of("conv2") };
  }

  /** The network for other programs, with the logits of some test images in evaluation. */
  async exported(set: ImageSet) {
    const { shape } = this.stack;
    const pass = this.#evaluation;
    const count = Math.min(EXAMPLES, pass.plan.images);
    set.encodeBatch(this.#recorder, pass, 0, count);
    pass.forward(this.#recorder, "evaluation");
    this.#recorder.submit();
    const { channelsIn, height, width, classes } = shape;
    const pixels = await this.#gpu.read(pass.pixels, 0, 4 * count * channelsIn * height * width);
    const logits = await this.#gpu.read(pass.logits, 0, 4 * count * classes);
    const tensors = {
      ...(await convStateDict(this.stack)),
      "example.images": { shape: [count, channelsIn, height, width], data: pixels },
      "example.logits": { shape: [count, classes], data: logits },
    };
    return { tensors, metadata: { shape: JSON.stringify(shape) } };
  }

  destroy(): void {
    this.#recorder.destroy();
    this.#evaluation.destroy();
    this.pass.destroy();
    this.stack.destroy();
    this.#gpu.release(this.#losses);
  }
}

export interface Smoothness {
  /** mean_k ‖conv_{k+1} − conv_k‖_F. */
  readonly meanStep: number;
  /** That over mean_k ‖conv_k‖_F. */
  readonly relativeStep: number;
  readonly roughness: number | null;
}

/** Of weights [L, elements]. */
export function smoothnessOf(layers: Float64Array, depth: number): Smoothness {
  const elements = layers.length / depth;
  let steps = 0;
  let norms = 0;
  for (let k = 0; k < depth; k++) {
    let squares = 0;
    let differences = 0;
    for (let i = k * elements; i < (k + 1) * elements; i++) {
      squares += layers[i]! ** 2;
      if (k > 0) differences += (layers[i]! - layers[i - elements]!) ** 2;
    }
    norms += Math.sqrt(squares);
    steps += Math.sqrt(differences);
  }
  const meanStep = steps / (depth - 1);
  return { meanStep, relativeStep: meanStep / (norms / depth), roughness: roughness(layers, depth) };
}

/** What all finished and begun trainings left. */
export interface Collected {
  readonly epochs: Row[];
  readonly entries: Row[];
  /** Cells that ran to their last epoch. */
  readonly finished: Set<string>;
  status: RunStatus;
  detail?: string;
}

/**
 * Runs a training to its last epoch. A finished cell is loaded instead of run; a checkpointed one continues bit by bit, also within
 * an epoch. The trained network is kept beside the checkpoints as `ID-trained`.
 */
export async function trainCase(
  context: Context,
  one: Case,
  images: DeviceImages,
  onSteps: (steps: number, at: { readonly epoch: number; readonly loss: number }) => void,
): Promise<CellRecord> {
  const { cells, config, gpu, signal } = context;
  const id = cellId(one);
  const perEpoch = stepsPerEpoch(config);
  const finished = await cells.load(id);
  if (finished) {
    onSteps(config.epochs * perEpoch, { epoch: config.epochs, loss: Number.NaN });
    return finished as CellRecord;
  }
  const training = await CifarTraining.create(gpu, config, one);
  try {
    let at: Position = { epoch: 0, sums: NOTHING, rows: await firstRows(training, config, one) };
    const saved = await cells.loadCheckpoint(id);
    if (saved) {
      const source = `checkpoint of ${id}`;
      restoreConv(training.stack, saved, source);
      at = positionOf(saved.metadata.position, source);
      onSteps(at.epoch * perEpoch + at.sums.batches, { epoch: at.epoch, loss: Number.NaN });
    }
    let lastSave = performance.now();
    const save = async () => {
      const { tensors } = await checkpointConv(training.stack);
      await cells.saveCheckpoint(id, { tensors, metadata: { position: JSON.stringify(at) } });
      lastSave = performance.now();
    };
    const cancelled = async (): Promise<CellRecord> => {
      await save();
      return {
        status: "cancelled",
        detail: `stopped in epoch ${at.epoch + 1}, step ${at.sums.batches}`,
        rows: [...at.rows],
      };
    };
    const diverged = async (detail: string): Promise<CellRecord> => {
      const result: CellRecord = { status: "diverged", detail, rows: [...at.rows] };
      await cells.save(id, result);
      return result;
    };
    while (at.epoch < config.epochs) {
      const { epoch } = at;
      const { momentum, weightDecay } = config;
      const rate = config.rate * scheduleFactor({ kind: "cosine", total: config.epochs }, epoch);
      images.train.startEpoch(one.seed, epoch, config);
      while (at.sums.images < config.trainImages) {
        const { sums, end } = await training.sweep(images.train, at.sums, {
          sgd: { rate, momentum, weightDecay },
          stop: () => signal.aborted || performance.now() - lastSave > 1000 * cells.checkpointSeconds,
          onBatch: (loss) => onSteps(1, { epoch: epoch + 1, loss }),
        });
        at = { ...at, sums };
        if (end === "diverged")
          return await diverged(`the loss was not finite in epoch ${epoch + 1}, step ${sums.batches + 1}`);
        if (end === "stopped" && signal.aborted) return await cancelled();
        if (end === "stopped") await save();
      }
      const test = await training.sweep(images.test, NOTHING, { stop: () => signal.aborted });
      if (test.end === "stopped") return await cancelled();
      if (test.end === "diverged") return await diverged(`the test loss was not finite after epoch ${epoch + 1}`);
      const row = { ...one, epoch: epoch + 1, rate, ...means("train", at.sums), ...means("test", test.sums) };
      at = {
        epoch: epoch + 1,
        sums: NOTHING,
        rows: [...at.rows, { table: "epochs", ...row, ...(await steps(training)) }],
      };
      await save();
    }
    const rows = [...at.rows];
    if (one.seed === config.seeds[0]) rows.push(...(await entryRows(training, one, "after")));
    await cells.saveCheckpoint(`${id}-trained`, await training.exported(images.test));
    const result: CellRecord = { status: "done", rows };
    await cells.save(id, result);
    return result;
  } finally {
    training.destroy();
  }
}

function positionOf(text: string | undefined, source: string): Position {
  if (text === undefined) throw new DataError(source, "has no metadata position");
  return JSON.parse(text) as Position;
}

/** Before training: nothing is known of the losses. */
async function firstRows(training: CifarTraining, config: CifarConfig, one: Case): Promise<Row[]> {
  const unknown = { train_loss: null, train_accuracy: null, test_loss: null, test_accuracy: null };
  const row: Row = { table: "epochs", ...one, epoch: 0, rate: null, ...unknown, ...(await steps(training)) };
  return one.seed === config.seeds[0] ? [row, ...(await entryRows(training, one, "before"))] : [row];
}

/** As the paper's code: the mean over batches of their mean losses, and the share of all images. */
function means(split: "train" | "test", { loss, correct, images, batches }: Sums): Row {
  return { [`${split}_loss`]: loss / batches, [`${split}_accuracy`]: correct / images };
}

async function steps(training: CifarTraining): Promise<Row> {
  const layers = await training.convolutions();
  const row: Row = {};
  for (const i of CONVOLUTIONS) {
    const smoothness = smoothnessOf(layers[i], training.stack.shape.depth);
    row[`mean_step_${i}`] = smoothness.meanStep;
    row[`relative_step_${i}`] = smoothness.relativeStep;
    row[`roughness_${i}`] = smoothness.roughness;
  }
  return row;
}

/** The centre of the first 3 × 3 kernel of every layer. */
async function entryRows(training: CifarTraining, one: Case, state: "before" | "after"): Promise<Row[]> {
  const { depth } = training.stack.shape;
  const layers = await training.convolutions();
  return CONVOLUTIONS.flatMap((convolution) => {
    const elements = layers[convolution].length / depth;
    return Array.from({ length: depth }, (_, k) => ({
      table: "entries",
      ...one,
      convolution,
      layer: k + 1,
      s: (k + 1) / depth,
      state,
      entry: layers[convolution][k * elements + 4]!,
    }));
  });
}

export function collect(collected: Collected, config: CifarConfig, one: Case, record: CellRecord): void {
  for (const { table, ...row } of record.rows) collected[table as "epochs" | "entries"].push(row);
  if (record.status === "done") collected.finished.add(cellId(one));
  else if (collected.status === "done" || record.status === "cancelled") {
    // The first misfortune names the run; later cells still run after a divergence.
    collected.status = record.status;
    collected.detail = `${labelOf(one, config)}: ${record.detail}`;
  }
}
