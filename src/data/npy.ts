/** NumPy's array files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), versions 1 to 3, C order. */
import { DataError, show } from "../config/errors.ts";

export interface NpyArray {
  readonly shape: readonly number[];
  /** float32 as it is, every other type as float64. */
  readonly data: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
}

const MAGIC = "\x93NUMPY";
const READERS: Readonly<Record<string, { bytes: number; read(buffer: ArrayBuffer): NpyArray["data"] }>> = {
  "<f4": { bytes: 4, read: (buffer) => new Float32Array(buffer) },
  "<f8": { bytes: 8, read: (buffer) => new Float64Array(buffer) },
  "<i4": { bytes: 4, read: (buffer) => Float64Array.from(new Int32Array(buffer)) },
  "<i8": { bytes: 8, read: (buffer) => Float64Array.from(new BigInt64Array(buffer), Number) },
};

/** Whether the bytes begin as an array file does. */
export function isNpy(bytes: Uint8Array): boolean {
  return [...MAGIC].every((character, i) => bytes[i] === character.charCodeAt(0));
}

/**
 * @param file its name, for errors
 * @throws DataError: not an array file, truncated, or an array that is not float32, float64, int32 or int64 in C order
 */
export function decodeNpy(bytes: Uint8Array, file: string): NpyArray {
  if (!isNpy(bytes)) throw new DataError(file, "is no NumPy array file (the first bytes are not \\x93NUMPY)");
  const major = bytes[6];
  if (major !== 1 && major !== 2 && major !== 3)
    throw new DataError(file, `format version must be 1, 2 or 3, got ${major}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = major === 1 ? 10 : 12;
  const end =
    bytes.length < start ? Infinity : start + (major === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (bytes.length < end) throw new DataError(file, `is truncated: ${bytes.length} bytes end within the header`);
  const header = new TextDecoder(major === 3 ? "utf-8" : "latin1").decode(bytes.subarray(start, end));

  const descr = /'descr':\s*(?:'([^']*)'|(\[))/.exec(header);
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const sizes = /'shape':\s*\(([\d\s,]*)\)/.exec(header)?.[1];
  if (!descr || order === undefined || sizes === undefined)
    throw new DataError(file, `header must have descr, fortran_order and shape, got ${show(header.trim())}`);
  const reader = READERS[descr[1] ?? ""];
  if (reader === undefined)
    throw new DataError(
      file,
      `type must be float32, float64, int32 or int64, little-endian (${Object.keys(READERS).join(", ")}), got ${show(descr[1] ?? "a structured type")}`,
    );
  if (order === "True") throw new DataError(file, "must be in C order (numpy.ascontiguousarray), got fortran_order");
  const shape = sizes
    .split(",")
    .map((size) => size.trim())
    .filter((size) => size !== "")
    .map(Number);
  const length = shape.reduce((product, size) => product * size, 1);
  if (bytes.length - end !== length * reader.bytes)
    throw new DataError(
      file,
      `must have ${length * reader.bytes} bytes of data for shape (${shape.join(", ")}), got ${bytes.length - end}`,
    );
  // A copy that begins at 0: Node's Buffer is a view somewhere into a pool.
  return { shape, data: reader.read(new Uint8Array(bytes.subarray(end)).buffer) };
}

/** The array as a file of version 1. */
export function encodeNpy(
  data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const type = data instanceof Float32Array ? "<f4" : "<i4";
  const dict = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.map((size) => `${size},`).join(" ")}), }`;
  // The data begins at a multiple of 64 bytes.
  const header = `${dict.padEnd(Math.ceil((10 + dict.length + 1) / 64) * 64 - 11)}\n`;
  const bytes = new Uint8Array(10 + header.length + data.byteLength);
  bytes.set([...MAGIC].map((character) => character.charCodeAt(0)));
  bytes.set([1, 0, header.length % 256, Math.floor(header.length / 256)], 6);
  bytes.set(new TextEncoder().encode(header), 10);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + header.length);
  return bytes;
}
