import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DataError } from "../../src/config/errors.ts";
import { decodeCifar } from "../../src/data/cifar.ts";
import { gunzip, isGzip } from "../../src/data/gzip.ts";
import { decodeIdx, decodeIdxImages } from "../../src/data/idx.ts";
import {
  decodeSplit,
  expectedFiles,
  IMAGE_DATASET_NAMES,
  IMAGE_DATASETS,
  type ImageDataset,
} from "../../src/data/image_datasets.ts";
import { readImageDataset } from "../../src/data/image_files.ts";

const PIXELS = 3072;

/** Pixel j of image i of a file; no two images are alike. */
const pixel = (file: number, i: number, j: number) => (41 * file + 7 * i + j) % 256;

/** Records as the page of the dataset describes them: label bytes, then red, green and blue planes. */
function cifar(labels: readonly (readonly number[])[], file = 0): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    labels.flatMap((label, i) => [...label, ...Array.from({ length: PIXELS }, (_, j) => pixel(file, i, j))]),
  );
}

/** An IDX file as its description has it, built without the code under test. */
function idx(shape: readonly number[], data: readonly number[], type = 8): Uint8Array<ArrayBuffer> {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt32BE(type * 256 + shape.length);
  for (const [i, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * i);
  return Uint8Array.from([...header, ...data]);
}

const zeros = (length: number) => new Array<number>(length).fill(0);

describe("CIFAR", () => {
  it("reads labels and planes of CIFAR-10", () => {
    const set = decodeCifar(cifar([[3], [0], [9]]), "a.bin", "cifar-10");
    expect(set).toMatchObject({ count: 3, channels: 3, height: 32, width: 32, classes: 10 });
    expect([...set.labels]).toEqual([3, 0, 9]);
    expect(set.images.length).toBe(3 * PIXELS);
    for (const [i, j] of [
      [0, 0],
      [1, 1023],
      [2, 1024],
      [2, 3071],
    ])
      expect(set.images[i * PIXELS + j]).toBe(pixel(0, i, j));
  });

  it("takes the fine labels of CIFAR-100", () => {
    const file = cifar([
      [19, 99],
      [0, 20],
    ]);
    const set = decodeCifar(file, "a.bin", "cifar-100");
    expect(set).toMatchObject({ count: 2, classes: 100 });
    expect([...set.labels]).toEqual([99, 20]);
    expect(set.images[PIXELS]).toBe(pixel(0, 1, 0));
  });

  it.each([
    ["a file cut short", cifar([[1], [2]]).subarray(0, 6000), "whole records of 3073 bytes", "got 6000 bytes"],
    ["an empty file", new Uint8Array(), "whole records of 3073 bytes", "got 0 bytes"],
    ["CIFAR-100 in the place of CIFAR-10", cifar([[1, 2]]), "whole records of 3073 bytes", "got 3074 bytes"],
    ["a label too large", cifar([[1], [10]]), "label of record 1 must be in 0..9", "got 10"],
  ])("%s is an error that names the file", (_, bytes, rule, value) => {
    const read = () => decodeCifar(bytes, "data_batch_1.bin", "cifar-10");
    expect(read).toThrow(DataError);
    expect(read).toThrow(/^data_batch_1\.bin: /);
    expect(read).toThrow(rule);
    expect(read).toThrow(value);
  });

  it("checks both labels of CIFAR-100", () => {
    expect(() => decodeCifar(cifar([[20, 5]]), "a", "cifar-100")).toThrow(
      "coarse label of record 0 must be in 0..19, got 20",
    );
    expect(() => decodeCifar(cifar([[3, 100]]), "a", "cifar-100")).toThrow(
      "fine label of record 0 must be in 0..99, got 100",
    );
  });
});

describe("IDX", () => {
  it("reads arrays of bytes, also from a view into a larger buffer", () => {
    const file = idx([2, 3, 1], [1, 2, 3, 4, 5, 255]);
    expect(decodeIdx(file, "a", 3)).toEqual({ shape: [2, 3, 1], data: Uint8Array.of(1, 2, 3, 4, 5, 255) });
    const inside = new Uint8Array(file.length + 5);
    inside.set(file, 3);
    expect(decodeIdx(inside.subarray(3, 3 + file.length), "a", 3).data[5]).toBe(255);
  });

  it.each([
    [
      "another type",
      idx([2], [0, 0], 9),
      "must begin with the magic number 0x00000801 (IDX, unsigned bytes, 1 dimension), got 0x00000901",
    ],
    [
      "images in the place of labels",
      idx([1, 1, 1], [0]),
      "0x00000801 (IDX, unsigned bytes, 1 dimension), got 0x00000803",
    ],
    ["an empty file", new Uint8Array(), "0x00000801 (IDX, unsigned bytes, 1 dimension), got 0 bytes"],
    ["a file cut in the header", idx([5], []).subarray(0, 6), "is truncated: 6 bytes end within the header of 8"],
    ["a file cut in the data", idx([5], [1, 2, 3]), "must have 5 bytes of data for sizes 5, got 3"],
    ["bytes too many", idx([2], [1, 2, 3]), "must have 2 bytes of data for sizes 2, got 3"],
  ])("%s is an error that names the file", (_, bytes, message) => {
    const read = () => decodeIdx(bytes, "labels", 1);
    expect(read).toThrow(DataError);
    expect(read).toThrow(/^labels: /);
    expect(read).toThrow(message);
  });

  it("holds images and labels against each other", () => {
    const images = { bytes: idx([2, 2, 3], [...Array(12).keys()]), file: "images" };
    const set = decodeIdxImages(images, { bytes: idx([2], [9, 0]), file: "labels" }, 10);
    expect(set).toMatchObject({ count: 2, channels: 1, height: 2, width: 3, classes: 10 });
    expect([...set.labels]).toEqual([9, 0]);
    expect(() => decodeIdxImages(images, { bytes: idx([3], [1, 1, 1]), file: "labels" }, 10)).toThrow(
      "labels: must have as many labels as images has images (2), got 3",
    );
    expect(() => decodeIdxImages(images, { bytes: idx([2], [1, 10]), file: "labels" }, 10)).toThrow(
      "labels: label 1 must be in 0..9, got 10",
    );
  });
});

describe("gzip", () => {
  const plain = Uint8Array.from({ length: 5000 }, (_, i) => (i * i) % 251);
  const packed = Uint8Array.from(gzipSync(plain));

  it("gives back what was packed", async () => {
    expect([isGzip(packed), isGzip(plain), isGzip(new Uint8Array())]).toEqual([true, false, false]);
    expect(await gunzip(packed, "a.gz")).toEqual(plain);
  });

  const withByte = (at: number) => packed.with(at, packed[at] ^ 1);
  it.each([
    ["cut in the data", packed.subarray(0, packed.length >> 1)],
    ["cut in the checksum", packed.subarray(0, packed.length - 5)],
    ["a checksum that does not fit", withByte(packed.length - 8)],
    ["a length that does not fit", withByte(packed.length - 4)],
    ["another file", plain],
  ])("%s is an error that names the file", async (_, bytes) => {
    const error = await gunzip(bytes, "train.gz").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).message).toMatch(
      new RegExp(`^train\\.gz: must be a complete gzip file \\(${bytes.length} bytes read\\): `),
    );
  });
});

describe("datasets", () => {
  /** Small sets in the published formats, with the published names. */
  const smallCifar: ImageDataset = {
    ...IMAGE_DATASETS["cifar-10"],
    files: {
      train: { names: ["data_batch_1.bin", "data_batch_2.bin"], count: 2 },
      test: { names: ["test_batch.bin"], count: 2 },
    },
  };
  const { files } = IMAGE_DATASETS["fashion-mnist"];
  const smallIdx: ImageDataset = {
    ...IMAGE_DATASETS["fashion-mnist"],
    height: 3,
    width: 2,
    files: { train: { ...files.train, count: 3 }, test: { ...files.test, count: 1 } },
  };
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "deeplimit-images-"));
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  function directory(name: string, content: Readonly<Record<string, Uint8Array>>): string {
    const path = join(root, name);
    for (const [file, bytes] of Object.entries(content)) {
      mkdirSync(join(path, file, ".."), { recursive: true });
      writeFileSync(join(path, file), bytes);
    }
    return path;
  }
  const fashion = {
    "train-images-idx3-ubyte.gz": gzipSync(idx([3, 3, 2], [...Array(18).keys()])),
    "train-labels-idx1-ubyte.gz": gzipSync(idx([3], [9, 0, 4])),
    "t10k-images-idx3-ubyte": idx([1, 3, 2], [5, 4, 3, 2, 1, 0]),
    "t10k-labels-idx1-ubyte": idx([1], [7]),
  };

  it("joins the batches of CIFAR-10 in order, from the folder that the archive unpacks to", async () => {
    const path = directory("cifar", {
      "cifar-10-batches-bin/data_batch_1.bin": cifar([[1], [2]], 1),
      "cifar-10-batches-bin/data_batch_2.bin": gzipSync(cifar([[3], [4]], 2)),
      "test_batch.bin": cifar([[5], [6]], 3),
    });
    const { train, test } = await readImageDataset(path, smallCifar);
    expect([...train.labels, ...test.labels]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(train).toMatchObject({ count: 4, channels: 3, height: 32, width: 32, classes: 10 });
    expect(train.images[3 * PIXELS + 100]).toBe(pixel(2, 1, 100));
    expect(test.images[PIXELS + 100]).toBe(pixel(3, 1, 100));
  });

  it("reads IDX files, gzipped and not", async () => {
    const { train, test } = await readImageDataset(directory("fashion", fashion), smallIdx);
    expect(train).toMatchObject({ count: 3, channels: 1, height: 3, width: 2 });
    expect([...train.images]).toEqual([...Array(18).keys()]);
    expect([...train.labels]).toEqual([9, 0, 4]);
    expect([...test.images, ...test.labels]).toEqual([5, 4, 3, 2, 1, 0, 7]);
  });

  it.each([
    ["too few images", "t10k-labels-idx1-ubyte", idx([2], [7, 7]), "must have as many labels as"],
    ["another count", "train-labels-idx1-ubyte.gz", idx([1], [0]), "must have as many labels as"],
    ["a bad checksum", "train-labels-idx1-ubyte.gz", gzipSync(idx([3], [9, 0, 4])), "must be a complete gzip file"],
    ["other sizes", "t10k-images-idx3-ubyte", idx([1, 2, 3], zeros(6)), "must hold images of 3 x 2 pixels"],
  ])("%s: the message has the path", async (name, file, bytes, message) => {
    const broken = isGzip(bytes) ? Uint8Array.from(bytes).with(bytes.length - 8, bytes[bytes.length - 8] ^ 1) : bytes;
    const path = directory(name.replaceAll(" ", "-"), { ...fashion, [file]: broken });
    const error = await readImageDataset(path, smallIdx).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).path).toBe(join(path, file));
    expect((error as DataError).message).toContain(message);
  });

  it("holds the number of images against that of the dataset", async () => {
    const bytes = cifar([[1], [2], [3]]);
    await expect(
      decodeSplit(IMAGE_DATASETS["cifar-10"], "test", async (name) => ({ bytes, file: `dir/${name}` })),
    ).rejects.toThrow("dir/test_batch.bin: must hold the 10000 images of CIFAR-10 (binary version), got 3");
  });

  it("says which files are missing and where all are published", async () => {
    const path = directory("half", { "data_batch_1.bin": cifar([[1], [2]]), "test_batch.bin": cifar([[1], [2]]) });
    const error = await readImageDataset(path, "cifar-10").catch((reason: unknown) => reason);
    expect((error as Error).message).toBe(
      `${path}: has no data_batch_2.bin, no data_batch_3.bin, no data_batch_4.bin, no data_batch_5.bin. ` +
        "CIFAR-10 (binary version) is the files data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, " +
        "data_batch_5.bin, test_batch.bin (each may be gzipped, then with .gz at the end); published at " +
        "https://www.cs.toronto.edu/~kriz/cifar.html (cifar-10-binary.tar.gz, which unpacks to cifar-10-batches-bin/)",
    );
    await expect(readImageDataset(join(root, "nowhere"), "mnist")).rejects.toThrow(
      "nowhere: must be a directory. MNIST is the files train-images-idx3-ubyte",
    );
    // A file in the place of the directory.
    await expect(readImageDataset(join(path, "test_batch.bin"), "mnist")).rejects.toThrow("must be a directory");
  });

  it("has an address and a number of images for every dataset", () => {
    for (const name of IMAGE_DATASET_NAMES) {
      const dataset = IMAGE_DATASETS[name];
      expect(expectedFiles(dataset)).toContain(dataset.home);
      const total = (split: "train" | "test") =>
        dataset.files[split].count * (dataset.format === "idx" ? 1 : dataset.files[split].names.length);
      expect([total("train"), total("test")]).toEqual([name.startsWith("cifar") ? 50_000 : 60_000, 10_000]);
    }
  });
});
