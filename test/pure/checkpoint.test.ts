import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError } from "../../src/config/errors.ts";
import { type Checkpoint, decodeSafetensors, encodeSafetensors } from "../../src/flow/checkpoint.ts";

const sample: Checkpoint = {
  tensors: {
    "change.Z": { shape: [2, 3], data: new Float32Array([1, -0, Number.NaN, Infinity, 1e-45, 3.4e38]) },
    scalar: { shape: [], data: new Float32Array([7]) },
    empty: { shape: [0, 5], data: new Float32Array(0) },
    // A view into a larger buffer, as a slice of weights is.
    view: { shape: [2], data: new Float32Array(8).fill(5).subarray(3, 5) },
  },
  metadata: { step: "120", π: "≈ 3" },
};

function bitsOf({ tensors, metadata }: Checkpoint) {
  const entries = Object.entries(tensors).map(([name, { shape, data }]) => [
    name,
    [...shape],
    [...new Uint32Array(data.slice().buffer)],
  ]);
  return { entries: entries.sort(), metadata: { ...metadata } };
}

/** A file with the given header text and data, whatever they say. */
function file(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const f32 = (shape: number[], start: number, end: number) => ({ dtype: "F32", shape, data_offsets: [start, end] });

describe("safetensors", () => {
  it("comes back bit by bit, also from an odd place in a larger buffer", () => {
    const bytes = encodeSafetensors(sample);
    expect(bitsOf(decodeSafetensors(bytes, "x"))).toEqual(bitsOf(sample));
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(bitsOf(decodeSafetensors(shifted.subarray(3), "x"))).toEqual(bitsOf(sample));
  });

  it("has the layout of the format: length, padded JSON, data in order", () => {
    const bytes = encodeSafetensors(sample);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
    expect(length % 8).toBe(0);
    expect(text).toMatch(/^\{.*\} {0,7}$/s);
    expect(JSON.parse(text)).toEqual({
      __metadata__: { step: "120", π: "≈ 3" },
      "change.Z": f32([2, 3], 0, 24),
      scalar: f32([], 24, 28),
      empty: f32([0, 5], 28, 28),
      view: f32([2], 28, 36),
    });
    expect(bytes.length).toBe(8 + length + 36);
    expect([...bytes.subarray(8 + length, 12 + length)]).toEqual([0, 0, 0x80, 0x3f]);
  });

  it("takes names that are special in JavaScript", () => {
    const tensors = Object.fromEntries([["__proto__", { shape: [1], data: new Float32Array([2]) }]]);
    const back = decodeSafetensors(encodeSafetensors({ tensors, metadata: {} }), "x");
    expect(Object.keys(back.tensors)).toEqual(["__proto__"]);
  });

  it("refuses to write what it could not read", () => {
    const data = new Float32Array(3);
    expect(() => encodeSafetensors({ tensors: { a: { shape: [2, 2], data } }, metadata: {} })).toThrow(
      "tensor a of shape [2, 2] must have 4 numbers, got 3",
    );
    expect(() => encodeSafetensors({ tensors: { __metadata__: { shape: [3], data } }, metadata: {} })).toThrow(
      RangeError,
    );
  });

  const eight = new Uint8Array(8);
  it.each([
    ["empty", new Uint8Array(0), "only 0 bytes"],
    ["a PNG", new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0]), "is not a safetensors file"],
    ["text", new TextEncoder().encode('{"depth": 12, "rate": 3}'), "is not a safetensors file"],
    ["header cut", encodeSafetensors(sample).subarray(0, 40), "is truncated: its header"],
    ["data cut", encodeSafetensors(sample).subarray(0, -4), "is truncated: tensor view ends"],
    ["no JSON", file("{nonsense"), "its header is not JSON"],
    ["not UTF-8", file("{}").fill(0xff, 9), "its header is not JSON"],
    ["other dtype", file({ a: { ...f32([2], 0, 8), dtype: "F64" } }, eight), 'tensor a: dtype must be F32, got "F64"'],
    ["bad shape", file({ a: f32([-2], 0, 8) }, eight), "shape must be a list of integers >= 0, got [-2]"],
    ["bad offsets", file({ a: f32([2], 8, 0) }, eight), "data_offsets must be [start, end], got [8,0]"],
    ["offsets against shape", file({ a: f32([3], 0, 8) }, eight), "span 8 bytes, its shape [3] needs 12"],
    ["out of range", file({ a: f32([4], 0, 16) }, eight), "is truncated: tensor a ends"],
    ["overlap", file({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, eight), "tensor b overlaps another one at data byte 4"],
    ["hole", file({ a: f32([1], 4, 8) }, eight), "bytes 0 to 4 of the data belong to no tensor"],
    ["tail", file({ a: f32([1], 0, 4) }, eight), "4 bytes after the last tensor"],
    ["metadata", file({ __metadata__: { step: 3 } }), "__metadata__.step must be a string, got 3"],
    ["entry", file({ a: null }), 'entry "a" must be an object'],
  ])("refuses %s, naming path and reason", (_, bytes, reason) => {
    const read = () => decodeSafetensors(bytes, "runs/x/checkpoints/a.safetensors");
    expect(read).toThrow(DataError);
    expect(read).toThrow("runs/x/checkpoints/a.safetensors: ");
    expect(read).toThrow(reason);
  });

  it("either reads a damaged file or says DataError, never anything else", () => {
    const bytes = encodeSafetensors(sample);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, end) => {
        const damaged = bytes.slice(0, end);
        if (at < end) damaged[at] = value;
        try {
          decodeSafetensors(damaged, "x");
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});
