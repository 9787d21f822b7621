import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, describe, expect, test } from "vitest";
import type { FlowInput } from "../../src/config/flow.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { DeviceError, KernelError } from "../../src/gpu/errors.ts";
import { type AdapterChoice, openNode } from "../../src/gpu/node_adapter.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { dispatchesPerStep } from "../../src/plan/dense.ts";
import { relativeError } from "../support/compare.ts";
import { denseProblem, deviceFlow, gradientBound, referenceFlow } from "../support/dense_problem.ts";
import { openTestDevice } from "../support/device.ts";

const gpu = await openTestDevice();
const problem = denseProblem();

/** A device of its own, for what leaves the shared one unusable. */
async function ownDevice(withoutSubgroups = false): Promise<Gpu> {
  const adapter = (process.env.DEEPLIMIT_ADAPTER ?? "swiftshader") as AdapterChoice;
  const opened = await openNode({ adapter, withoutSubgroups });
  afterAll(() => opened.gpu.close());
  return opened.gpu;
}

async function rejection(promise: Promise<unknown>): Promise<DeviceError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DeviceError);
  return error as DeviceError;
}

describe("memory", () => {
  test.each([
    { rate: 0.1 },
    { rate: 0.1, optimiser: "adam" },
    { rate: 0.1, optimiser: "momentum", clip: { kind: "norm", bound: 1 } },
    { rate: 0.1, method: "rk4" },
    { rate: 0.1, method: "adaptive", clip: { kind: "norm", bound: 1 } },
  ] satisfies Omit<FlowInput, "stop">[])("is back to what it was after destroy(): %o", async (input) => {
    const before = gpu.bytesInUse;
    const { flow, destroy } = await deviceFlow(gpu, problem, { ...input, stop: { steps: 2 } });
    await flow.advance();
    expect(gpu.bytesInUse).toBeGreaterThan(before);
    expect(gpu.peakBytes).toBeGreaterThanOrEqual(gpu.bytesInUse);
    destroy();
    expect(gpu.bytesInUse).toBe(before);
    expect(before).toBe(0);
  });

  test("the plan's bytes are those of the pass", async () => {
    const { pass, destroy } = await deviceFlow(gpu, problem, { rate: 0.1, stop: { steps: 1 } });
    const planned = Object.values(pass.plan.tensors).reduce((sum, bytes) => sum + Math.max(16, bytes), 0);
    // Besides: two small gradients, a placeholder, and rounding to 16.
    expect(pass.bytes).toBeGreaterThanOrEqual(planned);
    expect(pass.bytes).toBeLessThan(planned + 1024);
    destroy();
  });
});

// Dawn's instance aborts the process when it is collected while a device lives.
test("a device survives forced garbage collection", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const own = await ownDevice();
  for (let i = 0; i < 5; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const tensor = own.upload("kept", Float32Array.of(i, 2));
    collect();
    expect([...(await own.read(tensor, 0, 8))]).toEqual([i, 2]);
    own.release(tensor);
  }
  own.close();
  collect();
});

describe("errors", () => {
  test("a tensor above the largest buffer is out of memory and named", () => {
    const bytes = gpu.profile.maxBufferBytes + 16;
    expect(() => gpu.tensor("states of 7 rows", bytes)).toThrow(DeviceError);
    try {
      gpu.tensor("states of 7 rows", bytes);
    } catch (error) {
      expect(error).toMatchObject({ kind: "out_of_memory", label: "states of 7 rows" });
      expect((error as Error).message).toMatch(/states of 7 rows: needs .*iB, the adapter's largest buffer is/);
    }
    // Control: nothing stays behind, and the device works on.
    expect(gpu.bytesInUse).toBe(0);
    gpu.release(gpu.tensor("small", 16));
  });

  test("what is missing or superfluous in a dispatch is named", async () => {
    const kernel = await gpu.kernel("metric/sum");
    const recorder = new Recorder(gpu);
    const x = gpu.tensor("x", 64);
    const y = gpu.tensor("y", 64);
    const params = { count: 1, at: 0 };
    expect(() => recorder.dispatch(kernel, { x }, params, [1])).toThrow(/metric\/sum: binding y is missing/);
    expect(() => recorder.dispatch(kernel, { x, y, z: x }, params, [1])).toThrow(/metric\/sum: no binding named z/);
    expect(() => recorder.dispatch(kernel, { x, y }, { count: 1 }, [1])).toThrow(/metric\/sum: params are count,at/);
    expect(() => recorder.dispatch(kernel, { x, y }, { count: 1, to: 0 }, [1])).toThrow(
      /metric\/sum: param at is missing/,
    );
    expect(() => recorder.dispatch(kernel, { x, y }, { ...params, z: 0 }, [1])).toThrow(KernelError);
    // Control.
    recorder.dispatch(kernel, { x, y }, params, [1]);
    recorder.submit();
    await gpu.settle();
    recorder.destroy();
    gpu.release(x, y);
  });

  test("an unknown constant of a kernel is an error", async () => {
    await expect(gpu.kernel("metric/sum", { WIDHT: 4 })).rejects.toThrow(/WIDHT/);
  });

  test("a shader that does not compile shows the compiler's message and the numbered source", async () => {
    const failed = await gpu.kernel("metric/sum", { WORKGROUP: -1 }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failed).toBeInstanceOf(KernelError);
    expect(failed).toMatchObject({ kernel: "metric/sum" });
    expect((failed as KernelError).source).toContain("WORKGROUP");
  });

  test("a validation error of the device names the guilty object and stays", async () => {
    const own = await ownDevice();
    const recorder = new Recorder(own);
    const x = own.tensor("partial sums", 1024);
    const y = own.tensor("y", 64);
    recorder.dispatch(await own.kernel("metric/sum"), { x: { tensor: x, offset: 4 }, y }, { count: 1, at: 0 }, [1]);
    const error = await rejection(
      (async () => {
        recorder.submit();
        await own.settle();
      })(),
    );
    expect(error).toMatchObject({ kind: "validation", label: "partial sums" });
    expect(error.message).toContain("metric/sum");
    expect(() => own.tensor("more", 16)).toThrow(error);
    expect(await rejection(own.settle())).toBe(error);
    own.close();
  });

  test("a closed device says so", async () => {
    const own = await ownDevice();
    own.tensor("left", 16);
    own.close();
    expect(own.bytesInUse).toBe(0);
    expect(() => own.tensor("late", 16)).toThrow(/closed/);
    own.close();
  });
});

test("without subgroups the plan takes tiles, and the results are right", async () => {
  const own = await ownDevice(true);
  expect(own.profile.subgroups).toBe(false);
  const input: FlowInput = { rate: 0.05, stop: { steps: 3 } };
  const { stack, pass, flow, destroy } = await deviceFlow(own, problem, input);
  expect(pass.plan.layout).toBe("tile");
  await flow.advance();
  const change = await stack.readChange();
  const expected = referenceFlow(problem, input, 3);
  for (const key of ["A", "V", "W", "B"] as const)
    expect(relativeError(change[key], expected.change[key])).toBeLessThan(4 * gradientBound(problem));
  destroy();
  own.close();
});

describe("recorder", () => {
  test("submits and dispatches of a step do not depend on depth", async () => {
    const count = async (depth: number) => {
      const { flow, pass, destroy } = await deviceFlow(gpu, denseProblem({ depth }), {
        rate: 0.01,
        stop: { steps: 9 },
      });
      expect(pass.plan.segments.length).toBe(1);
      await flow.advance({ steps: 1 });
      const { submits, dispatches } = flow.recorder;
      await flow.advance({ steps: 1 });
      const step = [flow.recorder.submits - submits, flow.recorder.dispatches - dispatches];
      expect(step[1], "as planned").toBe(dispatchesPerStep(pass.plan, flow.config.trained));
      destroy();
      return step;
    };
    const shallow = await count(3);
    expect(await count(48)).toEqual(shallow);
    expect(shallow[0]).toBe(1);
  });

  // Every recorder has params of its own: a bind group of one must not serve the other.
  test("two recorders on the same tensors keep their params apart", async () => {
    const kernel = await gpu.kernel("metric/sum");
    const x = gpu.upload(
      "x",
      Float32Array.from({ length: 64 }, () => 1),
    );
    const y = gpu.tensor("y", 32);
    const [first, second] = [new Recorder(gpu), new Recorder(gpu)];
    first.dispatch(kernel, { x, y }, { count: 3, at: 0 }, [1]);
    second.dispatch(kernel, { x, y }, { count: 5, at: 1 }, [1]);
    first.submit();
    second.submit();
    expect([...(await gpu.read(y, 0, 16))]).toEqual([3, 3, 5, 5]);
    first.destroy();
    second.dispatch(kernel, { x, y }, { count: 7, at: 1 }, [1]);
    second.submit();
    expect([...(await gpu.read(y, 0, 16))]).toEqual([3, 3, 7, 7]);
    second.destroy();
    gpu.release(x, y);
  });

  test("more dispatches than one submit's params keep their order", async () => {
    const kernel = await gpu.kernel("metric/sum");
    const x = gpu.upload(
      "x",
      Float32Array.from({ length: 8 }, () => 1),
    );
    const y = gpu.tensor("y", 32);
    const recorder = new Recorder(gpu);
    for (let i = 0; i < 5000; i++) recorder.dispatch(kernel, { x, y }, { count: 1 + (i % 4), at: i % 3 }, [1]);
    recorder.submit();
    expect(recorder.submits).toBe(2);
    // The last ones at 0, 1, 2: i = 4998, 4999, 4997.
    expect([...(await gpu.read(y, 0, 24))]).toEqual([3, 3, 4, 4, 2, 2]);
    recorder.destroy();
    gpu.release(x, y);
  });

  test("a read in the middle of a recording sees that moment", async () => {
    const kernel = await gpu.kernel("metric/sum");
    const x = gpu.upload("x", Float32Array.of(1, 2, 3, 4));
    const y = gpu.tensor("y", 16);
    const recorder = new Recorder(gpu);
    recorder.dispatch(kernel, { x, y }, { count: 1, at: 0 }, [1]);
    const early = recorder.read(y, 0, 8);
    recorder.dispatch(kernel, { x, y }, { count: 2, at: 0 }, [1]);
    const late = recorder.read(y, 0, 8);
    recorder.submit();
    expect([...new Float32Array(await early)]).toEqual([1, 2]);
    expect([...new Float32Array(await late)]).toEqual([4, 6]);
    recorder.destroy();
    gpu.release(x, y);
  });
});
