import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DataError } from "../../src/config/errors.ts";
import { digitsFile, readDigits } from "../../src/data/digits.ts";
import { meanOfRows, scaleRowsToNorm, splitTrainTest } from "../../src/data/preprocess.ts";

let dir: string;
let lines: string[];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "deeplimit-digits-"));
  lines = gunzipSync(readFileSync(digitsFile())).toString("utf8").trimEnd().split("\n");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("readDigits", () => {
  it("reads every image of the file that ships", () => {
    const { images, labels, count } = readDigits();
    expect(count).toBe(1797);
    expect(images.length).toBe(1797 * 64);
    const perClass = new Array<number>(10).fill(0);
    for (const label of labels) perClass[label]! += 1;
    expect(perClass).toEqual([178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    expect(images.reduce((a, b) => Math.max(a, b))).toBe(16);
    // The sum of all pixels, counted apart with awk over the text.
    expect(images.reduce((a, b) => a + b, 0)).toBe(561718);
    expect([...images.subarray(0, 8)]).toEqual([0, 0, 5, 13, 9, 1, 0, 0]);
    expect(labels[0]).toBe(0);
  });

  function file(name: string, change: (copy: string[]) => string[]): string {
    const path = join(dir, name);
    writeFileSync(path, gzipSync(`${change([...lines]).join("\n")}\n`, { level: 1 }));
    return path;
  }
  function cell(row: number, column: number, value: string): (copy: string[]) => string[] {
    return (copy) => {
      const cells = copy[row]!.split(",");
      cells[column] = value;
      return copy.with(row, cells.join(","));
    };
  }
  function failure(path: string): DataError {
    try {
      readDigits(path);
    } catch (error) {
      expect(error).toBeInstanceOf(DataError);
      expect((error as DataError).path).toBe(path);
      return error as DataError;
    }
    throw new Error(`${path} was read without an error`);
  }

  it("names a file that is missing, not gzip, or cut short", () => {
    expect(failure(join(dir, "absent.csv.gz")).message).toContain("cannot be read: ENOENT");
    const plain = join(dir, "plain.csv.gz");
    writeFileSync(plain, lines.join("\n"));
    expect(failure(plain).message).toContain("must be a complete gzip file");
    const cut = join(dir, "cut.csv.gz");
    writeFileSync(cut, readFileSync(digitsFile()).subarray(0, 20_000));
    expect(failure(cut).message).toContain("must be a complete gzip file (20000 bytes read): unexpected end of file");
  });

  it.each([
    ["a column too few", (copy: string[]) => copy.with(4, copy[4]!.slice(2)), "line 5 must have 65 columns, got 64"],
    [
      "a column too many",
      (copy: string[]) => copy.with(1796, `${copy[1796]},1`),
      "line 1797 must have 65 columns, got 66",
    ],
    ["a grey level of 17", cell(2, 10, "17"), 'line 3, column 11 must be an integer in 0..16, got "17"'],
    ["a label of 10", cell(9, 64, "10"), 'line 10, column 65 must be an integer in 0..9, got "10"'],
    ["a fraction", cell(0, 3, "1.5"), 'line 1, column 4 must be an integer in 0..16, got "1.5"'],
    ["an empty cell", cell(0, 0, ""), 'line 1, column 1 must be an integer in 0..16, got ""'],
    ["a negative number", cell(0, 0, "-1"), 'line 1, column 1 must be an integer in 0..16, got "-1"'],
    ["a row too few", (copy: string[]) => copy.slice(1), "the file must have 1797 rows, got 1796"],
    ["a row too many", (copy: string[]) => [...copy, copy[0]!], "the file must have 1797 rows, got 1798"],
    ["no rows", () => [], "line 1 must have 65 columns, got 1"],
  ])("names %s", (name, change, message) => {
    expect(failure(file(`${name.replaceAll(" ", "-")}.csv.gz`, change)).message).toContain(message);
  });
});

describe("preprocess", () => {
  it("scales rows to a norm, about a mean of chosen rows", () => {
    const images = Float32Array.of(3, 4, 1, 0, 0, 2);
    expect([...scaleRowsToNorm(images, 3, 2, 10)]).toEqual([6, 8, 10, 0, 0, 10]);
    const mean = meanOfRows(images, 2, [0, 1]);
    expect([...mean]).toEqual([2, 2]);
    const centred = scaleRowsToNorm(images, 3, 2, 1, mean);
    for (let i = 0; i < 3; i++) expect(Math.hypot(centred[2 * i]!, centred[2 * i + 1]!)).toBeCloseTo(1, 6);
    expect(centred[5]).toBe(0);
    expect([...images]).toEqual([3, 4, 1, 0, 0, 2]);
  });

  it("refuses a row that no factor scales", () => {
    expect(() => scaleRowsToNorm(Float32Array.of(1, 0, 0, 0), 2, 2, 1)).toThrow(
      "images[1] must have a positive finite Euclidean norm",
    );
    expect(() => scaleRowsToNorm(Float32Array.of(1), 1, 1, 0)).toThrow("norm must be a positive finite number, got 0");
    expect(() => meanOfRows(Float32Array.of(1, 2), 1, [2])).toThrow("rows[0] must be a row of the 2 given, got 2");
  });

  it("splits by a permutation, and checks that it is one", () => {
    const { train, test } = splitTrainTest(5, 3, [4, 0, 2, 1, 3]);
    expect([...train]).toEqual([4, 0, 2]);
    expect([...test]).toEqual([1, 3]);
    expect(() => splitTrainTest(3, 3, [0, 1, 2])).toThrow("trainCount must be an integer in 1..2, got 3");
    expect(() => splitTrainTest(3, 1, [0, 1, 1])).toThrow(
      "permutation[2] must be an integer in 0..2 that has not occurred before, got 1",
    );
    expect(() => splitTrainTest(3, 1, [0, 1])).toThrow("permutation must have 3 entries, got 2");
  });
});
