import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CONV_PARAMETERS, type ConvParameter, type ConvShape, convParameterShapes } from "../../src/config/conv.ts";
import { DataError } from "../../src/config/errors.ts";
import { scheduleFactor } from "../../src/config/flow.ts";
import { IMAGE_DATASETS } from "../../src/data/image_datasets.ts";
import { type CifarConfig, cifar } from "../../src/experiment/cifar/cifar.ts";
import { accuracyRows } from "../../src/experiment/cifar/claims.ts";
import { type Collected, smoothnessOf } from "../../src/experiment/cifar/training.ts";
import type { CellStore, ExperimentResult } from "../../src/experiment/experiment.ts";
import { type Checkpoint, decodeSafetensors, encodeSafetensors } from "../../src/flow/checkpoint.ts";
import { restoreConv } from "../../src/flow/conv_checkpoint.ts";
import { initialConvWeights } from "../../src/model/conv_initialisation.ts";
import { ConvStack } from "../../src/model/conv_stack.ts";
import { RandomStream } from "../../src/model/random.ts";
import { DEFAULT_PROFILE, SOFTWARE_PROFILE } from "../../src/plan/device_profile.ts";
import { type ConvWeights, convForward, emptyConvWeights, initialRunning } from "../../src/reference/conv.ts";
import { relativeError } from "../support/compare.ts";
import { openTestDevice } from "../support/device.ts";
import { EPSILON } from "../support/kernel.ts";

const gpu = await openTestDevice();

/** Seven steps an epoch and three of evaluation, the last of each with a batch that is not full. */
const tiny: CifarConfig = {
  ...cifar.presets.smoke,
  trainImages: 26,
  testImages: 10,
  depth: 3,
  batch: 4,
  testBatch: 4,
  epochs: 2,
};
const one: CifarConfig = { ...tiny, activations: ["gelu"], initialisations: ["tied"], seeds: [3] };

/** Cells in memory, through the bytes that a store on disk would keep. */
function memoryStore(checkpointSeconds = 1e9) {
  const results = new Map<string, string>();
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const checkpoint = (id: string) => {
    const bytes = files.get(id);
    return bytes && decodeSafetensors(bytes, id);
  };
  const store: CellStore = {
    checkpointSeconds,
    load: async (id) => {
      const text = results.get(id);
      return text === undefined ? undefined : (JSON.parse(text) as unknown);
    },
    save: async (id, result) => {
      results.set(id, JSON.stringify(result));
      files.delete(id);
    },
    loadCheckpoint: async (id) => checkpoint(id),
    saveCheckpoint: async (id, saved: Checkpoint) => {
      files.set(id, encodeSafetensors(saved));
    },
  };
  return { store, results, files, checkpoint };
}

interface RunOptions {
  readonly cells?: CellStore;
  readonly check?: boolean;
  /** Aborts once this many layer-steps are done. */
  readonly abortAt?: number;
}

async function run(config: CifarConfig, { cells = memoryStore().store, check = false, abortAt }: RunOptions = {}) {
  const abort = new AbortController();
  let last = { done: 0, total: 0 };
  const progress = (at: { readonly done: number; readonly total: number }) => {
    last = at;
    if (abortAt !== undefined && at.done >= abortAt) abort.abort();
  };
  const { signal } = abort;
  const result = await cifar.run({ gpu, config, preset: "smoke", signal, cells, check, progress });
  return { result, last };
}

function rowsOf(result: ExperimentResult, name: string) {
  const table = result.tables.find((each) => each.name === name);
  if (!table) throw new Error(`no table ${name}`);
  return table.rows;
}

const kept = memoryStore();
const complete = run(tiny, { cells: kept.store, check: true });
const keptOne = memoryStore();
const whole = run(one, { cells: keptOne.store });

describe("a run", () => {
  test("finishes, with every row its tables promise", async () => {
    const { result, last } = await complete;
    expect(result.status).toBe("done");
    expect(rowsOf(result, "epochs")).toHaveLength(8 * 3);
    expect(rowsOf(result, "smoothness")).toHaveLength(8 * 2);
    expect(rowsOf(result, "accuracy")).toHaveLength(4);
    expect(rowsOf(result, "weights-by-depth")).toHaveLength(4 * 2 * 2 * 3);
    expect(rowsOf(result, "curves")).toHaveLength(4 * 2);
    for (const { name, columns, rows } of result.tables)
      for (const row of rows)
        expect(Object.keys(row).sort(), name).toEqual(columns.map((column) => column.name).sort());
    expect(last.done).toBe(last.total);
    expect(last.total).toBe(cifar.plan(tiny, SOFTWARE_PROFILE).layerSteps);
  });

  test("records the schedule, losses near those of chance at first, and layers that start equal only when tied", async () => {
    const { result } = await complete;
    for (const row of rowsOf(result, "epochs")) {
      const epoch = row.epoch as number;
      if (epoch === 0) {
        expect(row.train_loss).toBeNull();
        if (row.initialisation === "tied") expect([row.mean_step_1, row.roughness_2]).toEqual([0, null]);
        else expect(row.mean_step_1 as number).toBeGreaterThan(0.5);
        continue;
      }
      expect(row.rate).toBe(tiny.rate * scheduleFactor({ kind: "cosine", total: 2 }, epoch - 1));
      expect(row.train_loss as number).toBeLessThan(2 * Math.log(4));
      expect(row.mean_step_1 as number).toBeGreaterThan(0);
      for (const accuracy of [row.train_accuracy, row.test_accuracy] as number[]) {
        const images = accuracy === row.train_accuracy ? tiny.trainImages : tiny.testImages;
        expect(Math.abs(accuracy * images - Math.round(accuracy * images))).toBeLessThan(1e-9);
      }
    }
  });

  test("seeds are repetitions with other numbers", async () => {
    const { result } = await complete;
    const losses = rowsOf(result, "epochs")
      .filter(({ epoch, activation }) => epoch === 1 && activation === "gelu")
      .map((row) => row.train_loss);
    expect(new Set(losses).size).toBe(4);
  });

  test("has a range in every claim, decides nothing from two seeds and two epochs, and agrees with float64", async () => {
    const { result } = await complete;
    const claims = new Map(result.claims.map((claim) => [claim.id, claim]));
    expect(claims.size).toBe(result.claims.length);
    const ratio = claims.get("gelu-iid-over-tied-conv1")!;
    expect(ratio.verdict).toBe("not decided");
    expect(ratio.note).toMatch(/2 seeds are fewer than 3; 2 epochs are fewer/);
    const smoothness = rowsOf(result, "smoothness").filter(({ case: name, convolution }) => {
      return convolution === 1 && (name === "gelu, iid" || name === "gelu, tied");
    });
    const step = (name: string, seed: number) =>
      smoothness.find((row) => row.case === name && row.seed === seed)!.mean_step as number;
    const product = [0, 1].reduce((all, seed) => (all * step("gelu, iid", seed)) / step("gelu, tied", seed), 1);
    expect(Math.abs(ratio.measured! / Math.sqrt(product) - 1)).toBeLessThan(1e-12);
    expect(claims.get("relu-over-gelu-tied-conv2")!.passes).toEqual({ min: 1 });
    expect(claims.get("check-loss")!.verdict).toBe("holds");
    expect(claims.get("check-change")!.verdict).toBe("holds");
  });

  test("puts the paper's numbers beside those on CIFAR-10 only, with medians and quartiles over seeds", async () => {
    const { result } = await complete;
    for (const row of rowsOf(result, "accuracy")) expect([row.paper_train, row.source]).toEqual([null, null]);
    const epochs = [0.5, 0.7, 0.6, 0.9, 0.8].map((accuracy, seed) => ({
      ...{ activation: "relu", initialisation: "tied", seed, epoch: tiny.epochs },
      ...{ train_accuracy: accuracy, test_accuracy: accuracy / 2 },
    }));
    const collected: Collected = { epochs, entries: [], finished: new Set(), status: "done" };
    const [row] = accuracyRows({ ...tiny, dataset: "cifar-10", seeds: [0, 1, 2, 3, 4] }, collected);
    expect([row!.train_lower, row!.train_median, row!.train_upper, row!.test_median]).toEqual([60, 70, 80, 35]);
    expect([row!.paper_train, row!.paper_test, row!.paper_smooth]).toEqual([97.4, 88.1, false]);
    expect(row!.source).toMatch(/table 1/);
    expect(result.notes.join(" ")).toMatch(/Reduced/);
  });

  test("draws only from columns that exist, and from rows that are there", async () => {
    const { result } = await complete;
    for (const figure of result.figures) {
      const rows = rowsOf(result, figure.table).filter((row) =>
        Object.entries(figure.where ?? {}).every(([key, value]) => row[key] === value),
      );
      expect(rows.length, figure.name).toBeGreaterThan(0);
      for (const axis of [figure.x, figure.y, figure.color, figure.columnFacet, figure.rowFacet])
        if (axis) expect(rows[0], figure.name).toHaveProperty(axis.field);
    }
  });
});

describe("stopped and resumed", () => {
  // Fourteen training steps of three layers.
  test.each([
    ["in the middle of an epoch", 9, 0],
    ["at the end of an epoch", 21, 0],
    ["in the second epoch", 33, 1],
  ])("%s, a training continues to the same bits", async (_, abortAt, epoch) => {
    const { store, checkpoint, results } = memoryStore();
    const stopped = await run(one, { cells: store, abortAt });
    expect(stopped.result.status).toBe("cancelled");
    expect(stopped.result.statusDetail).toMatch(/epoch/);
    expect(results.size).toBe(0);
    const saved = checkpoint("gelu-tied-seed3")!;
    expect((JSON.parse(saved.metadata.position!) as { epoch: number }).epoch).toBe(epoch);
    const resumed = await run(one, { cells: store });
    expect(resumed.result.tables).toEqual((await whole).result.tables);
    expect(resumed.result.claims).toEqual((await whole).result.claims);
    expect(checkpoint("gelu-tied-seed3-trained")).toEqual(keptOne.checkpoint("gelu-tied-seed3-trained"));
  });

  test("checkpoints within an epoch change nothing", async () => {
    const { result } = await run(one, { cells: memoryStore(0).store });
    expect(result.tables).toEqual((await whole).result.tables);
  });

  test("finished trainings are loaded", async () => {
    const { result } = await complete;
    const again = await run(tiny, { cells: kept.store });
    expect(again.result.tables).toEqual(result.tables);
    expect(again.last.done).toBe(again.last.total);
  });

  test("a diverging training is a status", async () => {
    const { result } = await run({ ...one, rate: 1e30 });
    expect(result.status).toBe("diverged");
    expect(result.statusDetail).toMatch(/loss was not finite/);
    expect(result.claims.find(({ id }) => id === "loss-falls")!.verdict).toBe("not decided");
  });
});

describe("an exported network", () => {
  test("has PyTorch's names and shapes, and gives its logits in float64 from them", async () => {
    await complete;
    const { tensors, metadata } = kept.checkpoint("gelu-iid-seed1-trained")!;
    const shape = JSON.parse(metadata.shape!) as ConvShape;
    const outside = ["conv1.weight", "bn1.weight", "bn1.bias", "linear.weight", "linear.bias"];
    const inLayer = ["conv1", "bn1", "conv2", "bn2"].flatMap((part) => [`${part}.weight`, `${part}.bias`]);
    const norms = ["running_mean", "running_var"];
    const expected = [
      ...outside,
      ...norms.map((name) => `bn1.${name}`),
      ...[0, 1, 2].flatMap((k) =>
        [...inLayer, ...["bn1", "bn2"].flatMap((norm) => norms.map((name) => `${norm}.${name}`))].map(
          (name) => `residual_layers.${k}.${name}`,
        ),
      ),
      "example.images",
      "example.logits",
    ];
    expect(Object.keys(tensors).sort()).toEqual(expected.sort());
    const sizes = convParameterShapes(shape);
    expect(tensors["residual_layers.2.conv2.weight"]!.shape).toEqual(sizes.conv2.slice(1));
    expect(tensors["linear.weight"]!.shape).toEqual(sizes.head);

    const weights: ConvWeights = emptyConvWeights(shape);
    const stacked = (name: string) => [0, 1, 2].flatMap((k) => [...tensors[`residual_layers.${k}.${name}`]!.data]);
    const single: Partial<Record<ConvParameter, number>> = {
      stem: 0,
      stemScale: 1,
      stemShift: 2,
      head: 3,
      headBias: 4,
    };
    for (const name of CONV_PARAMETERS) {
      const at = single[name];
      const layered = { conv1: 0, bias1: 1, scale1: 2, shift1: 3, conv2: 4, bias2: 5, scale2: 6, shift2: 7 };
      const from =
        at === undefined ? stacked(inLayer[layered[name as keyof typeof layered]]!) : tensors[outside[at]!]!.data;
      weights[name].set(from);
    }
    const running = initialRunning(shape);
    for (const [moment, name] of [
      ["mean", "running_mean"],
      ["variance", "running_var"],
    ] as const) {
      running.stem[moment].set(tensors[`bn1.${name}`]!.data);
      running.norm1[moment].set(stacked(`bn1.${name}`));
      running.norm2[moment].set(stacked(`bn2.${name}`));
    }
    const images = tensors["example.images"]!;
    const logits = convForward(shape, weights, images.data, images.shape[0]!, running).logits;
    // Roundings on the longest chain, as in the tests of the network.
    const chain = (2 * shape.depth + 3) * (9 * shape.channels + 20);
    expect(relativeError(tensors["example.logits"]!.data, logits)).toBeLessThan(EPSILON * chain);
  });

  test("is no checkpoint: what is missing is named", async () => {
    await complete;
    const saved = kept.checkpoint("gelu-iid-seed1-trained")!;
    const shape = JSON.parse(saved.metadata.shape!) as ConvShape;
    const stack = ConvStack.create(gpu, shape, initialConvWeights({ shape, seed: 1, initialisation: "iid" }));
    expect(() => restoreConv(stack, saved, "file")).toThrow(/file: has no tensor training.change/);
    const short = { shape: [1], data: new Float32Array(1) };
    const tensors = { "training.change": short, "training.momentum": short, "training.running": short };
    expect(() => restoreConv(stack, { tensors, metadata: {} }, "file")).toThrow(DataError);
    stack.destroy();
  });
});

test("the smoothness of layers on a straight line: step, step over norm, and 6 / (L (L + 1))", () => {
  const depth = 5;
  const line = Float64Array.from({ length: 2 * depth }, (_, i) => (Math.floor(i / 2) + 1) * (i % 2 === 0 ? 3 : 4));
  const { meanStep, relativeStep, roughness } = smoothnessOf(line, depth);
  expect(meanStep).toBeCloseTo(5, 12);
  expect(relativeStep).toBeCloseTo(1 / 3, 12);
  expect(roughness).toBeCloseTo(6 / (depth * (depth + 1)), 12);
});

describe("data, plan and schema", () => {
  test("missing files are named, with where they are published", async () => {
    const wanted: CifarConfig = { ...one, dataset: "cifar-10" };
    await expect(run(wanted)).rejects.toThrow(/^data: must be.*--data.*data_batch_1\.bin.*https:/);
    const folder = mkdtempSync(join(tmpdir(), "cifar-"));
    try {
      await expect(run({ ...wanted, data: folder })).rejects.toThrow(/has no data_batch_1\.bin.*https:/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  /** Files of published size: random images in the first records, zeros, which take no room on a disk, in the others. */
  function writeFiles(folder: string, dataset: "mnist" | "cifar-100"): void {
    const draw = new RandomStream(1, dataset);
    const random = (length: number, below: number) =>
      Uint8Array.from({ length }, (_, i) => Math.floor(below * draw.uniform(i)));
    const write = (name: string, head: readonly number[], body: Uint8Array, bytes: number) => {
      const path = join(folder, name);
      writeFileSync(path, Uint8Array.from([...head, ...body]));
      truncateSync(path, head.length + bytes);
    };
    const { files } = IMAGE_DATASETS[dataset];
    for (const { names, count } of [files.train, files.test]) {
      const sizes = [count, 28, 28].map((size) => [0, 0, size >> 8, size & 255]);
      if (dataset === "mnist") {
        write(names[0]!, [0, 0, 8, 3, ...sizes.flat()], random(26 * 784, 256), count * 784);
        write(names[1]!, [0, 0, 8, 1, ...sizes[0]!], random(26, 10), count);
      } else {
        const records = Array.from({ length: 26 }, (_, i) => [i % 20, (7 * i) % 100, ...random(3072, 256)]);
        write(names[0]!, [], Uint8Array.from(records.flat()), count * 3074);
      }
    }
  }

  test.each([
    ["mnist", "none", 1, 28, 10],
    ["cifar-100", "batch", 3, 32, 100],
  ] as const)(
    "%s trains from its files, %s in the layers",
    async (dataset, normalisation, channelsIn, side, classes) => {
      const folder = mkdtempSync(join(tmpdir(), "images-"));
      try {
        writeFiles(folder, dataset);
        const config: CifarConfig = { ...one, dataset, normalisation, data: folder, trainImages: 8, epochs: 1 };
        const { store, checkpoint } = memoryStore();
        const { result } = await run(config, { cells: store });
        expect(result.status).toBe("done");
        const [, last] = rowsOf(result, "epochs");
        expect(Math.abs((last!.train_loss as number) - Math.log(classes))).toBeLessThan(1);
        const { tensors, metadata } = checkpoint("gelu-tied-seed3-trained")!;
        const shape = JSON.parse(metadata.shape!) as ConvShape;
        expect([shape.channelsIn, shape.height, shape.width, shape.classes]).toEqual([channelsIn, side, side, classes]);
        expect(tensors["example.images"]!.shape).toEqual([4, channelsIn, side, side]);
        expect(result.notes[0]).toContain(IMAGE_DATASETS[dataset].title);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  test("every preset is valid and plans within the smallest device", () => {
    expect(Object.keys(cifar.presets)).toEqual(["paper", "gpu-hour", "reduced", "smoke"]);
    for (const preset of Object.values(cifar.presets)) {
      expect(cifar.schema.safeParse(preset).success).toBe(true);
      const plan = cifar.plan(preset, DEFAULT_PROFILE);
      expect(plan.trainings).toHaveLength(preset.activations.length * 2);
      expect(plan.peakBytes).toBeGreaterThan(0);
      const steps = plan.trainings.reduce((sum, { count, steps: each }) => sum + count * each, 0);
      expect(plan.layerSteps).toBe(steps * preset.depth);
    }
    expect(cifar.schema.safeParse({ ...tiny, seeds: [1, 1] }).success).toBe(false);
  });

  test("a run gives back all it took from the device, and takes what was planned", async () => {
    const before = gpu.bytesInUse;
    gpu.peakBytes = before;
    await run(one);
    expect(gpu.bytesInUse).toBe(before);
    const { peakBytes } = cifar.plan(one, gpu.profile);
    // Besides: the parameters of dispatches, and tensors of 16 bytes.
    const dispatches = 2 ** 20;
    expect(gpu.peakBytes - before).toBeGreaterThan(peakBytes);
    expect(gpu.peakBytes - before).toBeLessThan(peakBytes + dispatches + 1024);
  });
});
