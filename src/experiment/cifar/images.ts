/** The images of `cifar`: read from files, or made. */
import { PAPER_CONV_TRAINING } from "../../config/conv.ts";
import { ConfigError } from "../../config/errors.ts";
import { expectedFiles, IMAGE_DATASETS } from "../../data/image_datasets.ts";
import type { LabelledImages } from "../../data/labelled_images.ts";
import type { Gpu } from "../../gpu/device.ts";
import { ImageSet } from "../../model/image_set.ts";
import { RandomStream } from "../../model/random.ts";
import { type CifarConfig, SYNTHETIC } from "./config.ts";

export interface Images {
  readonly train: LabelledImages;
  readonly test: LabelledImages;
  /** One a channel, of pixels in 0..1. */
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

/**
 * The first images of both splits. CIFAR-10 is normalised by the constants of the paper's code, other sets by the moments of the
 * training images taken.
 * @throws ConfigError, DataError: which files are missing and where they are published
 */
export async function loadImages(config: CifarConfig): Promise<Images> {
  const all = await readSplits(config);
  const train = firstOf(all.train, config.trainImages, "trainImages");
  const test = firstOf(all.test, config.testImages, "testImages");
  if (config.dataset !== "cifar-10") return { train, test, ...momentsOf(train) };
  const { pixelMean: mean, pixelDeviation: deviation } = PAPER_CONV_TRAINING;
  return { train, test, mean, deviation };
}

async function readSplits(config: CifarConfig): Promise<Pick<Images, "train" | "test">> {
  const { dataset, data, seeds, trainImages, testImages } = config;
  if (dataset === "synthetic")
    return {
      train: syntheticImages(seeds[0]!, "train", trainImages),
      test: syntheticImages(seeds[0]!, "test", testImages),
    };
  if (data === "")
    throw new ConfigError(
      "data",
      `must be the directory of the dataset (--data DIR; --preset smoke needs none). ${expectedFiles(IMAGE_DATASETS[dataset])}`,
    );
  const { readImageDataset } = await import("../../data/image_files.ts");
  return readImageDataset(data, dataset);
}

function firstOf(set: LabelledImages, count: number, field: string): LabelledImages {
  if (count > set.count) throw new ConfigError(field, `must be at most ${set.count}, the images there are`, count);
  const images = set.images.slice(0, (count * set.images.length) / set.count);
  return { ...set, count, images, labels: set.labels.slice(0, count) };
}

function momentsOf({ count, channels, images }: LabelledImages): Pick<Images, "mean" | "deviation"> {
  const pixels = images.length / count / channels;
  const sums = Array.from({ length: channels }, () => ({ first: 0, second: 0 }));
  for (const [i, level] of images.entries()) {
    const sum = sums[Math.floor(i / pixels) % channels]!;
    sum.first += level / 255;
    sum.second += (level / 255) ** 2;
  }
  const mean = sums.map(({ first }) => first / (count * pixels));
  const deviation = sums.map(({ second }, c) => Math.sqrt(second / (count * pixels) - mean[c]! ** 2));
  return { mean, deviation };
}

/** Gratings under noise, in random phase: a class is a direction (rows or columns) and a number of waves. Mirroring keeps the class. */
function syntheticImages(seed: number, split: string, count: number): LabelledImages {
  const { channels, height, width, classes } = SYNTHETIC;
  const draw = new RandomStream(seed, `synthetic ${split}`);
  const images = new Uint8Array(count * channels * height * width);
  const labels = Uint8Array.from({ length: count }, (_, i) => i % classes);
  let at = 0;
  for (const [i, label] of labels.entries()) {
    const phase = 2 * Math.PI * draw.uniform(images.length + i);
    const waves = label < 2 ? 1 : 3;
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const along = label % 2 === 0 ? y / height : x / width;
          const noise = draw.uniform(at) - 0.5;
          images[at++] = Math.round(127.5 + 60 * Math.sin(2 * Math.PI * waves * along + phase) + 120 * noise);
        }
  }
  return { count, channels, height, width, images, labels, classes };
}

/** Both splits on the device. */
export interface DeviceImages {
  readonly train: ImageSet;
  readonly test: ImageSet;
  destroy(): void;
}

export async function uploadImages(gpu: Gpu, { train, test, mean, deviation }: Images): Promise<DeviceImages> {
  const upload = ({ images, ...set }: LabelledImages) =>
    ImageSet.create(gpu, { ...set, levels: images, mean, deviation });
  const sets = { train: await upload(train), test: await upload(test) };
  return {
    ...sets,
    destroy() {
      sets.train.destroy();
      sets.test.destroy();
    },
  };
}
