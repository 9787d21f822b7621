/** Reader of the handwritten digits that ship with the package. Needs Node (files, gzip); data/README.md says what the file is. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { DataError } from "../config/errors.ts";
import { type Digits, parseDigits } from "./digits_text.ts";

export { DIGITS_CLASSES, DIGITS_COUNT, DIGITS_PIXELS, type Digits } from "./digits_text.ts";

/** The file beside the package's code: `data/` is two levels above this file both in `src/` and in `dist/`. */
export function digitsFile(): string {
  return fileURLToPath(new URL("../../data/digits.csv.gz", import.meta.url));
}

/**
 * Reads the images that ship with the package, or another file of that form.
 * @throws DataError naming path, line, rule and value
 */
export function readDigits(file: string = digitsFile()): Digits {
  return parseDigits(readGzipText(file), file);
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
