/** The binary versions of CIFAR-10 and CIFAR-100 (A. Krizhevsky, 2009); safe in a browser. */
import { DataError } from "../config/errors.ts";
import type { LabelledImages } from "./labelled_images.ts";

const CHANNELS = 3;
const SIDE = 32;
const PIXELS = CHANNELS * SIDE * SIDE;

/** The bytes before the pixels of a record; the last one is the class. */
const LABELS = {
  "cifar-10": [{ name: "label", classes: 10 }],
  "cifar-100": [
    { name: "coarse label", classes: 20 },
    { name: "fine label", classes: 100 },
  ],
} as const;

/**
 * Records of a label byte (CIFAR-100: coarse, then fine) and 3,072 pixels: 1,024 red, green and blue bytes, row-major. The
 * format has no header: size and labels are what can be checked. Labels of CIFAR-100 are the fine ones.
 * @param file its name, for errors
 * @throws DataError naming file, record, rule and value
 */
export function decodeCifar(bytes: Uint8Array, file: string, version: keyof typeof LABELS): LabelledImages {
  const fields = LABELS[version];
  const record = fields.length + PIXELS;
  const count = bytes.length / record;
  if (!Number.isInteger(count) || count === 0)
    throw new DataError(
      file,
      `must hold whole records of ${record} bytes (${fields.length} of labels, ${CHANNELS} x ${SIDE} x ${SIDE} of pixels), got ${bytes.length} bytes`,
    );
  const images = new Uint8Array(count * PIXELS);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const at = i * record;
    for (const [j, { name, classes }] of fields.entries()) {
      const label = bytes[at + j];
      if (label >= classes)
        throw new DataError(file, `${name} of record ${i} must be in 0..${classes - 1}, got ${label}`);
      labels[i] = label;
    }
    images.set(bytes.subarray(at + fields.length, at + record), i * PIXELS);
  }
  const { classes } = fields[fields.length - 1];
  return { count, channels: CHANNELS, height: SIDE, width: SIDE, images, labels, classes };
}
