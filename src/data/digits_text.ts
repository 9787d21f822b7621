/** The text of the handwritten digits that ship with the package; safe in a browser. data/README.md says what the file is. */
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

/**
 * Parses the 1,797 test images of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, doi 10.24432/C50P49).
 * Every number is checked; a text that differs in any way from what data/README.md describes is a {@link DataError} naming file, line,
 * rule and value.
 */
export function parseDigits(text: string, file: string): Digits {
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
