import { describe, expect, it } from "vitest";
import { DataError } from "../../src/config/errors.ts";
import { decodeNpy, encodeNpy, isNpy } from "../../src/data/npy.ts";

/** A file as the format's description has it, built without the code under test. */
function file(dict: string, data: Uint8Array, version = 1): Uint8Array {
  const text = Buffer.from(`${dict}\n`, version === 3 ? "utf8" : "latin1");
  const size = Buffer.alloc(version === 1 ? 2 : 4);
  if (version === 1) size.writeUInt16LE(text.length);
  else size.writeUInt32LE(text.length);
  return Buffer.concat([Buffer.from([0x93]), Buffer.from("NUMPY"), Buffer.from([version, 0]), size, text, data]);
}
const dict = (descr: string, shape: string, order = "False") =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
const bytes = (data: ArrayBufferView) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

describe("reading", () => {
  it.each([
    ["<f4", new Float32Array([1.5, -2, Number.NaN, 4, 5, 6])],
    ["<f8", new Float64Array([0.1, -2, 3, 4, Infinity, 6])],
    ["<i4", new Int32Array([1, -2, 3, 4, 5, 6])],
    ["<i8", new BigInt64Array([1n, -2n, 3n, 4n, 5n, 6n])],
  ])("%s in every version", (descr, data) => {
    for (const version of [1, 2, 3]) {
      const array = decodeNpy(file(dict(descr, "(2, 3)"), bytes(data), version), "a.npy");
      expect(array.shape).toEqual([2, 3]);
      expect([...array.data]).toEqual(Array.from<number | bigint>(data).map(Number));
    }
  });

  it("one dimension, none, and the order of keys that Python 2 wrote", () => {
    expect(decodeNpy(file(dict("<f4", "(3,)"), bytes(new Float32Array(3))), "a").shape).toEqual([3]);
    expect(decodeNpy(file(dict("<f4", "()"), bytes(new Float32Array(1))), "a").shape).toEqual([]);
    const old = "{'shape': (1, 2), 'fortran_order': False, 'descr': '<f4'}";
    expect(decodeNpy(file(old, bytes(new Float32Array(2))), "a").shape).toEqual([1, 2]);
  });

  it.each([
    ["another file", Buffer.from("1,2,3\n4,5,6\n"), "is no NumPy array file"],
    ["an empty file", new Uint8Array(), "is no NumPy array file"],
    ["a version to come", file(dict("<f4", "(1,)"), bytes(new Float32Array(1)), 4), "version must be 1, 2 or 3, got 4"],
    ["a file cut in the header", file(dict("<f4", "(1,)"), new Uint8Array(4)).subarray(0, 40), "end within the header"],
    [
      "a file cut before the header",
      file(dict("<f4", "(1,)"), new Uint8Array(4)).subarray(0, 9),
      "end within the header",
    ],
    [
      "a file cut in the data",
      file(dict("<f4", "(3,)"), new Uint8Array(8)),
      "must have 12 bytes of data for shape (3), got 8",
    ],
    [
      "bytes too many",
      file(dict("<f4", "(3,)"), new Uint8Array(16)),
      "must have 12 bytes of data for shape (3), got 16",
    ],
    [
      "half precision",
      file(dict("<f2", "(1,)"), new Uint8Array(2)),
      'float32, float64, int32 or int64, little-endian (<f4, <f8, <i4, <i8), got "<f2"',
    ],
    ["big-endian", file(dict(">f4", "(1,)"), new Uint8Array(4)), 'got ">f4"'],
    [
      "records",
      file("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,), }", new Uint8Array(4)),
      'got "a structured type"',
    ],
    ["Fortran order", file(dict("<f4", "(2, 2)", "True"), new Uint8Array(16)), "must be in C order"],
    [
      "no shape",
      file("{'descr': '<f4', 'fortran_order': False}", new Uint8Array(4)),
      "header must have descr, fortran_order and shape",
    ],
  ])("%s is an error that names the file", (_, data, message) => {
    expect(() => decodeNpy(data, "y0.npy")).toThrow(DataError);
    expect(() => decodeNpy(data, "y0.npy")).toThrow(/^y0\.npy: /);
    expect(() => decodeNpy(data, "y0.npy")).toThrow(message);
  });
});

describe("writing", () => {
  it.each([
    [new Float32Array([1, 2.5, Number.NaN, -0, 5, 6]), [2, 3]],
    [new Float32Array([7]), []],
    [new Int32Array([-1, 2]), [2]],
    [new Float32Array(0), [0, 4]],
    // A header longer than its first 64 bytes.
    [new Float32Array(1), new Array<number>(40).fill(1)],
  ])("reads back", (data, shape) => {
    const encoded = encodeNpy(data, shape);
    expect(isNpy(encoded)).toBe(true);
    const start = 10 + encoded[8] + 256 * encoded[9];
    expect(start % 64).toBe(0);
    expect(encoded[start - 1]).toBe(10);
    const array = decodeNpy(encoded, "a");
    expect(array.shape).toEqual(shape);
    expect([...array.data]).toEqual([...data]);
  });

  it("a view into a larger buffer writes only the view", () => {
    const part = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
    expect([...decodeNpy(encodeNpy(part, [2]), "a").data]).toEqual([2, 3]);
  });
});
