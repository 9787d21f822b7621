import { ConfigError } from "../../../src/config/errors.ts";
import type { Digits } from "../../../src/data/digits_text.ts";
import { planOf, specOf } from "../../../src/experiment/single_training/config.ts";
import { createTraining, type Training } from "../../../src/experiment/training.ts";
import type { Checkpoint } from "../../../src/flow/checkpoint.ts";
import { checkpointTraining, restoreTraining } from "../../../src/flow/training_checkpoint.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Family, Frame, RunStatus, SlotConfig, TrainingReply, TrainingRequest } from "../training/protocol.ts";
import type { DeviceHost } from "./device_host.ts";
import { loadDigits } from "./digits_data.ts";
import { readEntries, readRoughness } from "./layer_samples.ts";

/** Work given to the device at a time, ms: a GPU that also draws the page must come back within a frame; a processor need not. */
const CHUNK_MS = { hardware: 10, software: 100 };
/** Least time between pictures, and between checkpoints, ms; both are rarer where they would cost more than this share of the time. */
const FRAME_MS = 100;
const FRAME_SHARE = 0.06;
const CHECKPOINT_MS = 10_000;
const CHECKPOINT_SHARE = 0.02;
const ROUGHNESS_MS = 1_000;
/** Steps are timed over about this long, ms. */
const TIMING_MS = 1_000;

/** A network, and the deeper one it is compared with. */
interface Slot {
  readonly config: SlotConfig;
  readonly training: Training;
  readonly reference: Training | undefined;
  stepMs: number;
  roughness: Record<Family, number | null>;
  roughnessAt: number;
}

interface SavedSlot {
  readonly training: Checkpoint;
  readonly reference: Checkpoint | undefined;
}

/** Trains one or two networks on one clock: the one that is behind in training time goes next. Requests are served in order. */
export class TrainingService {
  readonly #device: DeviceHost;
  readonly #post: (reply: TrainingReply) => void;
  #gpu: Gpu | undefined;
  #configs: readonly SlotConfig[] = [];
  #slots: Slot[] = [];
  #saved: readonly SavedSlot[] | undefined;
  #queue: Promise<void> = Promise.resolve();
  #running = false;
  #stepped = false;

  constructor(device: DeviceHost, post: (reply: TrainingReply) => void) {
    this.#device = device;
    this.#post = post;
  }

  receive(request: TrainingRequest): void {
    // Whatever comes ends the present run after the work it has given to the device.
    this.#running = request.kind === "run" || request.kind === "resume";
    switch (request.kind) {
      case "configure":
        this.#enqueue(() => this.#configure(request.slots));
        break;
      case "run":
        this.#enqueue(() => this.#run());
        break;
      case "pause":
        this.#enqueue(async () => this.#tellStatus());
        break;
      case "step":
        this.#enqueue(() => this.#stepAll());
        break;
      case "resume":
        this.#enqueue(async () => {
          await this.#resume();
          await this.#run();
        });
        break;
    }
  }

  #enqueue(task: () => Promise<void>): void {
    this.#queue = this.#queue.then(task).catch((error: unknown) => {
      this.#running = false;
      // A lost device is the host's to tell.
      if (!this.#device.lost(error)) this.#post({ kind: "failed", message: (error as Error).message });
    });
  }

  async #configure(configs: readonly SlotConfig[]): Promise<void> {
    this.#saved = undefined;
    await this.#build(configs);
    if (this.#slots.length === 0) return;
    await this.#showFrame();
    this.#tellStatus();
  }

  async #build(configs: readonly SlotConfig[]): Promise<void> {
    this.#destroy();
    this.#status("building");
    this.#configs = configs;
    const gpu = await this.#device.open();
    this.#gpu = gpu;
    for (const [slot, config] of configs.entries()) {
      try {
        const digits = config.training.dataset === "digits" ? await loadDigits() : undefined;
        const spec = specOf(config.training, digits);
        const { bytes, layout } = planOf(config.training, gpu.profile);
        const training = await createTraining(gpu, spec);
        const reference = config.referenceDepth > 0 ? await this.#reference(gpu, config, training, digits) : undefined;
        this.#slots.push({
          config,
          training,
          reference,
          stepMs: 0,
          roughness: { V: null, W: null },
          roughnessAt: Number.NEGATIVE_INFINITY,
        });
        await gpu.settle();
        this.#post({ kind: "built", slot, bytes, layout, depth: config.training.depth });
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        this.#destroy();
        this.#post({ kind: "refused", slot, field: error.field, message: error.message });
        return;
      }
    }
  }

  async #reference(gpu: Gpu, { training, referenceDepth }: SlotConfig, compared: Training, digits?: Digits) {
    try {
      return await createTraining(gpu, specOf({ ...training, depth: referenceDepth }, digits));
    } catch (error) {
      compared.destroy();
      throw error;
    }
  }

  #destroy(): void {
    for (const { training, reference } of this.#slots) {
      training.destroy();
      reference?.destroy();
    }
    this.#slots = [];
  }

  async #run(): Promise<void> {
    if (this.#slots.length === 0 || !this.#running) return;
    this.#status("running");
    const chunkMs = CHUNK_MS[this.#gpu!.profile.kind];
    const frames = new Pacer(FRAME_MS, FRAME_SHARE);
    const checkpoints = new Pacer(CHECKPOINT_MS, CHECKPOINT_SHARE);
    while (this.#running) {
      const slot = this.#behind();
      if (!slot) break;
      await this.#advance(slot, slot.stepMs > 0 ? Math.max(1, Math.floor(chunkMs / slot.stepMs)) : 1);
      await frames.when(() => this.#showFrame());
      await checkpoints.when(() => this.#checkpoint());
    }
    this.#running = false;
    await this.#showFrame();
    await this.#checkpoint();
    this.#tellStatus();
  }

  async #stepAll(): Promise<void> {
    for (const slot of this.#slots) if (isLive(slot)) await this.#advance(slot, 1);
    await this.#showFrame();
    this.#tellStatus();
  }

  /** Of the networks still training, the one with the least training time. */
  #behind(): Slot | undefined {
    return this.#slots.filter(isLive).sort((a, b) => a.training.flow.state.time - b.training.flow.state.time)[0];
  }

  async #advance(slot: Slot, steps: number): Promise<void> {
    const { training, reference } = slot;
    const before = training.flow.state.step;
    const started = performance.now();
    const state = await training.flow.advance({ steps });
    const elapsed = performance.now() - started;
    const taken = state.step - before;
    if (!this.#stepped && taken > 0) {
      this.#stepped = true;
      this.#post({ kind: "first-step", at: performance.timeOrigin + performance.now() });
    }
    // The first step compiles what the driver left for later.
    if (before > 0 && taken > 0) {
      const weight = slot.stepMs === 0 ? 1 : Math.min(1, elapsed / TIMING_MS);
      slot.stepMs += weight * (elapsed / taken - slot.stepMs);
    }
    if (reference) await reference.flow.advance({ steps: state.step - reference.flow.state.step });
  }

  async #showFrame(): Promise<void> {
    const frames: Frame[] = [];
    for (const [index, slot] of this.#slots.entries()) frames.push(await this.#frameOf(slot, index));
    this.#post({ kind: "frame", frames });
  }

  async #frameOf(slot: Slot, index: number): Promise<Frame> {
    const { stack, flow, measure, spec } = slot.training;
    const { depth } = spec.shape;
    const { step, time, loss } = flow.state;
    const norms = await measure.depth(flow.recorder);
    const { depths, V, W } = await readEntries(stack);
    const unknown = slot.roughness.V === null || slot.roughness.W === null;
    if (unknown || performance.now() - slot.roughnessAt > ROUGHNESS_MS || !this.#running) {
      slot.roughness = await readRoughness(stack);
      slot.roughnessAt = performance.now();
    }
    const distance = slot.reference && (await measure.distance(flow.recorder, slot.reference.stack, "interpolation"));
    return {
      slot: index,
      step,
      time,
      loss,
      lipschitz: { V: depth * norms.V.maxStep, W: depth * norms.W.maxStep },
      roughness: slot.roughness,
      ...(distance && { distance: { V: distance.V.l2, W: distance.W.l2 } }),
      depths,
      entries: { V, W },
      stepMs: slot.stepMs,
    };
  }

  async #checkpoint(): Promise<void> {
    const save = ({ stack, flow }: Training) => checkpointTraining(stack, flow);
    const slots: SavedSlot[] = [];
    for (const { training, reference } of this.#slots)
      slots.push({ training: await save(training), reference: reference && (await save(reference)) });
    this.#saved = slots;
  }

  async #resume(): Promise<void> {
    // The buffers went with the device.
    this.#slots = [];
    await this.#build(this.#configs);
    const restore = ({ stack, flow }: Training, from: Checkpoint) =>
      restoreTraining(stack, flow, from, "the checkpoint");
    for (const [i, { training, reference }] of this.#slots.entries()) {
      const saved = this.#saved?.[i];
      if (!saved) continue;
      restore(training, saved.training);
      if (reference && saved.reference) restore(reference, saved.reference);
    }
    this.#post({ kind: "resumed", steps: this.#slots.map(({ training }) => training.flow.state.step) });
  }

  #tellStatus(): void {
    const diverged = this.#slots.findIndex(({ training }) => training.flow.state.status === "diverged");
    if (this.#slots.some(isLive)) this.#status("paused");
    else if (diverged < 0) this.#status("done");
    else {
      const { step, loss } = this.#slots[diverged]!.training.flow.state.divergedAt!;
      this.#status("diverged", `network ${"AB"[diverged]}: loss ${loss} at step ${step}`);
    }
  }

  #status(status: RunStatus, detail?: string): void {
    this.#post({ kind: "status", status, ...(detail !== undefined && { detail }) });
  }
}

function isLive({ config, training }: Slot): boolean {
  const { status, step } = training.flow.state;
  return status !== "diverged" && step < config.training.steps;
}

/** Does something every so often, but never for more than a share of the time. */
class Pacer {
  readonly #leastMs: number;
  readonly #share: number;
  #next: number;

  constructor(leastMs: number, share: number) {
    this.#leastMs = leastMs;
    this.#share = share;
    this.#next = performance.now() + leastMs;
  }

  async when(task: () => Promise<void>): Promise<void> {
    const started = performance.now();
    if (started < this.#next) return;
    await task();
    const ended = performance.now();
    this.#next = ended + Math.max(this.#leastMs, (ended - started) / this.#share);
  }
}
