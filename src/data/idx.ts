/** The IDX format of MNIST and its successors (Y. LeCun, C. Cortes, C. J. C. Burges); safe in a browser. */
import { DataError } from "../config/errors.ts";
import type { LabelledImages } from "./labelled_images.ts";

/** Third byte of the magic number of unsigned bytes; the fourth is the number of dimensions. */
const UNSIGNED_BYTES = 0x08;

export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array<ArrayBuffer>;
}

/**
 * An array of unsigned bytes: magic number 0x0000080R for R dimensions, R sizes of four bytes (big-endian), the numbers in
 * row-major order.
 * @param file its name, for errors
 * @param dimensions R that is expected
 * @throws DataError naming file, rule and value
 */
export function decodeIdx(bytes: Uint8Array, file: string, dimensions: number): IdxArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + 4 * dimensions;
  const magic = UNSIGNED_BYTES * 256 + dimensions;
  if (bytes.length < 4 || view.getUint32(0) !== magic) {
    const got = bytes.length < 4 ? `${bytes.length} bytes` : hex(view.getUint32(0));
    throw new DataError(
      file,
      `must begin with the magic number ${hex(magic)} (IDX, unsigned bytes, ${dimensions === 1 ? "1 dimension" : `${dimensions} dimensions`}), got ${got}`,
    );
  }
  if (bytes.length < start)
    throw new DataError(file, `is truncated: ${bytes.length} bytes end within the header of ${start}`);
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  const length = shape.reduce((product, size) => product * size, 1);
  if (bytes.length - start !== length)
    throw new DataError(
      file,
      `must have ${length} bytes of data for sizes ${shape.join(" x ")}, got ${bytes.length - start}`,
    );
  // A copy: the caller may hold a view into something larger.
  return { shape, data: new Uint8Array(bytes.subarray(start)) };
}

export interface IdxFile {
  readonly bytes: Uint8Array;
  /** Its name, for errors. */
  readonly file: string;
}

/**
 * Grey images [count, height, width] and their labels [count].
 * @throws DataError: also when a label is not below `classes`, or images and labels differ in number
 */
export function decodeIdxImages(images: IdxFile, labels: IdxFile, classes: number): LabelledImages {
  const pixels = decodeIdx(images.bytes, images.file, 3);
  const targets = decodeIdx(labels.bytes, labels.file, 1);
  const [count, height, width] = pixels.shape as [number, number, number];
  if (targets.data.length !== count)
    throw new DataError(
      labels.file,
      `must have as many labels as ${images.file} has images (${count}), got ${targets.data.length}`,
    );
  const wrong = targets.data.findIndex((label) => label >= classes);
  if (wrong >= 0)
    throw new DataError(labels.file, `label ${wrong} must be in 0..${classes - 1}, got ${targets.data[wrong]}`);
  return { count, channels: 1, height, width, images: pixels.data, labels: targets.data, classes };
}

function hex(word: number): string {
  return `0x${word.toString(16).padStart(8, "0")}`;
}
