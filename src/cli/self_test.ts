/** Small proofs that a device computes what this library takes for granted: whole kernels against plain loops. */
import type { Gpu } from "../gpu/device.ts";
import { type Bindings, type Grid, type Params, Recorder } from "../gpu/recorder.ts";
import { normalTable, RandomStream } from "../model/random.ts";
import type { KernelName } from "../plan/kernel_name.ts";

export interface SelfTest {
  readonly name: string;
  /** `kept` and `lost` are facts about the compiler, not failures: compensation that is lost costs accuracy, nothing else. */
  readonly result: "passed" | "failed" | "kept" | "lost" | "available" | "not offered";
  readonly detail: string;
}

const UNIT_ROUNDOFF = 2 ** -24;

/** Runs every test; one that throws has failed, with the reason as its detail. */
export async function selfTest(gpu: Gpu): Promise<SelfTest[]> {
  const tests: readonly (readonly [string, (gpu: Gpu) => Promise<Omit<SelfTest, "name">>])[] = [
    ["random numbers", testNormal],
    ["matrix product", testMatmul],
    ["compensated sums", testTwoSum],
    ["timestamps", testTimestamps],
  ];
  const results: SelfTest[] = [];
  for (const [name, test] of tests) {
    try {
      results.push({ name, ...(await test(gpu)) });
    } catch (error) {
      results.push({ name, result: "failed", detail: (error as Error).message.split("\n")[0]! });
    }
  }
  return results;
}

/** The device's normal numbers have the bits of the CPU's. */
async function testNormal(gpu: Gpu): Promise<Omit<SelfTest, "name">> {
  const count = 4097;
  const first = 3;
  const stream = new RandomStream(2 ** 40 + 7, "self test");
  const expected = stream.fillNormal(new Float32Array(count), first, 0.75);
  const [actual] = await dispatch(gpu, "random/normal", [16], {
    inputs: { table: Uint32Array.from(normalTable()) },
    outputs: { output: new Float32Array(count) },
    params: { key0: stream.key[0], key1: stream.key[1], first, count, scale: 0.75 },
  });
  const same = new Uint32Array(actual!.buffer);
  const wanted = new Uint32Array(expected.buffer);
  const wrong = wanted.findIndex((bits, i) => bits !== same[i]);
  return wrong < 0
    ? { result: "passed", detail: `${count} normal numbers have the CPU's bits` }
    : { result: "failed", detail: `normal number ${wrong} is ${actual![wrong]}, the CPU has ${expected[wrong]}` };
}

/** y = a b within the rounding of sums in any order: |error| ≤ (k + 2) 2^-24 Σ |a b| (Higham, Accuracy and Stability, 3.5). */
async function testMatmul(gpu: Gpu): Promise<Omit<SelfTest, "name">> {
  const [rows, inner, columns] = [33, 57, 29] as const;
  const a = new RandomStream(1, "a").fillNormal(new Float32Array(rows * inner));
  const b = new RandomStream(1, "b").fillNormal(new Float32Array(inner * columns));
  const [y] = await dispatch(gpu, "dense/matmul", [Math.ceil(columns / 32), Math.ceil(rows / 16)], {
    inputs: { a, b },
    outputs: { y: new Float32Array(rows * columns), second: new Float32Array(rows * columns) },
    params: matmulParams(rows, columns, inner),
  });
  let worst = 0;
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      let size = 0;
      for (let k = 0; k < inner; k++) {
        const term = a[i * inner + k]! * b[k * columns + j]!;
        sum += term;
        size += Math.abs(term);
      }
      const error = Math.abs(y![i * columns + j]! - sum) / ((inner + 2) * UNIT_ROUNDOFF * size);
      // A NaN stays: Math.max hands it on, and it passes no comparison.
      worst = Math.max(worst, error);
    }
  const share = `largest error is ${(100 * worst).toPrecision(2)} % of the float32 bound`;
  return { result: worst <= 1 ? "passed" : "failed", detail: `${rows}×${inner} times ${inner}×${columns}: ${share}` };
}

/** The rounding error that two_sum recovers, y + a b with b = 1, against the exact one; a compiler that reorders sums loses it. */
async function testTwoSum(gpu: Gpu): Promise<Omit<SelfTest, "name">> {
  const count = 1024;
  const before = new RandomStream(2, "before").fillNormal(new Float32Array(count));
  const change = new RandomStream(2, "change").fillNormal(new Float32Array(count), 0, 2 ** -12);
  const [y, second] = await dispatch(
    gpu,
    "dense/matmul",
    [1, Math.ceil(count / 16)],
    {
      inputs: { a: change, b: new Float32Array([1]) },
      outputs: { y: before, second: new Float32Array(count) },
      params: matmulParams(count, 1, 1),
    },
    { EPILOGUE: 4 },
  );
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const next = Math.fround(before[i]! + change[i]!);
    if (y![i] !== next) return { result: "failed", detail: `${before[i]} + ${change[i]} gave ${y![i]}` };
    // Exact in float64: the two summands span fewer than 53 bits, but for changes far below the rounding.
    if (second![i] === Math.fround(before[i]! + change[i]! - next)) kept++;
  }
  return kept === count
    ? { result: "kept", detail: `the rounding errors of ${count} sums are recovered exactly` }
    : { result: "lost", detail: `the compiler reorders sums: ${count - kept} of ${count} rounding errors are wrong` };
}

async function testTimestamps(gpu: Gpu): Promise<Omit<SelfTest, "name">> {
  if (!gpu.timestamps) return { result: "not offered", detail: "the adapter has no timestamp-query" };
  const recorder = new Recorder(gpu);
  const count = 65_536;
  const table = gpu.upload("table", Uint32Array.from(normalTable()));
  const output = gpu.tensor("output", 4 * count);
  try {
    const kernel = await gpu.kernel("random/normal");
    recorder.startProfile();
    recorder.dispatch(kernel, { table, output }, { key0: 1, key1: 2, first: 0, count, scale: 1 }, [512]);
    recorder.submit();
    await gpu.settle();
    const nanoseconds = (await recorder.endProfile()).get("random/normal")?.nanoseconds ?? 0;
    return nanoseconds > 0
      ? { result: "available", detail: `${(nanoseconds / 1e6).toPrecision(3)} ms for ${count} normal numbers` }
      : { result: "failed", detail: `a dispatch of ${count} invocations took ${nanoseconds} ns by its timestamps` };
  } finally {
    recorder.destroy();
    gpu.release(table, output);
  }
}

/** One dispatch with its own buffers; returns the outputs as they are afterwards. */
async function dispatch(
  gpu: Gpu,
  name: KernelName,
  grid: Grid,
  work: {
    readonly inputs: Readonly<Record<string, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>>;
    readonly outputs: Readonly<Record<string, Float32Array<ArrayBuffer>>>;
    readonly params: Params;
  },
  constants: Readonly<Record<string, number>> = {},
): Promise<Float32Array<ArrayBuffer>[]> {
  const kernel = await gpu.kernel(name, constants);
  const recorder = new Recorder(gpu);
  const upload = ([binding, data]: [string, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>]) =>
    [binding, gpu.upload(binding, data)] as const;
  const inputs = Object.entries(work.inputs).map(upload);
  const outputs = Object.entries(work.outputs).map(upload);
  try {
    recorder.dispatch(kernel, Object.fromEntries([...inputs, ...outputs]) satisfies Bindings, work.params, grid);
    recorder.submit();
    const results: Float32Array<ArrayBuffer>[] = [];
    for (const [binding, tensor] of outputs) results.push(await gpu.read(tensor, 0, work.outputs[binding]!.byteLength));
    await gpu.settle();
    return results;
  } finally {
    recorder.destroy();
    gpu.release(...[...inputs, ...outputs].map(([, tensor]) => tensor));
  }
}

/** Row-major, without gaps, alpha = 1. */
function matmulParams(rows: number, columns: number, inner: number): Params {
  const strides = { a_row: inner, a_column: 1, b_row: columns, b_column: 1, y_row: columns, y_column: 1 };
  return {
    rows,
    columns,
    inner,
    ...strides,
    a_at: 0,
    b_at: 0,
    y_at: 0,
    from_at: 0,
    a_layer: 0,
    b_layer: 0,
    y_layer: 0,
    alpha: 1,
  };
}
