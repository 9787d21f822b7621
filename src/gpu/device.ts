import type { DeviceProfile } from "../plan/device_profile.ts";
import type { KernelName } from "../plan/kernel_name.ts";
import type { Tuning } from "../plan/tuning.ts";
import { DeviceError } from "./errors.ts";
import { compileKernel, type Kernel } from "./kernel.ts";
import type { Constants, ShaderPart } from "./specialise.ts";

/** A GPU buffer with its label, size and an identity for caches. */
export interface Tensor {
  readonly id: number;
  readonly label: string;
  readonly bytes: number;
  readonly buffer: GPUBuffer;
}

export interface AdapterFacts {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly software: boolean;
  /** How the adapter was found, e.g. "system" or "SwiftShader from npm". */
  readonly via: string;
}

export interface OpenOptions {
  readonly adapter: GPUAdapter;
  /** Anything that must outlive the device; Dawn's instance crashes the process when collected earlier. */
  readonly keepAlive?: unknown;
  readonly via: string;
  /** Workgroups that run side by side, if known (host cores on a software adapter). */
  readonly parallelGroups?: number;
  /** Pretend that subgroups are not offered. */
  readonly withoutSubgroups?: boolean;
}

// Dawn's `create()` object must stay reachable as long as a device lives, or the process hangs or aborts
// (reproduced with webgpu 0.6.2 under forced collection, 2026-11).
const alive = new Set<unknown>();

const WANTED_LIMITS = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
] as const;

/** One WebGPU device: its limits, buffers, compiled kernels, and the errors it reported. */
export class Gpu {
  readonly device: GPUDevice;
  readonly facts: AdapterFacts;
  #profile: DeviceProfile;
  readonly timestamps: boolean;
  readonly features: readonly string[];

  /** Bytes of live buffers, and the largest that number has been. */
  bytesInUse = 0;
  peakBytes = 0;

  readonly #keepAlive: unknown;
  readonly #kernels = new Map<string, Promise<Kernel>>();
  readonly #tensors = new Map<number, Tensor>();
  readonly #bindGroups = new Map<string, { group: GPUBindGroup; tensors: readonly number[] }>();
  #nextId = 1;
  #failure: DeviceError | undefined;
  #pending: Promise<void>[] = [];
  #closed = false;

  private constructor(device: GPUDevice, facts: AdapterFacts, options: OpenOptions) {
    this.device = device;
    this.facts = facts;
    this.#keepAlive = { options: options.keepAlive, device };
    alive.add(this.#keepAlive);
    this.features = [...device.features].sort();
    this.timestamps = device.features.has("timestamp-query");
    const { limits } = device;
    this.#profile = {
      kind: facts.software ? "software" : "hardware",
      subgroups: device.features.has("subgroups") && options.withoutSubgroups !== true,
      subgroupSize: options.adapter.info.subgroupMinSize || 4,
      maxBindingBytes: limits.maxStorageBufferBindingSize,
      // A buffer of exactly the limit fails on SwiftShader (1 GiB refused, 1,023 MiB accepted; 2026-11).
      maxBufferBytes: facts.software ? limits.maxBufferSize - 1_048_576 : limits.maxBufferSize,
      maxWorkgroupStorageBytes: limits.maxComputeWorkgroupStorageSize,
      maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
      maxGroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      offsetAlignment: limits.minStorageBufferOffsetAlignment,
      parallelGroups: options.parallelGroups ?? (facts.software ? 2 : 128),
    };
    device.lost.then((info) => {
      if (!this.#closed) this.#fail(new DeviceError("device_lost", `device lost (${info.reason}): ${info.message}`));
    });
    device.onuncapturederror = (event) => {
      event.preventDefault();
      this.#fail(fromGpuError(event.error));
    };
  }

  /**
   * Requests a device with the adapter's own limits, and subgroups, timestamp queries and half precision where offered.
   * @throws DeviceError `unsupported` when the adapter refuses a device.
   */
  static async open(options: OpenOptions): Promise<Gpu> {
    const { adapter } = options;
    const requiredLimits: Record<string, number> = {};
    for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
    const wanted: GPUFeatureName[] = ["subgroups", "timestamp-query", "shader-f16"];
    const requiredFeatures = wanted.filter((feature) => adapter.features.has(feature));
    let device: GPUDevice;
    try {
      device = await adapter.requestDevice({ requiredFeatures, requiredLimits, label: "deeplimit" });
    } catch (error) {
      throw new DeviceError("unsupported", `the adapter refused a device: ${(error as Error).message}`);
    }
    const info = adapter.info;
    const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
    const facts: AdapterFacts = {
      vendor: info.vendor,
      architecture: info.architecture,
      device: info.device,
      description: info.description,
      software: info.isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe|\bcpu\b/.test(text),
      via: options.via,
    };
    return new Gpu(device, facts, options);
  }

  /** What plans are made for. */
  get profile(): DeviceProfile {
    return this.#profile;
  }

  /** From now on plans take these measured choices, as `deeplimit tune` or an earlier session found them. */
  useTuning(tuning: Tuning): void {
    this.#profile = { ...this.#profile, tuning };
  }

  /** One line that says which adapter this is. */
  get name(): string {
    const { facts } = this;
    const name = facts.description || facts.device || facts.architecture || facts.vendor || "unnamed adapter";
    return facts.software ? `${name} (software, ${facts.via})` : `${name} (${facts.via})`;
  }

  /** Compiles a kernel variant, with functions of `part` in place of its own, or returns the one compiled earlier. */
  kernel(name: KernelName, constants: Constants = {}, part?: ShaderPart): Promise<Kernel> {
    const key = `${name} ${JSON.stringify(Object.entries(constants).sort())} ${part?.source ?? ""}`;
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      kernel = compileKernel(this.device, this.profile.subgroups, name, constants, part);
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }

  /**
   * A zeroed storage buffer of `bytes` (rounded up to 16).
   * @throws DeviceError `out_of_memory` when over the adapter's largest buffer; an allocation that fails later is
   * reported by the next `check()` or `settle()`.
   */
  tensor(label: string, bytes: number, usage = 0): Tensor {
    this.check();
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    if (size > this.profile.maxBufferBytes)
      throw new DeviceError(
        "out_of_memory",
        `needs ${formatBytes(size)}, the adapter's largest buffer is ${formatBytes(this.profile.maxBufferBytes)}`,
        label,
      );
    this.device.pushErrorScope("out-of-memory");
    const buffer = this.device.createBuffer({
      label,
      size,
      usage: usage | BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST,
    });
    this.#pending.push(
      this.device.popErrorScope().then(
        (error) => {
          if (error) this.#fail(new DeviceError("out_of_memory", `could not allocate ${formatBytes(size)}`, label));
        },
        () => {},
      ),
    );
    const tensor: Tensor = { id: this.#nextId++, label, bytes: size, buffer };
    this.#tensors.set(tensor.id, tensor);
    this.bytesInUse += size;
    this.peakBytes = Math.max(this.peakBytes, this.bytesInUse);
    return tensor;
  }

  /** A storage buffer holding `data`. */
  upload(label: string, data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): Tensor {
    const tensor = this.tensor(label, data.byteLength);
    this.write(tensor, data);
    return tensor;
  }

  write(tensor: Tensor, data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>, offsetBytes = 0): void {
    this.device.queue.writeBuffer(tensor.buffer, offsetBytes, data);
  }

  /** Frees a buffer and every bind group that names it. */
  release(...tensors: readonly (Tensor | undefined)[]): void {
    const ids = new Set<number>();
    for (const tensor of tensors) {
      if (!tensor || !this.#tensors.delete(tensor.id)) continue;
      ids.add(tensor.id);
      tensor.buffer.destroy();
      this.bytesInUse -= tensor.bytes;
    }
    if (ids.size === 0) return;
    for (const [key, entry] of this.#bindGroups)
      if (entry.tensors.some((id) => ids.has(id))) this.#bindGroups.delete(key);
  }

  /** Bind group cached by kernel and ranges; made once, found by every later dispatch. */
  bindGroup(key: string, tensors: readonly number[], make: () => GPUBindGroup): GPUBindGroup {
    const found = this.#bindGroups.get(key);
    if (found) return found.group;
    const group = make();
    this.#bindGroups.set(key, { group, tensors });
    return group;
  }

  /** Bytes from a buffer, after all submitted work. */
  async read(tensor: Tensor, offsetBytes = 0, bytes = tensor.bytes - offsetBytes): Promise<Float32Array<ArrayBuffer>> {
    this.check();
    const size = Math.ceil(bytes / 4) * 4;
    const staging = this.device.createBuffer({
      label: `read ${tensor.label}`,
      size,
      usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
    });
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(tensor.buffer, offsetBytes, staging, 0, size);
      this.device.queue.submit([encoder.finish()]);
      await this.guard(staging.mapAsync(MAP_READ));
      return new Float32Array(staging.getMappedRange().slice(0));
    } finally {
      staging.destroy();
    }
  }

  /** Waits for submitted work and throws what went wrong meanwhile. */
  async settle(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    await Promise.all(pending);
    await this.guard(this.device.queue.onSubmittedWorkDone());
  }

  /** Awaits a device promise; a latched device failure takes the place of its rejection. */
  async guard<T>(promise: Promise<T>): Promise<T> {
    try {
      const value = await promise;
      this.check();
      return value;
    } catch (error) {
      this.check();
      throw error instanceof DeviceError ? error : new DeviceError("internal", (error as Error).message);
    }
  }

  /** Throws the first failure the device reported, if any. */
  check(): void {
    if (this.#failure) throw this.#failure;
    if (this.#closed) throw new DeviceError("device_lost", "the device is closed");
  }

  /** Destroys every buffer and the device. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const tensor of this.#tensors.values()) tensor.buffer.destroy();
    this.#tensors.clear();
    this.#bindGroups.clear();
    this.bytesInUse = 0;
    this.device.destroy();
    alive.delete(this.#keepAlive);
  }

  #fail(error: DeviceError): void {
    this.#failure ??= error;
  }
}

function fromGpuError(error: GPUError): DeviceError {
  const kind = /OutOfMemory/.test(error.constructor.name)
    ? "out_of_memory"
    : /Validation/.test(error.constructor.name)
      ? "validation"
      : "internal";
  // Dawn names the guilty object as [Kind "label"]; the first label is the innermost one.
  const label = /\[\w+ "([^"]+)"\]/.exec(error.message)?.[1];
  return new DeviceError(kind, error.message.trim(), label);
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit]}`;
}

// The numbers of GPUBufferUsage and GPUMapMode (WebGPU specification): the globals do not exist in Node.
export const BUFFER_USAGE = {
  MAP_READ: 0x1,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  QUERY_RESOLVE: 0x200,
} as const;
export const MAP_READ = 1;
