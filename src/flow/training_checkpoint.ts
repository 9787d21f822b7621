import { DataError } from "../config/errors.ts";
import type { CanonicalWeights, DenseStack } from "../model/dense_stack.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { FlowSnapshot, GradientFlow } from "./gradient_flow.ts";

type Tensors = Record<string, { shape: readonly number[]; data: Float32Array<ArrayBuffer> }>;

/**
 * The exact state of a training run as named tensors in canonical layouts: `change.A` [q,d], `change.V` [L,q,m],
 * `change.W` [L,m,q], `change.B` [d',q] (the weights are initial + change), the optimiser's `moment1.*` and `moment2.*`,
 * and step, time and controller state as metadata. Of several replicas all tensors are [R, …]. `prefix` keeps several runs
 * apart in one file.
 */
export async function checkpointTraining(stack: DenseStack, flow: GradientFlow, prefix = ""): Promise<Checkpoint> {
  const { moments, replicas, ...numbers } = await flow.snapshot();
  const tensors: Tensors = {};
  addGroups(tensors, stack, `${prefix}change`, await stack.readState());
  for (const moment of ["moment1", "moment2"]) {
    const groups = Object.fromEntries(
      (["A", "Z", "B"] as const).flatMap((name) => {
        const data = moments[`${moment}.${name}`];
        return data ? [[name, data.slice(0, stack.groups[name].floats)]] : [];
      }),
    );
    addGroups(tensors, stack, `${prefix}${moment}`, groups);
  }
  const each = replicas.flatMap(({ loss, divergedAt }, r): [string, number][] => [
    [`loss.${r}`, loss],
    ...(divergedAt
      ? ([
          [`divergedStep.${r}`, divergedAt.step],
          [`divergedLoss.${r}`, divergedAt.loss],
        ] as [string, number][])
      : []),
  ]);
  const metadata = Object.fromEntries(
    [...Object.entries(numbers), ...each].map(([key, value]) => [`${prefix}${key}`, hexOf(value)]),
  );
  return { tensors, metadata };
}

/**
 * Continues from a checkpoint, bit by bit.
 * @throws DataError when a tensor or number is missing or has another shape.
 */
export function restoreTraining(
  stack: DenseStack,
  flow: GradientFlow,
  checkpoint: Checkpoint,
  source: string,
  prefix = "",
): void {
  const find = (name: string, length: number): Float32Array<ArrayBuffer> => {
    const tensor = checkpoint.tensors[`${prefix}${name}`];
    if (!tensor) throw new DataError(source, `has no tensor ${prefix}${name}`);
    if (tensor.data.length !== length)
      throw new DataError(source, `${prefix}${name} has ${tensor.data.length} numbers, this run needs ${length}`);
    return tensor.data;
  };
  const readGroups = (family: string) => {
    const whole = TENSORS.map((name) => {
      const each = numbersOf(stack, name);
      const floats = stack.replicas * each;
      // Groups that are not trained have no moments.
      const absent = family !== "change" && !checkpoint.tensors[`${prefix}${family}.${name}`];
      return [name, each, absent ? new Float32Array(floats) : find(`${family}.${name}`, floats)] as const;
    });
    const of = (replica: number) =>
      Object.fromEntries(
        whole.map(([name, each, data]) => [name, data.slice(replica * each, (replica + 1) * each)]),
      ) as unknown as CanonicalWeights;
    return stack.pack(Array.from({ length: stack.replicas }, (_, replica) => of(replica)));
  };
  const number = (key: string): number => {
    const text = checkpoint.metadata[`${prefix}${key}`];
    if (text === undefined) throw new DataError(source, `has no metadata ${prefix}${key}`);
    return numberOf(text);
  };
  const moments: Record<string, Float32Array<ArrayBuffer>> = {};
  for (const moment of ["moment1", "moment2"]) {
    if (!Object.keys(checkpoint.tensors).some((name) => name.startsWith(`${prefix}${moment}.`))) continue;
    for (const [name, data] of Object.entries(readGroups(moment))) moments[`${moment}.${name}`] = data;
  }
  stack.writeState(readGroups("change"));
  const snapshot: FlowSnapshot = {
    step: number("step"),
    time: number("time"),
    replicas: Array.from({ length: stack.replicas }, (_, r) => ({
      loss: number(`loss.${r}`),
      ...(checkpoint.metadata[`${prefix}divergedStep.${r}`] !== undefined && {
        divergedAt: { step: number(`divergedStep.${r}`), loss: number(`divergedLoss.${r}`) },
      }),
    })),
    dt: number("dt"),
    lastError: number("lastError"),
    rejected: number("rejected"),
    moments,
  };
  flow.restore(snapshot);
}

const TENSORS = ["A", "V", "W", "B"] as const;

/** Numbers of a tensor of one replica. */
function numbersOf(stack: DenseStack, name: (typeof TENSORS)[number]): number {
  return shapeOf(stack, name).reduce((product, extent) => product * extent, 1);
}

function shapeOf({ shape }: DenseStack, name: (typeof TENSORS)[number]): readonly number[] {
  const { depth, width, hidden, inputs, outputs } = shape;
  const shapes = { A: [width, inputs], V: [depth, width, hidden], W: [depth, hidden, width], B: [outputs, width] };
  return shapes[name];
}

function addGroups(
  tensors: Tensors,
  stack: DenseStack,
  family: string,
  state: Partial<Record<"A" | "Z" | "B", Float32Array<ArrayBuffer>>>,
): void {
  const { replicas } = stack;
  const whole = (name: "A" | "Z" | "B") => state[name] ?? new Float32Array(stack.groups[name].floats);
  const filled = { A: whole("A"), Z: whole("Z"), B: whole("B") };
  const each = Array.from({ length: replicas }, (_, r) => stack.unpack(filled, r));
  for (const name of TENSORS) {
    if (!state[name === "A" || name === "B" ? name : "Z"]) continue;
    const numbers = numbersOf(stack, name);
    const data = new Float32Array(replicas * numbers);
    each.forEach((weights, r) => {
      data.set(weights[name], r * numbers);
    });
    const shape = shapeOf(stack, name);
    tensors[`${family}.${name}`] = { shape: replicas === 1 ? shape : [replicas, ...shape], data };
  }
}

/** A float64 as its 16 hexadecimal digits: text that gives back every bit, NaN included. */
function hexOf(value: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0).toString(16).padStart(16, "0");
}

function numberOf(hex: string): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${hex}`));
  return view.getFloat64(0);
}
