/** Published sets of labelled images: which files they are, where they are published, and how they become arrays. Browser-safe. */
import { DataError } from "../config/errors.ts";
import { decodeCifar } from "./cifar.ts";
import { gunzip, isGzip } from "./gzip.ts";
import { decodeIdxImages } from "./idx.ts";
import type { LabelledImages } from "./labelled_images.ts";

export const IMAGE_DATASET_NAMES = ["cifar-10", "cifar-100", "mnist", "fashion-mnist"] as const;
export type ImageDatasetName = (typeof IMAGE_DATASET_NAMES)[number];

export const SPLITS = ["train", "test"] as const;
export type SplitName = (typeof SPLITS)[number];

/** Files of one split; `idx`: images, then labels. */
export interface SplitFiles {
  readonly names: readonly string[];
  /** Images in each file (`cifar-10`, `cifar-100`) or in the pair (`idx`). */
  readonly count: number;
}

export interface ImageDataset {
  readonly title: string;
  readonly format: "cifar-10" | "cifar-100" | "idx";
  readonly height: number;
  readonly width: number;
  readonly classes: number;
  readonly files: Readonly<Record<SplitName, SplitFiles>>;
  /** The page of its authors. */
  readonly home: string;
  /** What to fetch there, and the folder it unpacks to where it is one archive. */
  readonly download: string;
  readonly folder?: string;
}

const IDX: Pick<ImageDataset, "format" | "height" | "width" | "classes" | "files"> = {
  format: "idx",
  height: 28,
  width: 28,
  classes: 10,
  files: {
    train: { names: ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"], count: 60_000 },
    test: { names: ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"], count: 10_000 },
  },
};

export const IMAGE_DATASETS: Readonly<Record<ImageDatasetName, ImageDataset>> = {
  "cifar-10": {
    title: "CIFAR-10 (binary version)",
    format: "cifar-10",
    height: 32,
    width: 32,
    classes: 10,
    files: {
      train: { names: [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`), count: 10_000 },
      test: { names: ["test_batch.bin"], count: 10_000 },
    },
    home: "https://www.cs.toronto.edu/~kriz/cifar.html",
    download: "cifar-10-binary.tar.gz",
    folder: "cifar-10-batches-bin",
  },
  "cifar-100": {
    title: "CIFAR-100 (binary version)",
    format: "cifar-100",
    height: 32,
    width: 32,
    classes: 100,
    files: {
      train: { names: ["train.bin"], count: 50_000 },
      test: { names: ["test.bin"], count: 10_000 },
    },
    home: "https://www.cs.toronto.edu/~kriz/cifar.html",
    download: "cifar-100-binary.tar.gz",
    folder: "cifar-100-binary",
  },
  mnist: {
    ...IDX,
    title: "MNIST",
    home: "http://yann.lecun.com/exdb/mnist/",
    download: "the four .gz files",
  },
  "fashion-mnist": {
    ...IDX,
    title: "Fashion-MNIST",
    home: "https://github.com/zalandoresearch/fashion-mnist",
    download: "the four .gz files",
  },
};

/** Names of all files of a dataset, without `.gz`. */
export function fileNames({ files }: ImageDataset): string[] {
  return SPLITS.flatMap((split) => files[split].names);
}

/** Which files are expected, and where they are published: for messages and help. */
export function expectedFiles(dataset: ImageDataset): string {
  const { title, home, download, folder } = dataset;
  const unpacked = folder === undefined ? "" : `, which unpacks to ${folder}/`;
  return `${title} is the files ${fileNames(dataset).join(", ")} (each may be gzipped, then with .gz at the end); published at ${home} (${download}${unpacked})`;
}

/** A file's bytes, gzipped or not, and its path for errors. */
export interface FileBytes {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly file: string;
}

/**
 * One split of a dataset from the bytes of its files, in the order of the files.
 * @param read gives a file by its published name (without `.gz`)
 * @throws DataError: a file is malformed, or has not the number or size of images that the dataset has
 */
export async function decodeSplit(
  dataset: ImageDataset,
  split: SplitName,
  read: (name: string) => Promise<FileBytes>,
): Promise<LabelledImages> {
  const { names, count } = dataset.files[split];
  const unpacked = async (name: string): Promise<FileBytes> => {
    const { bytes, file } = await read(name);
    return { bytes: isGzip(bytes) ? await gunzip(bytes, file) : bytes, file };
  };
  if (dataset.format === "idx") {
    const [images, labels] = [await unpacked(names[0]), await unpacked(names[1])];
    const set = decodeIdxImages(images, labels, dataset.classes);
    checkSizes(dataset, count, set, images.file);
    return set;
  }
  const parts: LabelledImages[] = [];
  for (const name of names) {
    const { bytes, file } = await unpacked(name);
    const part = decodeCifar(bytes, file, dataset.format);
    checkSizes(dataset, count, part, file);
    parts.push(part);
  }
  return joined(parts);
}

function checkSizes({ title, height, width }: ImageDataset, count: number, set: LabelledImages, file: string): void {
  if (set.count !== count) throw new DataError(file, `must hold the ${count} images of ${title}, got ${set.count}`);
  if (set.height !== height || set.width !== width)
    throw new DataError(
      file,
      `must hold images of ${height} x ${width} pixels as ${title} has, got ${set.height} x ${set.width}`,
    );
}

function joined(parts: readonly LabelledImages[]): LabelledImages {
  if (parts.length === 1) return parts[0];
  const { channels, height, width, classes } = parts[0];
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const images = new Uint8Array(count * channels * height * width);
  const labels = new Uint8Array(count);
  let at = 0;
  for (const part of parts) {
    images.set(part.images, at * channels * height * width);
    labels.set(part.labels, at);
    at += part.count;
  }
  return { count, channels, height, width, images, labels, classes };
}
