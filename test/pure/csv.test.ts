import { describe, expect, it } from "vitest";
import { DataError } from "../../src/config/errors.ts";
import { parseCsv } from "../../src/data/csv.ts";

describe("tables of numbers", () => {
  it("a header, comments, empty lines, spaces, a byte order mark and both line ends", () => {
    const table = parseCsv("\ufeff# a sweep\r\nrho, beta\r\n\r\n 1 , -2.5e-1\r\n+.5,3.\r\n", "p.csv");
    expect(table).toMatchObject({ header: ["rho", "beta"], rows: 2, columns: 2, lines: [4, 5] });
    expect([...table.values]).toEqual([1, -0.25, 0.5, 3]);
  });

  it("no header, one column, no newline at the end", () => {
    const table = parseCsv("1\n2\n3", "t.csv");
    expect(table).toMatchObject({ rows: 3, columns: 1 });
    expect(table.header).toBeUndefined();
    expect([...table.values]).toEqual([1, 2, 3]);
  });

  it("not-a-number and infinities are numbers, not a header", () => {
    expect([...parseCsv("nan,-Inf\n1,infinity", "y.csv").values]).toEqual([Number.NaN, -Infinity, 1, Infinity]);
  });

  it("quoted cells", () => {
    expect([...parseCsv('"x","y, z"\n"1",2', "q.csv").values]).toEqual([1, 2]);
  });

  it.each([
    ["a ragged row", "a,b\n1,2\n3\n", "y.csv: line 3 must have 2 columns as line 1 has, got 1"],
    ["a row too long", "1,2\n3,4,5\n", "y.csv: line 2 must have 2 columns as line 1 has, got 3"],
    ["a word", "a,b\n1,2\n3,four\n", 'y.csv: line 3, column 2 (b) must be a number, got "four"'],
    ["a word in a first row with numbers", "1,x\n", 'y.csv: line 1, column 2 must be a number, got "x"'],
    ["an empty cell", "1,2\n3,\n", 'y.csv: line 2, column 2 must be a number, got "" (nothing between two commas)'],
    [
      "semicolons",
      "1;2\n3;4\n",
      'y.csv: line 1, column 1 must be a number, got "1;2" (columns are separated by commas)',
    ],
    [
      "semicolons below a header",
      "a\n3;4\n",
      'line 2, column 1 (a) must be a number, got "3;4" (columns are separated by commas)',
    ],
    ["a number beyond float32", "1e39\n", "line 1, column 1 must be within the range of float32, ±3.4e38, got 1e39"],
    ["a hexadecimal number", "1\n0x10\n", 'line 2, column 1 must be a number, got "0x10"'],
    ["only a header", "a,b\n", "must have at least one row of numbers, got only a header"],
    ["an empty file", "", "must have at least one row of numbers, got none"],
    ["only a comment", "# nothing\n", "must have at least one row of numbers, got none"],
    ["a name twice", "a,a\n1,2\n", 'line 1 must name every column once, got "a" twice'],
    ["an open quote", 'a\n"1\n', "is no CSV: "],
  ])("%s is an error", (_, text, message) => {
    expect(() => parseCsv(text, "y.csv")).toThrow(DataError);
    expect(() => parseCsv(text, "y.csv")).toThrow(message);
  });
});
