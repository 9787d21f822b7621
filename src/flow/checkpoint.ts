import { DataError, show } from "../config/errors.ts";

/** A named set of float32 tensors with text metadata: what a safetensors file holds. */
export interface Checkpoint {
  readonly tensors: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly data: Float32Array<ArrayBuffer> }>
  >;
  readonly metadata: Readonly<Record<string, string>>;
}

const METADATA = "__metadata__";
const LENGTH_BYTES = 8;
const ALIGNMENT = 8;
/** The limit of the format's own reader. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * A safetensors file (https://huggingface.co/docs/safetensors): u64 length of the header, header in JSON padded with spaces to 8 bytes,
 * data of the tensors one behind the other in the order given. float32 only; every host with WebGPU is little endian, as the format is.
 * @throws RangeError when a tensor is named `__metadata__` or its data do not fill its shape
 */
export function encodeSafetensors(checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  const entries = Object.entries(checkpoint.tensors);
  let at = 0;
  const described = entries.map(([name, { shape, data }]) => {
    if (name === METADATA) throw new RangeError(`a tensor cannot be named ${METADATA}`);
    const elements = shape.reduce((product, extent) => product * extent, 1);
    if (elements !== data.length)
      throw new RangeError(
        `tensor ${name} of shape [${shape.join(", ")}] must have ${elements} numbers, got ${data.length}`,
      );
    const start = at;
    at += data.byteLength;
    return [name, { dtype: "F32", shape, data_offsets: [start, at] }] as const;
  });
  // fromEntries makes own properties of any name, `__proto__` included.
  const header = new TextEncoder().encode(
    JSON.stringify(Object.fromEntries([[METADATA, checkpoint.metadata], ...described])),
  );
  const dataStart = Math.ceil((LENGTH_BYTES + header.length) / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(dataStart + at).fill(0x20, LENGTH_BYTES + header.length, dataStart);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(dataStart - LENGTH_BYTES), true);
  bytes.set(header, LENGTH_BYTES);
  let to = dataStart;
  for (const [, { data }] of entries) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), to);
    to += data.byteLength;
  }
  return bytes;
}

/**
 * Reads a safetensors file of float32 tensors; the data are copied, so `bytes` may be reused.
 * @param path names the file in errors
 * @throws DataError naming the path and what is wrong: truncated, foreign, another dtype, offsets that overlap or leave the file
 */
export function decodeSafetensors(bytes: Uint8Array, path: string): Checkpoint {
  const fail = (reason: string): never => {
    throw new DataError(path, reason);
  };
  if (bytes.length < LENGTH_BYTES) fail(`must be a safetensors file, but has only ${bytes.length} bytes`);
  const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES || (bytes.length > LENGTH_BYTES && bytes[LENGTH_BYTES] !== 0x7b))
    fail("is not a safetensors file: it does not begin with the length of a header and its {");
  const dataStart = LENGTH_BYTES + headerBytes;
  if (dataStart > bytes.length)
    fail(`is truncated: its header ends at byte ${dataStart}, the file at byte ${bytes.length}`);

  const header = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart), fail);
  const dataBytes = bytes.length - dataStart;
  const metadata: [string, string][] = [];
  const ranges: { name: string; shape: readonly number[]; start: number; end: number }[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === METADATA) {
      if (!isObject(entry)) fail(`${METADATA} must be an object, got ${show(entry)}`);
      for (const [key, value] of Object.entries(entry as object)) {
        if (typeof value !== "string") fail(`${METADATA}.${key} must be a string, got ${show(value)}`);
        metadata.push([key, value]);
      }
      continue;
    }
    if (!isObject(entry)) return fail(`the header's entry ${show(name)} must be an object, got ${show(entry)}`);
    const { dtype, shape, data_offsets: offsets } = entry;
    if (dtype !== "F32") fail(`tensor ${name}: dtype must be F32, got ${show(dtype)}`);
    if (!isCounts(shape)) return fail(`tensor ${name}: shape must be a list of integers >= 0, got ${show(shape)}`);
    if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!)
      return fail(`tensor ${name}: data_offsets must be [start, end], got ${show(offsets)}`);
    const [start, end] = offsets as [number, number];
    const wanted = 4 * shape.reduce((product, extent) => product * extent, 1);
    if (end - start !== wanted)
      fail(`tensor ${name}: data_offsets span ${end - start} bytes, its shape [${shape.join(", ")}] needs ${wanted}`);
    if (end > dataBytes)
      fail(`is truncated: tensor ${name} ends at byte ${dataStart + end}, the file at byte ${bytes.length}`);
    ranges.push({ name, shape, start, end });
  }

  // The format leaves no byte unused, so that a file cannot hide data.
  let covered = 0;
  for (const { name, start, end } of ranges.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (start < covered) fail(`tensor ${name} overlaps another one at data byte ${start}`);
    if (start > covered) fail(`bytes ${covered} to ${start} of the data belong to no tensor`);
    covered = end;
  }
  if (covered !== dataBytes) fail(`${dataBytes - covered} bytes after the last tensor belong to no tensor`);

  const tensors = ranges.map(({ name, shape, start, end }) => {
    // A copy starts at offset 0 of its own buffer, whatever the alignment of `bytes`.
    const copy = new Uint8Array(end - start);
    copy.set(bytes.subarray(dataStart + start, dataStart + end));
    return [name, { shape, data: new Float32Array(copy.buffer) }] as const;
  });
  return { tensors: Object.fromEntries(tensors), metadata: Object.fromEntries(metadata) };
}

function parseHeader(bytes: Uint8Array, fail: (reason: string) => never): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return fail("is not a safetensors file: its header is not JSON");
  }
  return isObject(header) ? header : fail("is not a safetensors file: its header is not a JSON object");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry) && entry >= 0);
}
