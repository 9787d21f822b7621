/** What a convolutional residual stack does on a device: where its numbers lie, tiles, and dispatches. Pure. */
import {
  CONV_PARAMETERS,
  type ConvParameter,
  type ConvShape,
  convParameterShapes,
  convSizes,
  type Normalisation,
} from "../config/conv.ts";
import { ConfigError } from "../config/errors.ts";
import { convBackwardFlops, convForwardFlops } from "./conv_work.ts";
import type { DeviceProfile } from "./device_profile.ts";
import { ceilTo } from "./rounding.ts";

/** Numbers of NORM in the shaders. */
const NORM_KINDS = { none: 0, batch: 1, group: 2, layer: 2 } as const;

/** Flops a second of the convolutions before anything is measured: 4e9 on SwiftShader on two cores (2026-11), a low guess elsewhere. */
const EXPECTED_RATE = { software: 4e9, hardware: 2e11 } as const;
const DISPATCH_SECONDS = 0.1;
const MOST_SEGMENT_LAYERS = 32;
/** Invocations that hold 4 channels each fill a GPU; on a software adapter one holds them all and shares its pixels' loads. */
const MOST_CHUNKS = { software: 4, hardware: 1 } as const;
const MOST_LINES = { software: 1, hardware: 16 } as const;
/** Channels that an invocation of the fused kernels holds, the first that the device can do: fewer of them fill more of a GPU. */
const FUSED_OUT = [2, 4, 8] as const;

/**
 * `layers`: every convolution is a dispatch over all images. `fused`: a workgroup carries an image through many layers; not with
 * normalisations over the batch, which wait for all images at every convolution.
 */
export const CONV_LAYOUTS = ["layers", "fused"] as const;
export type ConvLayout = (typeof CONV_LAYOUTS)[number];

/** The residual layers but the first, one workgroup an image. */
export interface FusedConvPlan {
  readonly constants: Readonly<Record<string, number>>;
  /** Layers of a forward dispatch. */
  readonly forwardLayers: number;
}

export interface ConvPlan {
  readonly shape: ConvShape;
  /** Largest batch. */
  readonly images: number;
  /** First number of every parameter in `theta`, which holds them one after the other in their canonical layouts; its length. */
  readonly offsets: Readonly<Record<ConvParameter, number>>;
  readonly numbers: number;
  /** Floats from the state of one layer to the next: bindings begin at multiples of the device's alignment. */
  readonly stateFloats: number;
  readonly layerConstants: Readonly<Record<string, number>>;
  readonly stemConstants: Readonly<Record<string, number>>;
  readonly bands: number;
  /** Workgroups along y of the convolutions. */
  readonly lineGroups: number;
  /** Places of normalisations: the stem, and two a layer; parts that the moments of one may take; parts of the running moments before them. */
  readonly places: number;
  readonly placeParts: number;
  readonly runningParts: number;
  /** Layers whose gradients with respect to the convolutions are kept until one dispatch makes those of their weights. */
  readonly segmentLayers: number;
  /** Undefined for the layout `layers`. */
  readonly fused: FusedConvPlan | undefined;
  /** Bytes by tensor of a pass. */
  readonly tensors: Readonly<Record<string, number>>;
  /**
   * Dispatches of a pass over a batch, with those of the ends. Layer by layer: two a layer forward; two a layer back, and two a segment.
   * Fused: two for the first layer and one a segment forward; the same and two a segment back.
   */
  readonly dispatches: { readonly forward: number; readonly backward: number };
}

export function normConstants(normalisation: Normalisation, channels: number): { kind: number; members: number } {
  const groups = normalisation.kind === "group" ? normalisation.groups : 1;
  const members = normalisation.kind === "group" || normalisation.kind === "layer" ? channels / groups : 1;
  return { kind: NORM_KINDS[normalisation.kind], members };
}

export function epsilonOf(normalisation: Normalisation): number {
  return normalisation.kind === "none" ? 0 : normalisation.epsilon;
}

/** Images of `bytes` each that a buffer of a set can hold: CIFAR-10's 50,000 (147 MiB) exceed the 128 MiB that many devices bind. */
export function imagesPerBuffer(
  { maxBindingBytes, maxBufferBytes }: Pick<DeviceProfile, "maxBindingBytes" | "maxBufferBytes">,
  bytes: number,
): number {
  return Math.floor(Math.min(maxBindingBytes, maxBufferBytes) / bytes);
}

/** Columns of a tile: as few loads of neighbours and columns beyond the edge as possible. */
function tileWidth(width: number): number {
  const candidates = [1, 2, 3, 4, 5, 6].filter((tile) => tile <= width);
  const cost = (tile: number) => Math.ceil(width / tile) * (tile + 1);
  return candidates.reduce((best, tile) => (cost(tile) <= cost(best) ? tile : best));
}

/** First number of each parameter, one after the other in the order of CONV_PARAMETERS, and their total. */
export function convOffsets(shape: ConvShape): { offsets: Record<ConvParameter, number>; numbers: number } {
  const sizes = convParameterShapes(shape);
  let numbers = 0;
  const offsets = Object.fromEntries(
    CONV_PARAMETERS.map((name) => {
      const at = numbers;
      numbers += sizes[name].reduce((product, size) => product * size, 1);
      return [name, at];
    }),
  ) as Record<ConvParameter, number>;
  return { offsets, numbers };
}

/**
 * The fused layout on a device, or why there is none: maps that do not fit workgroup memory, or take more invocations than a workgroup
 * may have, go layer by layer.
 */
function planFused(
  shape: ConvShape,
  profile: DeviceProfile,
  tile: { readonly TILE_Y: number; readonly TILE_X: number },
): Readonly<Record<string, number>> | string {
  const { channels, depth, normalisation } = shape;
  const { height, width } = convSizes(shape);
  if (normalisation.kind === "batch") return "a normalisation over the batch couples the images at every layer";
  if (depth < 2) return "there is one layer";
  const blocks = Math.ceil(height / tile.TILE_Y) * Math.ceil(width / tile.TILE_X);
  const out = FUSED_OUT.find((channelsEach) => blocks * Math.ceil(channels / channelsEach) <= profile.maxInvocations);
  if (out === undefined) return `a map takes more than ${profile.maxInvocations} invocations`;
  // `map`, `shares`, `totals` and `norms` of common/conv_map, `linear` of conv/fused_backward; each takes a multiple of 16 bytes.
  const normed = normalisation.kind === "none" ? 1 : channels;
  const shares = normalisation.kind === "none" ? 1 : blocks * out * Math.ceil(channels / out);
  const bytes = [4 * channels * height * width, 8 * shares, 8 * normed, 16 * normed, 16 * normed]
    .map((size) => ceilTo(size, 16))
    .reduce((sum, size) => sum + size, 0);
  if (bytes > profile.maxWorkgroupStorageBytes)
    return `a map takes ${bytes} bytes of workgroup memory, and there are ${profile.maxWorkgroupStorageBytes}`;
  return { CHANNELS: channels, HEIGHT: height, WIDTH: width, ...tile, OUT: out };
}

/**
 * @param options `layout`: else fused on a GPU where that is possible. On a software adapter dispatches are cheap, and lanes that share no
 * weights are not: there the fused kernels take 2.6 and 1.9 times as long for a forward pass and a step (16 layers of 64 images without
 * normalisation, SwiftShader, 2026-11). `segmentLayers`: else as many as a dispatch has time for.
 * @throws ConfigError for a layout that is impossible
 */
export function planConv(
  shape: ConvShape,
  profile: DeviceProfile,
  options: {
    readonly images: number;
    readonly training: boolean;
    readonly layout?: ConvLayout;
    readonly segmentLayers?: number;
  },
): ConvPlan {
  const { images, training } = options;
  const { channelsIn, channels, classes, depth, stem } = shape;
  const { height, width, features } = convSizes(shape);
  const chunks = Math.ceil(channels / 4);
  const out = Math.min(chunks, MOST_CHUNKS[profile.kind]);
  const groups = Math.ceil(chunks / out);
  const tile = { TILE_Y: Math.min(2, height), TILE_X: tileWidth(width) };
  const blocks = Math.ceil(height / tile.TILE_Y) * Math.ceil(width / tile.TILE_X);
  const quads = Math.ceil(images / 4);
  const bands =
    profile.kind === "software" ? Math.min(blocks, Math.max(1, Math.floor(profile.parallelGroups / quads))) : blocks;
  const lines = bands * groups;
  let linesTogether = Math.min(MOST_LINES[profile.kind], lines);
  while (lines % linesTogether !== 0) linesTogether--;
  const state = images * channels * height * width;
  const stateFloats = ceilTo(state, profile.offsetAlignment / 4);
  const places = 1 + 2 * depth;
  const placeParts = Math.max(quads, ...[stem.normalisation, shape.normalisation].map(perImageParts(images))) * bands;
  const rate = EXPECTED_RATE[profile.kind];
  const forwardSeconds = convForwardFlops(shape, images).layer / rate;
  const layerSeconds = convBackwardFlops(shape, images).layer / rate + forwardSeconds;
  // Segments of the fused kernels bind the maps of their layers, and of the one before.
  const bindable = Math.floor(profile.maxBindingBytes / (4 * stateFloats)) - 1;
  const within = (most: number) => Math.max(1, Math.min(depth, bindable, options.segmentLayers ?? most));
  const segmentLayers = within(Math.min(MOST_SEGMENT_LAYERS, Math.floor(DISPATCH_SECONDS / layerSeconds)));
  const segments = Math.ceil(depth / segmentLayers);
  const layout = options.layout ?? (profile.kind === "hardware" ? "fused" : "layers");
  const fusedConstants = layout === "fused" ? planFused(shape, profile, tile) : undefined;
  if (typeof fusedConstants === "string" && options.layout !== undefined)
    throw new ConfigError("layout", `cannot be fused: ${fusedConstants}`, options.layout);
  const fused =
    typeof fusedConstants === "object"
      ? { constants: fusedConstants, forwardLayers: within(Math.floor(DISPATCH_SECONDS / forwardSeconds)) }
      : undefined;
  // The first layer is not fused: the dispatches that it shares with the stem know its normalisation over the batch.
  const walked = fused
    ? {
        forward: 2 + Math.ceil((depth - 1) / fused.forwardLayers),
        // The last segment back has the first layer; nothing is left of it when that is all.
        backward: 2 + segments - (segmentLayers === 1 ? 1 : 0),
      }
    : { forward: 2 * depth, backward: 2 * depth };
  const { offsets, numbers } = convOffsets(shape);
  const normed = shape.normalisation.kind !== "none";
  const tensors = {
    pixels: 4 * images * channelsIn * shape.height * shape.width,
    targets: 4 * images,
    states: 4 * stateFloats * (training ? depth : 2),
    first: 4 * stateFloats * (training ? depth : 1),
    second: 4 * stateFloats * (training ? depth : 2),
    stem: 4 * stateFloats,
    moments: 4 * 3 * channels * places * (1 + placeParts),
    pooled: 4 * images * features,
    logits: 4 * images * classes,
    gradLogits: 4 * images * classes,
    rowLoss: 8 * images,
    ...(training && {
      sums: 4 * 2 * channels * places * (1 + placeParts),
      adjoint: 4 * stateFloats,
      inner: 4 * stateFloats,
      gradFirst: 4 * stateFloats * segmentLayers,
      gradSecond: 4 * stateFloats * segmentLayers,
      gradients: 4 * ceilTo(numbers, 4),
    }),
  };
  return {
    shape,
    images,
    offsets,
    numbers,
    stateFloats,
    layerConstants: { CHANNELS: channels, HEIGHT: height, WIDTH: width, ...tile, OUT: out, LINES: linesTogether },
    stemConstants: {
      CHANNELS_IN: channelsIn,
      IN_HEIGHT: shape.height,
      IN_WIDTH: shape.width,
      KERNEL: stem.kernel,
      STRIDE: stem.stride,
      PADDING: stem.padding,
    },
    bands,
    lineGroups: lines / linesTogether,
    places,
    placeParts,
    runningParts: places,
    segmentLayers,
    fused,
    tensors,
    dispatches: {
      // Stem, pooling, head; the loss and its sum are not of the pass.
      forward: 3 + walked.forward,
      // Unpooling, head, stem, and scales and shifts of the stem's and of the layers' normalisations.
      backward: 3 + walked.backward + 2 * segments + (stem.normalisation.kind === "none" ? 0 : 1) + (normed ? 2 : 0),
    },
  };
}

function perImageParts(images: number): (normalisation: Normalisation) => number {
  return ({ kind }) => (kind === "group" || kind === "layer" ? images : 0);
}
