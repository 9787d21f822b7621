/** Reader of the handwritten digits that ship with the package. Needs Node (files, gzip); data/README.md says what the file is. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { DataError, show } from "../config/errors.ts";

export const DIGITS_COUNT = 1797;
export const DIGITS_PIXELS = 64;
export const DIGITS_CLASSES = 10;
const MAX_GREY = 16;

export interface Digits {
  /** [count, 64], row-major 8 × 8 images, raw grey levels 0..16. */
  readonly images: Float32Array<ArrayBuffer>;
  /** [count], classes 0..9. */
  readonly labels: Uint8Array<ArrayBuffer>;
  readonly count: number;
}

/** The file beside the package's code: `data/` is two levels above this file both in `src/` and in `dist/`. */
export function digitsFile(): string {
  return fileURLToPath(new URL("../../data/digits.csv.gz", import.meta.url));
}

/**
 * Reads the 1,797 test images of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, doi 10.24432/C50P49).
 * Every number is checked; a file that differs in any way from what data/README.md describes is a {@link DataError} naming path, line,
 * rule and value.
 */
export function readDigits(file: string = digitsFile()): Digits {
  const text = readGzipText(file);
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();

  const images = new Float32Array(DIGITS_COUNT * DIGITS_PIXELS);
  const labels = new Uint8Array(DIGITS_COUNT);
  for (const [row, line] of lines.entries()) {
    const cells = line.split(",");
    if (cells.length !== DIGITS_PIXELS + 1) {
      throw new DataError(file, `line ${row + 1} must have ${DIGITS_PIXELS + 1} columns, got ${cells.length}`);
    }
    if (row >= DIGITS_COUNT) break;
    for (let column = 0; column < DIGITS_PIXELS; column++) {
      images[row * DIGITS_PIXELS + column] = integerCell(file, row, column, cells[column]!, MAX_GREY);
    }
    labels[row] = integerCell(file, row, DIGITS_PIXELS, cells[DIGITS_PIXELS]!, DIGITS_CLASSES - 1);
  }
  if (lines.length !== DIGITS_COUNT) {
    throw new DataError(file, `line ${lines.length}: the file must have ${DIGITS_COUNT} rows, got ${lines.length}`);
  }
  return { images, labels, count: DIGITS_COUNT };
}

function integerCell(file: string, row: number, column: number, cell: string, max: number): number {
  const value = Number(cell);
  if (!/^\d+$/.test(cell) || value > max) {
    throw new DataError(
      file,
      `line ${row + 1}, column ${column + 1} must be an integer in 0..${max}, got ${show(cell)}`,
    );
  }
  return value;
}

function readGzipText(file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new DataError(file, `cannot be read: ${messageOf(error)}`);
  }
  try {
    return gunzipSync(bytes).toString("utf8");
  } catch (error) {
    throw new DataError(file, `must be a complete gzip file (${bytes.length} bytes read): ${messageOf(error)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
