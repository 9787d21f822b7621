import { ConfigError } from "../config/errors.ts";
import type { Gpu, Tensor } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { imagesPerBuffer } from "../plan/conv.ts";
import type { ConvPass } from "./conv_pass.ts";
import { RandomStream } from "./random.ts";

export interface ImageSetOptions {
  /** Grey levels [n, channels, height, width]. */
  readonly levels: Uint8Array;
  /** [n]. */
  readonly labels: ArrayLike<number>;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** One a channel, of pixels in 0..1. */
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  /** Most images in a buffer; else as many as the device can bind. */
  readonly imagesPerBuffer?: number;
}

/** How the images of an epoch are changed at random: zeros around an image before a crop of its own size, and mirroring of one half. */
export interface Augmentation {
  readonly cropPadding: number;
  readonly flip: boolean;
}

const INVOCATIONS = 32;

/** Where the crop of image i of an epoch begins in the framed image, 0..2 · padding, and whether it is mirrored; as shaders/conv/augment. */
export function cropOf(crops: RandomStream, i: number, { cropPadding, flip }: Augmentation) {
  const word = crops.uint32(2 * i);
  const places = 2 * cropPadding + 1;
  return {
    row: ((word & 0xffff) * places) >>> 16,
    column: ((word >>> 16) * places) >>> 16,
    mirrored: flip && crops.uint32(2 * i + 1) >>> 31 === 1,
  };
}

/** Images `first` … of a set that lie in one buffer. */
interface Part {
  readonly levels: Tensor;
  readonly first: number;
  readonly count: number;
}

/**
 * Labelled images that stay on the device as bytes, in as many buffers as it takes; batches of them go into a pass cropped, mirrored and
 * normalised.
 */
export class ImageSet {
  readonly count: number;
  readonly #gpu: Gpu;
  readonly #kernel: Kernel;
  readonly #pixels: number;
  readonly #tensors: Readonly<Record<"labels" | "order" | "colours", Tensor>>;
  readonly #parts: readonly Part[];
  #crops = new RandomStream(0, "crops of epoch 0");
  #augmentation: Augmentation = { cropPadding: 0, flip: false };

  private constructor(gpu: Gpu, kernel: Kernel, options: ImageSetOptions) {
    const { levels, labels, channels, height, width, mean, deviation } = options;
    this.#gpu = gpu;
    this.#kernel = kernel;
    this.#pixels = height * width;
    this.count = labels.length;
    const bytes = channels * this.#pixels;
    const most = options.imagesPerBuffer ?? imagesPerBuffer(gpu.profile, bytes);
    this.#parts = Array.from({ length: Math.ceil(this.count / most) }, (_, i) => {
      const first = i * most;
      const count = Math.min(most, this.count - first);
      const words = new Uint32Array(Math.ceil((count * bytes) / 4));
      new Uint8Array(words.buffer).set(levels.subarray(first * bytes, (first + count) * bytes));
      return { levels: gpu.upload(`images from ${first}`, words), first, count };
    });
    const colours = Float32Array.from({ length: 2 * channels }, (_, i) => (i % 2 ? deviation : mean)[i >> 1]!);
    this.#tensors = {
      labels: gpu.upload("labels", Uint32Array.from(labels)),
      order: gpu.upload(
        "order of the images",
        Uint32Array.from(labels, (_, i) => i),
      ),
      colours: gpu.upload("colours", colours),
    };
  }

  /** @throws ConfigError when lengths do not fit */
  static async create(gpu: Gpu, options: ImageSetOptions): Promise<ImageSet> {
    const { levels, labels, channels, height, width } = options;
    const length = labels.length * channels * height * width;
    if (levels.length !== length) throw new ConfigError("levels", `must be ${length} bytes`, levels.length);
    for (const name of ["mean", "deviation"] as const)
      if (options[name].length !== channels)
        throw new ConfigError(name, `must have ${channels} numbers, one a channel`, options[name].length);
    const kernel = await gpu.kernel("conv/augment", { CHANNELS: channels, HEIGHT: height, WIDTH: width });
    return new ImageSet(gpu, kernel, options);
  }

  /**
   * Shuffles the images and draws their crops: functions of seed and epoch alone, the same on every machine. Until it is called the
   * images come in their own order, as they are.
   */
  startEpoch(seed: number, epoch: number, augmentation: Augmentation): void {
    const order = new RandomStream(seed, `order of epoch ${epoch}`).permutation(this.count);
    this.#gpu.write(this.#tensors.order, order as Uint32Array<ArrayBuffer>);
    this.#crops = new RandomStream(seed, `crops of epoch ${epoch}`);
    this.#augmentation = augmentation;
  }

  /** Records that images first … first + count − 1 of the epoch become the batch of a pass: a dispatch for each buffer of images. */
  encodeBatch(recorder: Recorder, pass: ConvPass, first: number, count: number): void {
    if (!(first >= 0 && count >= 1 && first + count <= this.count))
      throw new ConfigError("first", `must be in 0..${this.count - count}, for ${count} images`, first);
    pass.setCount(count);
    const { key } = this.#crops;
    for (const part of this.#parts)
      recorder.dispatch(
        this.#kernel,
        { ...this.#tensors, levels: part.levels, output: pass.pixels, targets: pass.targets },
        {
          images: count,
          first,
          key0: key[0],
          key1: key[1],
          padding: this.#augmentation.cropPadding,
          mirrors: this.#augmentation.flip ? 1 : 0,
          held_first: part.first,
          held: part.count,
        },
        [Math.ceil((count * this.#pixels) / INVOCATIONS)],
      );
  }

  destroy(): void {
    this.#gpu.release(...Object.values(this.#tensors), ...this.#parts.map(({ levels }) => levels));
  }
}
