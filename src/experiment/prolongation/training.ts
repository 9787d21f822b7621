/** The trainings of `prolongation`, level by level: weights that one hands to the next are kept beside its cell. */

import type { CanonicalWeights } from "../../model/dense_stack.ts";
import { type Prolongation, prolongLayers, prolongWeights } from "../../model/depth_prolongation.ts";
import type { InitialWeights } from "../../model/initialisation.ts";
import type { RunStatus } from "../record.ts";
import { type Replica, runStudy, type StudyTraining, studyWork } from "../study.ts";
import {
  allTrainings,
  type Context,
  FAMILIES,
  type Family,
  fromStart,
  jump,
  level,
  levelStarts,
  METHODS,
  type ProlongationConfig,
  prolongedCost,
  type Row,
  totalSteps,
} from "./config.ts";

/** What the run has so far: rows of its tables. */
export interface Collected {
  status: RunStatus;
  detail?: string;
  readonly curves: Row[];
  readonly jumps: Row[];
  readonly distances: Row[];
  readonly layers: Row[];
  readonly seconds: Row[];
}

type Weights = Pick<CanonicalWeights, "V" | "W">;

/** Weights after a training's last step (or, `at`, after an earlier one), as a checkpoint of their own. */
const weightsId = (id: string, at: number) => `${id}-weights-${at}`;

async function keepWeights(context: Context, id: string, replica: Replica, step: number): Promise<void> {
  const { depth, width, hidden } = replica.spec.shape;
  const initial = replica.initial();
  const change = await replica.change();
  const tensors = Object.fromEntries(
    FAMILIES.map((family) => {
      const data = change[family].map((value, i) => initial[family][i]! + value);
      return [family, { shape: family === "V" ? [depth, width, hidden] : [depth, hidden, width], data }];
    }),
  );
  await context.cells.saveCheckpoint(weightsId(id, step), { tensors, metadata: {} });
}

async function keptWeights(context: Context, id: string, step: number): Promise<Weights | undefined> {
  const saved = await context.cells.loadCheckpoint(weightsId(id, step));
  return saved && { V: saved.tensors.V!.data, W: saved.tensors.W!.data };
}

/** A and B stay the identity; V and W as functions of depth. */
function prolonged(
  { width }: ProlongationConfig,
  weights: Weights,
  depth: number,
  newDepth: number,
  method: Prolongation,
): InitialWeights {
  const identity = new Float32Array(width * width);
  for (let i = 0; i < width; i++) identity[i * width + i] = 1;
  return prolongWeights({ A: identity, B: identity, ...weights }, { depth }, newDepth, method);
}

/** Runs everything; at a cancellation or a lost device what there is. A diverged training is missing in what follows from it. */
export async function trainAll(context: Context): Promise<Collected> {
  const { config } = context;
  const { depths, seeds } = config;
  const total = totalSteps(config);
  const starts = levelStarts(config);
  const collected: Collected = { status: "done", curves: [], jumps: [], distances: [], layers: [], seconds: [] };
  const layerSteps = (list: readonly StudyTraining[]) =>
    list.reduce((sum, { spec, recordSteps }) => sum + spec.shape.depth * recordSteps.at(-1)!, 0);
  const all = studyWork(allTrainings(config));
  let before = 0;

  /** One study; true when the run goes on. */
  const run = async (
    phase: Row,
    trainings: readonly StudyTraining[],
    record: (training: StudyTraining, replica: Replica, step: number) => Promise<Row>,
    into: Row[],
  ): Promise<boolean> => {
    let recorded = 0;
    const started = performance.now();
    const { status, detail, records } = await runStudy(
      {
        ...context,
        progress: (progress) => context.progress({ ...progress, done: before + progress.done, total: all }),
      },
      {
        trainings,
        record: async (training, replica, step) => {
          recorded++;
          return [await record(training, replica, step)];
        },
      },
    );
    const seconds = (performance.now() - started) / 1000;
    before += studyWork(trainings);
    for (const { id, label } of trainings) {
      const cell = records.get(id);
      if (!cell) continue;
      into.push(...cell.rows);
      if (cell.status === "diverged" && collected.status === "done") {
        collected.status = "diverged";
        collected.detail = `${label}: ${cell.detail}`;
      }
    }
    const whole = recorded === trainings.reduce((sum, { recordSteps }) => sum + recordSteps.length, 0);
    collected.seconds.push({ ...phase, layer_steps: layerSteps(trainings), seconds: whole ? seconds : null });
    if (status === "done") return true;
    collected.status = status;
    if (detail !== undefined) collected.detail = detail;
    return false;
  };

  const measured = async (replica: Replica) => {
    const { loss } = await replica.loss();
    const { V, W } = await replica.depth();
    return { loss, max_step_V: V.maxStep, max_step_W: W.maxStep };
  };

  for (const depth of depths) {
    const trainings = seeds.map((seed) => fromStart(config, depth, seed));
    const seedOf = new Map(trainings.map(({ id }, i) => [id, seeds[i]!]));
    const going = await run(
      { schedule: "from the start", depth },
      trainings,
      async ({ id }, replica, step) => {
        if (step === total || (depth === depths[0] && step === starts[1]))
          await keepWeights(context, id, replica, step);
        return {
          schedule: "from the start",
          final_depth: depth,
          depth,
          seed: seedOf.get(id)!,
          step,
          time: step * config.rate,
          layer_steps: depth * step,
          ...(await measured(replica)),
        };
      },
      collected.curves,
    );
    if (!going) return collected;
  }
  const firstLevel = collected.curves.filter((row) => row.depth === depths[0] && (row.step as number) <= starts[1]!);
  for (const method of METHODS)
    collected.curves.push(...firstLevel.map((row) => ({ ...row, schedule: method, final_depth: depths.at(-1)! })));

  for (const method of METHODS)
    for (const [i, depth] of depths.entries()) {
      if (i === 0) continue;
      const shallow = depths[i - 1]!;
      const trainings: StudyTraining[] = [];
      const seedOf = new Map<string, number>();
      for (const seed of seeds) {
        const previous =
          i === 1
            ? await keptWeights(context, fromStart(config, shallow, seed).id, starts[1]!)
            : await keptWeights(context, level(config, method, shallow, seed).id, config.levelSteps[i - 1]!);
        if (!previous) continue;
        const one = level(config, method, depth, seed, prolonged(config, previous, shallow, depth, method));
        seedOf.set(one.id, seed);
        trainings.push(one);
      }
      const going = await run(
        { schedule: method, depth },
        trainings,
        async ({ id }, replica, step) => {
          if (step === config.levelSteps[i]) await keepWeights(context, id, replica, step);
          const taken = starts[i]! + step;
          return {
            schedule: method,
            final_depth: depths.at(-1)!,
            depth,
            seed: seedOf.get(id)!,
            step: taken,
            time: taken * config.rate,
            layer_steps: prolongedCost(config, taken),
            ...(await measured(replica)),
          };
        },
        collected.curves,
      );
      if (!going) return collected;
    }

  for (const method of METHODS)
    for (const depth of depths) {
      const trainings: StudyTraining[] = [];
      const seedOf = new Map<string, number>();
      for (const seed of seeds) {
        const weights = await keptWeights(context, fromStart(config, depth, seed).id, total);
        if (!weights) continue;
        const one = jump(config, method, 2 * depth, seed, prolonged(config, weights, depth, 2 * depth, method));
        seedOf.set(one.id, seed);
        trainings.push(one);
      }
      const going = await run(
        { schedule: `jump, ${method}`, depth: 2 * depth },
        trainings,
        async ({ id }, replica) => {
          const seed = seedOf.get(id)!;
          const from = collected.curves.find(
            (row) =>
              row.schedule === "from the start" && row.depth === depth && row.seed === seed && row.step === total,
          )!;
          const after = await measured(replica);
          return {
            method,
            depth,
            seed,
            loss_before: from.loss!,
            loss_after: after.loss,
            jump: Math.abs(after.loss - (from.loss as number)),
            lipschitz_before_V: depth * (from.max_step_V as number),
            lipschitz_after_V: 2 * depth * after.max_step_V,
            lipschitz_before_W: depth * (from.max_step_W as number),
            lipschitz_after_W: 2 * depth * after.max_step_W,
          };
        },
        collected.jumps,
      );
      if (!going) return collected;
    }

  await compareFunctions(context, collected);
  return collected;
}

/** Distances of the weights as functions of depth to those trained deep from the start, and one entry of each against depth. */
async function compareFunctions(context: Context, collected: Collected): Promise<void> {
  const { config } = context;
  const { depths, seeds, levelSteps } = config;
  const total = totalSteps(config);
  const [shallow, deep] = [depths[0]!, depths.at(-1)!];
  for (const seed of seeds) {
    const target = await keptWeights(context, fromStart(config, deep, seed).id, total);
    const source = await keptWeights(context, fromStart(config, shallow, seed).id, total);
    if (!target) continue;
    if (seed === seeds[0]) collected.layers.push(...entries(target, deep, "from the start"));
    for (const method of METHODS) {
      const finest = await keptWeights(context, level(config, method, deep, seed).id, levelSteps.at(-1)!);
      const stretched = source && {
        V: prolongLayers(source.V, shallow, deep, method),
        W: prolongLayers(source.W, shallow, deep, method),
      };
      for (const [schedule, weights] of [
        ["prolonged", finest],
        ["shallow to the end", stretched],
      ] as const) {
        if (!weights) continue;
        for (const family of FAMILIES)
          collected.distances.push({
            schedule,
            method,
            seed,
            family,
            ...depthDistance(weights[family], target[family], deep),
          });
      }
      if (seed === seeds[0] && finest) collected.layers.push(...entries(finest, deep, method));
    }
  }
}

/** Root mean square and maximum over layers of ‖X_k − Y_k‖_F, layers [L, elements]. */
export function depthDistance(
  x: Float32Array | Float64Array,
  y: Float32Array | Float64Array,
  depth: number,
): { l2: number; sup: number } {
  const elements = x.length / depth;
  let sum = 0;
  let sup = 0;
  for (let k = 0; k < depth; k++) {
    let squares = 0;
    for (let i = k * elements; i < (k + 1) * elements; i++) squares += (x[i]! - y[i]!) ** 2;
    sum += squares;
    sup = Math.max(sup, Math.sqrt(squares));
  }
  return { l2: Math.sqrt(sum / depth), sup };
}

function entries(weights: Weights, depth: number, schedule: string): Row[] {
  const first = (family: Family, k: number) => weights[family][(k * weights[family].length) / depth]!;
  return Array.from({ length: depth }, (_, k) => ({
    schedule,
    layer: k + 1,
    s: (k + 0.5) / depth,
    V: first("V", k),
    W: first("W", k),
  }));
}
