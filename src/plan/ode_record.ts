/** Memory for the steps that a solve takes, so that its gradient can go through them again. Pure. */
import { SLICE } from "./ode.ts";

const WORD = 4;
/** Numbers of the stages of a group of steps that an invocation of the software adapter keeps. */
const GROUP_NUMBERS = 48;
const MOST_GROUP = 4;
/** Checkpoints are at most 2^12 steps apart. */
const MOST_SHIFT = 12;
/** Of checkpoints that are not needed: only the first step has one. */
const NO_CHECKPOINTS = 31;
/** Steps that adaptive trajectories get room for before anything is known of them. */
const GUESSED_STEPS = 128;

export interface RecordShape {
  readonly dimension: number;
  readonly parameters: number;
  readonly adaptive: boolean;
  /** Steps reversed together: a power of two, the least distance of checkpoints. */
  readonly group: number;
  /** Numbers that a method whose steps can be undone takes along instead of checkpoints. */
  readonly carried?: number | undefined;
}

/**
 * Steps that the reverse sweep takes together. On the software adapter a number from memory costs as much as 20 operations
 * and a trip of a loop as 50, so a group is computed again from the state it begins with, in code without a loop: RK4 on
 * Lorenz, 10,000 × 1,000 steps, took 154 ms of CPU time by fours and 216 one by one, beside 58 of the solve (SwiftShader
 * 5.0, 2026-11). Hardware has few registers and fast memory.
 */
export function groupOf(stages: number, dimension: number, software: boolean): number {
  if (!software) return 1;
  const most = Math.min(MOST_GROUP, Math.max(1, GROUP_NUMBERS / (stages * dimension)));
  return 2 ** Math.floor(Math.log2(most));
}

export interface RecordLimits {
  /** For the record and the states of a segment together. */
  readonly bytes: number;
  /** Of one binding. */
  readonly bindingBytes: number;
  /** Steps from checkpoint to checkpoint, if the caller chose. */
  readonly every?: number | undefined;
}

/** A range of whole slices whose steps are recorded together. */
export interface RecordPlan {
  readonly firstSlice: number;
  /** Steps that there is room for, of every slice. */
  readonly capacities: Uint32Array;
  /** Checkpoints are 2^shift steps apart. */
  readonly shift: number;
  /** Word of `record` at which each slice begins. */
  readonly offsets: Uint32Array;
  /** Words of `record`, and of `sweep`. */
  readonly recordWords: number;
  readonly sweepWords: number;
}

/** Words of a slice: θ, the states at checkpoints, with adaptive steps time and length of each. */
function sliceWords({ dimension, adaptive }: RecordShape, capacity: number, shift: number): number {
  if (capacity === 0) return 0;
  const checkpoints = Math.ceil(capacity / 2 ** shift);
  return SLICE * (1 + dimension * checkpoints + (adaptive ? 2 * capacity : 0));
}

/** Words of a trajectory in `sweep` besides states: parameters twice, t0, t1, points. */
export function carriedRows({ parameters }: Pick<RecordShape, "parameters">): number {
  return 2 * Math.max(1, parameters) + 3;
}

/** With checkpoints further apart than a group, the states that the groups of a segment begin with. */
function sweepRows(shape: RecordShape, shift: number): number {
  if (shape.carried !== undefined) return carriedRows(shape) + shape.carried;
  const groups = 2 ** shift / shape.group;
  return carriedRows(shape) + (groups > 1 ? shape.dimension * groups : 0);
}

function layOut(
  shape: RecordShape,
  firstSlice: number,
  capacities: Uint32Array,
  shift: number,
  limits: RecordLimits,
): RecordPlan | undefined {
  const slices = capacities.length;
  const offsets = new Uint32Array(slices);
  let recordWords = 1 + 2 * slices;
  for (let s = 0; s < slices; s++) {
    offsets[s] = recordWords;
    recordWords += sliceWords(shape, capacities[s]!, shift);
  }
  const sweepWords = SLICE * slices * sweepRows(shape, shift);
  const most = Math.min(limits.bindingBytes, limits.bytes) / WORD;
  if (recordWords > most || sweepWords > most || recordWords + sweepWords > limits.bytes / WORD) return undefined;
  return { firstSlice, capacities, shift, offsets, recordWords, sweepWords };
}

/** Distances of checkpoints to try, the densest first: nothing is then computed twice. */
function shifts(capacities: Uint32Array, { group, carried }: RecordShape, every: number | undefined): number[] {
  if (carried !== undefined) return [NO_CHECKPOINTS];
  const first = Math.log2(group);
  if (every !== undefined) return [Math.max(first, Math.log2(every))];
  const longest = capacities.reduce((most, steps) => Math.max(most, steps), 1);
  // Least memory: as many checkpoints as groups between two.
  const last = Math.max(first, Math.min(MOST_SHIFT, Math.round((Math.log2(longest) + first) / 2)));
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** The record of all slices at once, or undefined when the memory does not hold it. */
export function planRecord(shape: RecordShape, capacities: Uint32Array, limits: RecordLimits): RecordPlan | undefined {
  for (const shift of shifts(capacities, shape, limits.every)) {
    const plan = layOut(shape, 0, capacities, shift, limits);
    if (plan) return plan;
  }
  return undefined;
}

/** A guess for adaptive steps, of which at most `maxSteps` are taken. */
export function guessedCapacities(slices: number, maxSteps: number): Uint32Array {
  return new Uint32Array(slices).fill(Math.min(GUESSED_STEPS, maxSteps));
}

/** A record that has room for nothing. */
export function emptyRecord(shape: RecordShape, slices: number): RecordPlan {
  const capacities = new Uint32Array(slices);
  const limits = { bytes: Number.POSITIVE_INFINITY, bindingBytes: Number.POSITIVE_INFINITY };
  return layOut(shape, 0, capacities, Math.log2(shape.group), limits)!;
}

/**
 * Ranges of slices to be recorded and reversed one after another, each as long as the memory allows.
 * @throws RangeError when it does not hold one slice
 */
export function planRecords(shape: RecordShape, capacities: Uint32Array, limits: RecordLimits): RecordPlan[] {
  const whole = planRecord(shape, capacities, limits);
  if (whole) return [whole];
  const plans: RecordPlan[] = [];
  for (let first = 0; first < capacities.length; ) {
    const longest = (slices: number) => {
      const some = capacities.subarray(first, first + slices);
      for (const shift of shifts(some, shape, limits.every).toReversed()) {
        const plan = layOut(shape, first, some, shift, limits);
        if (plan) return plan;
      }
      return undefined;
    };
    let best = longest(1);
    if (!best) {
      throw new RangeError(
        `${SLICE} trajectories of ${capacities[first]} steps need more than the ${limits.bytes} bytes for their record`,
      );
    }
    let [least, most] = [1, capacities.length - first];
    while (least < most) {
      const middle = Math.ceil((least + most) / 2);
      const plan = longest(middle);
      if (plan) [least, best] = [middle, plan];
      else most = middle - 1;
    }
    plans.push(best);
    first += least;
  }
  return plans;
}

/** What `record` holds before a solve: shift, then of every slice where it begins and its room. */
export function recordHeader({ shift, offsets, capacities }: RecordPlan): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(1 + 2 * offsets.length);
  words[0] = shift;
  offsets.forEach((offset, s) => {
    words[1 + 2 * s] = offset;
    words[2 + 2 * s] = capacities[s]!;
  });
  return words;
}

/** The greatest of a number of each of `count` trajectories, by slices. */
export function mostOfSlices(count: number, of: (j: number) => number): Uint32Array<ArrayBuffer> {
  const most = new Uint32Array(Math.ceil(count / SLICE));
  for (let j = 0; j < count; j++) most[Math.floor(j / SLICE)] = Math.max(most[Math.floor(j / SLICE)]!, of(j));
  return most;
}
