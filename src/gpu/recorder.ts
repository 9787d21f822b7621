import { BUFFER_USAGE, type Gpu, MAP_READ, type Tensor } from "./device.ts";
import { KernelError } from "./errors.ts";
import type { Kernel } from "./kernel.ts";

/** A range of a tensor; without offset and size the whole of it. */
export interface Range {
  readonly tensor: Tensor;
  readonly offset?: number;
  readonly bytes?: number;
}
export type Bindings = Readonly<Record<string, Tensor | Range>>;
export type Params = Readonly<Record<string, number>>;
export type Grid = readonly [x: number, y?: number, z?: number];

const SLOT_BYTES = 256; // minUniformBufferOffsetAlignment of every adapter
const PARAMS_SLOTS = 4096;
const TIMED_DISPATCHES = 2048;

/** GPU time of one kernel over the passes measured: their sum, and each. */
export interface KernelTime {
  readonly nanoseconds: number;
  readonly passes: readonly number[];
}

/**
 * Turns dispatches into one encoder, one pass and one submit. Uniform values of all dispatches lie in one buffer,
 * written once before the submit; bind groups are cached by kernel and ranges.
 */
export class Recorder {
  readonly #gpu: Gpu;
  readonly #params: Tensor;
  readonly #staging = new ArrayBuffer(PARAMS_SLOTS * SLOT_BYTES);
  readonly #view = new DataView(this.#staging);
  readonly #mapPool = new Map<number, GPUBuffer[]>();
  #slots = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #reads: { staging: GPUBuffer; bytes: number; resolve: (v: ArrayBuffer) => void; reject: (e: unknown) => void }[] = [];
  #profile: Profile | undefined;

  /** Counters since creation; `dispatches` and `submits` are what `plan` promises. */
  dispatches = 0;
  submits = 0;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#params = gpu.tensor("params", PARAMS_SLOTS * SLOT_BYTES, BUFFER_USAGE.UNIFORM);
  }

  get gpu(): Gpu {
    return this.#gpu;
  }

  /** Share of a submit's parameter slots already used; the caller submits before it reaches 1. */
  get fullness(): number {
    return this.#slots / PARAMS_SLOTS;
  }

  /**
   * Records one dispatch. Bindings and params are given by the names in the shader.
   * @throws KernelError naming what is missing or superfluous.
   */
  dispatch(kernel: Kernel, bindings: Bindings, params: Params, grid: Grid): void {
    const { facts } = kernel;
    const [x, y = 1, z = 1] = grid;
    if (x * y * z === 0) return;
    // Bind groups hold this recorder's params: another recorder's are of no use, and they die with them.
    let key = `${kernel.id}|${this.#params.id}`;
    const tensors: number[] = [this.#params.id];
    let given = 0;
    for (const { name, access } of facts.bindings) {
      if (access === "uniform") continue;
      const range = asRange(bindings[name]);
      if (!range) throw new KernelError(kernel.name, `binding ${name} is missing`);
      given++;
      tensors.push(range.tensor.id);
      key += `|${range.tensor.id}:${range.offset ?? 0}:${range.bytes ?? ""}`;
    }
    if (given !== Object.keys(bindings).length)
      throw new KernelError(
        kernel.name,
        `no binding named ${Object.keys(bindings).filter((name) => !facts.bindings.some((b) => b.name === name))}`,
      );
    const offset = this.#writeParams(kernel, params);
    const group = this.#gpu.bindGroup(key, tensors, () => this.#makeGroup(kernel, bindings));
    const pass = this.#openPass(kernel.name);
    pass.setPipeline(kernel.pipeline);
    pass.setBindGroup(0, group, facts.paramsBytes > 0 ? [offset] : []);
    pass.dispatchWorkgroups(x, y, z);
    if (this.#profile?.scope === "dispatch") this.#closePass();
    this.dispatches++;
  }

  copy(from: Range, to: Range, bytes: number): void {
    this.#closePass();
    this.#open().copyBufferToBuffer(from.tensor.buffer, from.offset ?? 0, to.tensor.buffer, to.offset ?? 0, bytes);
  }

  clear(range: Range): void {
    this.#closePass();
    this.#open().clearBuffer(range.tensor.buffer, range.offset ?? 0, range.bytes ?? range.tensor.bytes);
  }

  /** Bytes of a tensor as they stand at this point of the recording; resolves after the submit, through a pooled map buffer. */
  read(tensor: Tensor, offset: number, bytes: number): Promise<ArrayBuffer> {
    this.#closePass();
    const staging =
      this.#mapPool.get(bytes)?.pop() ??
      this.#gpu.device.createBuffer({
        label: "readback",
        size: bytes,
        usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
      });
    this.#open().copyBufferToBuffer(tensor.buffer, offset, staging, 0, bytes);
    return new Promise((resolve, reject) => this.#reads.push({ staging, bytes, resolve, reject }));
  }

  /**
   * Submits what was recorded. Reads resolve on their own; nothing here waits.
   * `expectedMs`: how long the work is expected to take, if known.
   */
  submit(expectedMs = 0): void {
    this.#gpu.check();
    this.#closePass();
    if (!this.#encoder) return;
    if (this.#slots > 0)
      this.#gpu.device.queue.writeBuffer(this.#params.buffer, 0, this.#staging, 0, this.#slots * SLOT_BYTES);
    this.#profile?.resolve(this.#encoder);
    this.#gpu.device.queue.submit([this.#encoder.finish()]);
    this.submits++;
    this.#encoder = undefined;
    this.#slots = 0;
    const reads = this.#reads;
    this.#reads = [];
    const map = () => {
      for (const { staging, bytes, resolve, reject } of reads) {
        this.#gpu.guard(staging.mapAsync(MAP_READ)).then(() => {
          const copy = staging.getMappedRange().slice(0);
          staging.unmap();
          const pool = this.#mapPool.get(bytes);
          if (pool) pool.push(staging);
          else this.#mapPool.set(bytes, [staging]);
          resolve(copy);
        }, reject);
      }
    };
    // While a map is pending, Dawn in Node polls without rest and takes a core from the software adapter's own work:
    // a step of 36 ms then lasted 55 (two cores, 2026-11-23). So the map is asked for when the work is nearly done.
    const rest = this.#gpu.profile.kind === "software" ? 0.85 * expectedMs : 0;
    if (reads.length > 0 && rest >= 2) setTimeout(map, rest);
    else map();
  }

  /**
   * From now on passes carry timestamps, if the device offers them.
   * `scope`: every dispatch is a pass of its own, or a pass lasts until `endPass()` and bears its first kernel's name.
   */
  startProfile(scope: ProfileScope = "dispatch"): boolean {
    if (!this.#gpu.timestamps) return false;
    this.#profile = new Profile(this.#gpu.device, scope);
    return true;
  }

  /** What is recorded next goes into a new pass. */
  endPass(): void {
    this.#closePass();
  }

  /** GPU time by kernel since `startProfile()`, of dispatches submitted so far. */
  async endProfile(): Promise<Map<string, KernelTime>> {
    const profile = this.#profile;
    this.#profile = undefined;
    return profile ? profile.times() : new Map();
  }

  /** Frees the recorder's own buffers. */
  destroy(): void {
    this.#gpu.release(this.#params);
    for (const pool of this.#mapPool.values()) for (const buffer of pool) buffer.destroy();
    this.#mapPool.clear();
  }

  #writeParams(kernel: Kernel, params: Params): number {
    const { facts } = kernel;
    const names = Object.keys(params);
    if (names.length !== facts.params.length)
      throw new KernelError(kernel.name, `params are ${facts.params.map((p) => p.name)}, got ${names}`);
    if (facts.paramsBytes === 0) return 0;
    // A matrix product a layer needs thousands of dispatches a step; the queue keeps their order over submits.
    if (this.#slots === PARAMS_SLOTS) this.submit();
    const base = this.#slots++ * SLOT_BYTES;
    for (const { name, offset, type } of facts.params) {
      const value = params[name];
      if (value === undefined) throw new KernelError(kernel.name, `param ${name} is missing`);
      if (type === "f32") this.#view.setFloat32(base + offset, value, true);
      else if (type === "u32") this.#view.setUint32(base + offset, value, true);
      else this.#view.setInt32(base + offset, value, true);
    }
    return base;
  }

  #makeGroup(kernel: Kernel, bindings: Bindings): GPUBindGroup {
    return this.#gpu.device.createBindGroup({
      label: kernel.name,
      layout: kernel.layout,
      entries: kernel.facts.bindings.map(({ name, index, access }) => {
        if (access === "uniform")
          return { binding: index, resource: { buffer: this.#params.buffer, size: kernel.facts.paramsBytes } };
        const { tensor, offset = 0, bytes } = asRange(bindings[name])!;
        return { binding: index, resource: { buffer: tensor.buffer, offset, size: bytes ?? tensor.bytes - offset } };
      }),
    });
  }

  #open(): GPUCommandEncoder {
    this.#encoder ??= this.#gpu.device.createCommandEncoder({ label: "deeplimit" });
    return this.#encoder;
  }

  #openPass(label: string): GPUComputePassEncoder {
    if (this.#pass) return this.#pass;
    const timestampWrites = this.#profile?.next(label);
    this.#pass = this.#open().beginComputePass(timestampWrites ? { label, timestampWrites } : { label: "deeplimit" });
    return this.#pass;
  }

  #closePass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }
}

function asRange(binding: Tensor | Range | undefined): Range | undefined {
  return binding === undefined || "tensor" in binding ? (binding as Range | undefined) : { tensor: binding };
}

type ProfileScope = "dispatch" | "pass";

class Profile {
  readonly scope: ProfileScope;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #device: GPUDevice;
  readonly #labels: string[] = [];

  constructor(device: GPUDevice, scope: ProfileScope) {
    this.#device = device;
    this.scope = scope;
    this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * TIMED_DISPATCHES });
    this.#resolved = device.createBuffer({
      label: "timestamps",
      size: 16 * TIMED_DISPATCHES,
      usage: BUFFER_USAGE.QUERY_RESOLVE | BUFFER_USAGE.COPY_SRC,
    });
  }

  next(label: string): GPUComputePassTimestampWrites | undefined {
    const index = this.#labels.length;
    if (index === TIMED_DISPATCHES) return undefined;
    this.#labels.push(label);
    return { querySet: this.#queries, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 };
  }

  resolve(encoder: GPUCommandEncoder): void {
    if (this.#labels.length > 0) encoder.resolveQuerySet(this.#queries, 0, 2 * this.#labels.length, this.#resolved, 0);
  }

  async times(): Promise<Map<string, KernelTime>> {
    const times = new Map<string, KernelTime>();
    const bytes = 16 * this.#labels.length;
    if (bytes > 0) {
      const staging = this.#device.createBuffer({ size: bytes, usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST });
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, bytes);
      this.#device.queue.submit([encoder.finish()]);
      await staging.mapAsync(MAP_READ);
      const stamps = new BigUint64Array(staging.getMappedRange());
      this.#labels.forEach((label, i) => {
        const before = times.get(label) ?? { nanoseconds: 0, passes: [] };
        const nanoseconds = Number(stamps[2 * i + 1]! - stamps[2 * i]!);
        times.set(label, {
          nanoseconds: before.nanoseconds + nanoseconds,
          passes: [...before.passes, nanoseconds],
        });
      });
      staging.destroy();
    }
    this.#queries.destroy();
    this.#resolved.destroy();
    return times;
  }
}
