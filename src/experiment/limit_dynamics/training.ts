import { flowSchema } from "../../config/flow.ts";
import type { Basis } from "../../config/neural.ts";
import { GradientFlow } from "../../flow/gradient_flow.ts";
import { Measurements } from "../../flow/measurements.ts";
import type { Gpu } from "../../gpu/device.ts";
import { DeviceError } from "../../gpu/errors.ts";
import type { CanonicalWeights } from "../../model/dense_stack.ts";
import { NeuralOde } from "../../ode/neural_ode.ts";
import { depthDistance, evaluateDepth } from "../../plan/basis.ts";
import type { ExperimentContext } from "../experiment.ts";
import type { Cell, RunStatus } from "../record.ts";
import { createTraining, runCell, weightsOf } from "../training.ts";
import {
  type Discretisation,
  discretisations,
  type Family,
  fieldOf,
  type LimitDynamicsConfig,
  specOf,
} from "./config.ts";

type Context = ExperimentContext<LimitDynamicsConfig>;
type Row = Record<string, Cell>;

/** Places in (0,1) at which the limit is looked at. */
const PROFILE_POINTS = 128;
/** Deepest stack drawn layer by layer. */
const PROFILE_DEPTH = 128;

/** One recorded state of a training. */
export interface Snapshot {
  readonly step: number;
  /** At this state. */
  readonly loss: number;
  /** Distance in L² to the limit; null for the limit itself. */
  readonly distance: Readonly<Record<Family, number>> | null;
  /** Change of V and W from their initial values, where others are compared with it. */
  readonly change?: Readonly<Record<Family, readonly number[]>>;
  /** The entry of V that the limit changes most unevenly over depth, layer by layer. */
  readonly profile?: readonly number[];
  /** Of the fastest iterations since the one before; null when there were none. */
  readonly secondsPerStep: number | null;
}

export interface Trained {
  readonly discretisation: Discretisation;
  readonly snapshots: readonly Snapshot[];
}

/** What the trainings gave, as far as they got. */
export interface LimitDynamics {
  status: RunStatus;
  detail?: string;
  readonly trained: Trained[];
  /** One entry of V, layer by layer, at the last iteration. */
  readonly profiles: Row[];
}

/** Trains the limit in two discretisations over depth, then every stack, and compares all with the limit. */
export async function trainAll(context: Context): Promise<LimitDynamics> {
  const { config } = context;
  const all = discretisations(config);
  const total = all.reduce((sum, { stages, records }) => sum + stages * records.at(-1)!, 0);
  const result: LimitDynamics = { status: "done", trained: [], profiles: [] };
  let done = 0;
  try {
    for (const one of all) {
      const { status, detail, rows } = await trainOne(context, one, result.trained[0], (steps, loss) => {
        done += steps * one.stages;
        context.progress({ done, total, label: one.name, ...(Number.isFinite(loss) && { loss }) });
      });
      result.trained.push({ discretisation: one, snapshots: rows });
      if (status !== "done") {
        result.status = status;
        result.detail = `${one.name}: ${detail}`;
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof DeviceError && (error.kind === "device_lost" || error.kind === "out_of_memory")))
      throw error;
    result.status = error.kind;
    result.detail = error.message;
  }
  result.profiles.push(...profiles(result.trained));
  return result;
}

/**
 * The shortest time of an iteration: longer ones waited for other programs. The first batch only starts the clock: it compiles
 * kernels, or is what a resumed run had done before.
 */
class StepClock {
  #from: number | undefined;
  #best: number | null = null;

  lap(steps: number): void {
    const now = performance.now();
    if (this.#from !== undefined && steps > 0)
      this.#best = Math.min(this.#best ?? Number.POSITIVE_INFINITY, (now - this.#from) / 1000 / steps);
    this.#from = now;
  }

  /** The best since the last call. */
  take(): number | null {
    const best = this.#best;
    this.#best = null;
    return best;
  }

  /** Leaves out the time since the last lap. */
  skip(): void {
    if (this.#from !== undefined) this.#from = performance.now();
  }
}

function trainOne(
  context: Context,
  one: Discretisation,
  limit: Trained | undefined,
  onSteps: (steps: number, loss: number) => void,
) {
  const { gpu, config } = context;
  const clock = new StepClock();
  return runCell<Awaited<ReturnType<typeof create>>, Snapshot>(
    context,
    one.kind === "stack" ? `stack-${one.depth}` : one.kind,
    one.records,
    () => create(gpu, config, one),
    async ({ stack, flow, loss }, step) => {
      const secondsPerStep = clock.take();
      const change = await stack.readChange();
      const reference = limit?.snapshots.find((snapshot) => snapshot.step === step);
      const isLast = step === config.steps;
      const snapshot: Snapshot = {
        step: flow.state.step,
        loss: await loss(),
        secondsPerStep,
        distance: reference ? distances(basisOf(one), change, basisOf(limit!.discretisation), reference) : null,
        ...(one.kind === "limit" && { change: { V: [...change.V], W: [...change.W] } }),
        ...(one.kind === "stack" &&
          one.depth <= PROFILE_DEPTH &&
          isLast && { profile: entriesOf(change.V, one.depth, profileEntry(limit!)) }),
      };
      clock.skip();
      return [snapshot];
    },
    (steps, loss) => {
      clock.lap(steps);
      onSteps(steps, loss);
    },
  );
}

async function create(gpu: Gpu, config: LimitDynamicsConfig, { depth, solver }: Discretisation) {
  const spec = specOf(config, depth);
  if (!solver) {
    const training = await createTraining(gpu, spec);
    const { stack, flow, pass, measure } = training;
    return {
      stack,
      flow,
      loss: async () => (await measure.loss(flow.recorder, pass)).loss,
      destroy: () => training.destroy(),
    };
  }
  const ode = NeuralOde.create(gpu, fieldOf(spec.shape), solver, weightsOf(spec));
  const stack = ode.coefficients;
  const pass = await ode.pass(spec.data, spec.loss, { training: true });
  const flow = await GradientFlow.create(stack, pass, flowSchema.parse(spec.flow));
  const measure = await Measurements.create(stack);
  return {
    stack,
    flow,
    loss: async () => (await measure.loss(flow.recorder, pass)).loss,
    destroy() {
      measure.destroy();
      flow.destroy();
      pass.destroy();
      ode.destroy();
    },
  };
}

/** The functions of depth that a discretisation trains: layers are cells. */
export function basisOf({ depth, solver }: Discretisation): Basis {
  return solver?.basis ?? { kind: "constant", count: depth };
}

/** Of the changes: the initial weights are the same function of depth for all. */
function distances(basis: Basis, change: CanonicalWeights, limitBasis: Basis, limit: Snapshot): Record<Family, number> {
  const distance = (family: Family) =>
    depthDistance({ basis, coefficients: change[family] }, { basis: limitBasis, coefficients: limit.change![family] });
  return { V: distance("V"), W: distance("W") };
}

function entriesOf(values: ArrayLike<number>, layers: number, entry: number): number[] {
  const size = values.length / layers;
  return Array.from({ length: layers }, (_, k) => values[k * size + entry]!);
}

function cellMiddles(cells: number): number[] {
  return Array.from({ length: cells }, (_, k) => (k + 0.5) / cells);
}

/** The limit's change of V at the last iteration, [times, q·m]. */
function limitAt({ discretisation, snapshots }: Trained, times: readonly number[]): Float64Array {
  return evaluateDepth({ basis: basisOf(discretisation), coefficients: snapshots.at(-1)!.change!.V }, times);
}

/** The entry of V that varies most over depth. */
function profileEntry(limit: Trained): number {
  const values = limitAt(limit, cellMiddles(PROFILE_POINTS));
  const size = values.length / PROFILE_POINTS;
  let entry = 0;
  let widest = -1;
  for (let e = 0; e < size; e++) {
    const column = entriesOf(values, PROFILE_POINTS, e);
    const range = Math.max(...column) - Math.min(...column);
    if (range > widest) [entry, widest] = [e, range];
  }
  return entry;
}

function profiles(trained: readonly Trained[]): Row[] {
  return trained.flatMap(({ discretisation: { name, depth }, snapshots }) => {
    const profile = snapshots.at(-1)?.profile;
    if (!profile) return [];
    const limit = trained[0]!;
    const middles = cellMiddles(depth);
    const expected = entriesOf(limitAt(limit, middles), depth, profileEntry(limit));
    return middles.map((s, k): Row => {
      const [value, inLimit] = [profile[k]!, expected[k]!];
      return { name, depth, s, value, limit: inLimit, scaled: depth * (value - inLimit) };
    });
  });
}
