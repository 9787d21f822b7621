/** The training step of other libraries on the same machine, data and losses: each peer a process of its own. Node only. */
import { z } from "zod";
import type { Cell, Column, Figure } from "../experiment/record.ts";
import { CONV_PEERS, CONV_TASKS, defaultConvPeers, makeConvCase } from "./conv_peer_comparison.ts";
import {
  DEFAULT_LIMIT_REASON,
  defaultPeers,
  fasterPeers,
  LOSS_TOLERANCE,
  lossDifference,
  makeCase,
  OWN,
  PEERS,
  type Peer,
  type PeerSpec,
  parsePeers,
  ratioOf,
  referenceOf,
} from "./peer_comparison.ts";
import { checkAdapters, checkCounts, PeerRunner, type PeerRunOptions, type PeerStatus } from "./peer_runner.ts";
import type { SuiteResult } from "./suite.ts";
import { summarise } from "./timing.ts";

export interface PeersOptions extends PeerRunOptions {
  /** `NAME[:ADAPTER][@MAXDEPTH]`, see `parsePeer`; default: all. */
  readonly peers?: readonly string[] | undefined;
  /** Default 64, 256, 1024, 4096. */
  readonly depths?: readonly number[] | undefined;
  /** Times that all peers are run in the same order; default 2. */
  readonly rounds?: number | undefined;
  /** Timed steps of a run, after those that warm it up; default 7. */
  readonly steps?: number | undefined;
  /** The adapter is a software one: the default peers stop at smaller depths. Default true. */
  readonly software?: boolean | undefined;
  /** Of the data; default 1. */
  readonly seed?: number | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

/** What peers are compared on. */
export interface PeerContest {
  /** Names of its tables: times, and ratios to deeplimit. */
  readonly table: string;
  readonly ratioTable: string;
  readonly peers: Readonly<Record<string, Peer>>;
  readonly defaultPeers: (software: boolean) => string[];
  readonly depths: readonly number[];
  readonly makeCase: (depth: number, seed: number) => object;
  /** Each is timed at every depth; the scripts are told by `--task`. */
  readonly tasks: readonly string[];
  /** What is timed, e.g. "One training step (…) of every library". */
  readonly work: string;
  readonly title: string;
  readonly unit: string;
}

const STEP = "training step";

export const DENSE_CONTEST: PeerContest = {
  table: "peers",
  ratioTable: "peer-ratios",
  peers: PEERS,
  defaultPeers,
  depths: [64, 256, 1024, 4096],
  makeCase,
  tasks: [STEP],
  work: "One training step (explicit Euler, d = q = 16, m = 32, n = 100, exact GELU, V and W trained) of every library",
  title: "Training step over depth, with every peer",
  unit: "step",
};

export const CONV_CONTEST: PeerContest = {
  table: "conv-peers",
  ratioTable: "conv-peer-ratios",
  peers: CONV_PEERS,
  defaultPeers: defaultConvPeers,
  depths: [16, 64, 256],
  makeCase: makeConvCase,
  tasks: CONV_TASKS,
  work: "One training step (SGD with momentum) and one forward pass in training mode of the paper's convolutional network with batch normalisation, 16 channels, on 64 images of 32 × 32, by every library",
  title: "Convolutional network over depth, with every peer",
  unit: "batch of 64 images",
};

const MIB = 2 ** 20;

/** The line of JSON that a peer prints. NaN arrives as null. */
const loss = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const resultSchema = z.object({
  version: z.string(),
  device: z.string(),
  losses: z.array(loss).min(2),
  msPerStep: z.array(z.number().positive()).min(1),
  warmup: z.int(),
  firstStepMs: z.number(),
  peakRssBytes: z.number(),
});
type PeerResult = z.infer<typeof resultSchema>;

/** A peer at one depth: its results by round until something ended it. */
interface Contender {
  readonly spec: PeerSpec;
  readonly name: string;
  readonly results: PeerResult[];
  status: PeerStatus;
  /** It takes part in no further round. */
  ended: boolean;
  reason?: string;
  load?: number;
  difference?: number;
  comparedWith?: string;
}

/**
 * At each depth all peers run in the same order, once a round (A B A B …), in processes of their own, one at a time. Losses
 * are compared after each round, before any time is looked at: a peer with another result has no times and no ratio. A peer
 * that cannot run is a row that says what it lacks.
 * @throws ConfigError for unknown peers, and depths, rounds or steps that are not positive integers
 */
export async function peersSuite(options: PeersOptions = {}, contest = DENSE_CONTEST): Promise<SuiteResult> {
  const { depths = contest.depths, rounds = 2, steps = 7, software = true, seed = 1 } = options;
  const specs = parsePeers(options.peers ?? contest.defaultPeers(software), contest.peers);
  checkCounts({ rounds, steps });
  checkAdapters(options.adapter, specs);
  const cases = depths.map((depth) => ({ depth, problem: contest.makeCase(depth, seed) }));

  const runner = new PeerRunner(options);
  const peers: Record<string, Cell>[] = [];
  const ratios: Record<string, Cell>[] = [];
  const notes = new Set<string>();
  try {
    for (const { depth, problem } of cases) {
      const file = runner.write(`depth-${depth}`, problem);
      for (const task of contest.tasks) {
        const contenders = await compete(specs, file, depth, { task, rounds, steps, runner, options });
        const key = { depth, ...(contest.tasks.length > 1 && { task }) };
        peers.push(...contenders.map((contender) => ({ ...key, ...peerRow(contender) })));
        ratios.push(...ratioRows(contenders).map((row) => ({ ...key, ...row })));
        for (const note of adapterNotes(contenders)) notes.add(note);
      }
    }
  } finally {
    runner.clean();
  }
  return {
    tables: [
      {
        name: contest.table,
        description: `${contest.work}; ${rounds} rounds of ${steps} timed ones.`,
        columns: [...keyColumns(contest), ...PEER_COLUMNS],
        rows: peers,
      },
      {
        name: contest.ratioTable,
        description: "Time of the peer over that of deeplimit in the same round: above 1 deeplimit is faster.",
        columns: [...keyColumns(contest), ...RATIO_COLUMNS],
        rows: ratios,
      },
    ],
    figures: peers.some((row) => row.status === "measured") ? contest.tasks.map((task) => figureOf(contest, task)) : [],
    claims: [],
    notes: [
      ...fasterPeers(ratios),
      ...notes,
      ...runner.notes,
      `Every peer trains the same network from the same weights on the same data; its losses must agree to ${LOSS_TOLERANCE}. Peers on the processor have one thread.`,
    ],
  };
}

function keyColumns({ tasks }: PeerContest): Column[] {
  const depth = { name: "depth", description: "L" };
  return tasks.length > 1 ? [depth, { name: "task", description: "what is timed" }] : [depth];
}

interface Competition {
  readonly task: string;
  readonly rounds: number;
  readonly steps: number;
  readonly runner: PeerRunner;
  readonly options: PeersOptions;
}

/** All rounds of one depth. */
async function compete(
  specs: readonly PeerSpec[],
  caseFile: string,
  depth: number,
  { task, rounds, steps, runner, options: { peers, onProgress } }: Competition,
): Promise<Contender[]> {
  const contenders = specs.map((spec): Contender => {
    const contender: Contender = { spec, name: spec.name, results: [], status: "measured", ended: false };
    if (depth > spec.limit) {
      contender.ended = true;
      contender.status = "skipped";
      contender.reason = `left out beyond L = ${spec.limit}${peers ? ", as asked" : `: ${DEFAULT_LIMIT_REASON}`}`;
    }
    return contender;
  });
  const say = ({ spec }: Contender, text: string) =>
    onProgress?.(`L = ${depth}, ${task === STEP ? "" : `${task}, `}${spec.label}: ${text}`);
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      if (contender.ended) continue;
      const args = ["--steps", `${steps}`, ...(task === STEP ? [] : ["--task", task])];
      const { result, load, status, reason } = await runner.run(contender.spec, caseFile, args, resultSchema);
      if (load !== undefined) contender.load = Math.max(contender.load ?? 0, load);
      if (status !== "stopped") say(contender, result ? `round ${round + 1} of ${rounds}` : `${status}, ${reason}`);
      if (result) {
        contender.results.push(result);
        continue;
      }
      // What an earlier round measured stays.
      contender.ended = true;
      contender.reason = round === 0 ? reason : `${status} in round ${round + 1}: ${reason}`;
      if (round === 0) contender.status = status;
    }
    const finished = contenders.filter(({ results }) => results.length > round);
    for (const contender of compareLosses(finished, round)) say(contender, contender.reason!);
  }
  return contenders;
}

/** Compares the losses of a round with those of its reference; another result ends a peer. @returns those it ended */
function compareLosses(finished: readonly Contender[], round: number): Contender[] {
  const reference = referenceOf(finished);
  if (!reference) return [];
  const different: Contender[] = [];
  const { losses } = reference.results[round]!;
  for (const contender of finished) {
    const difference = lossDifference(contender.results[round]!.losses, losses);
    const worst = contender.difference ?? 0;
    contender.difference = difference <= worst ? worst : difference;
    contender.comparedWith = reference.spec.label;
    if (difference <= LOSS_TOLERANCE) continue;
    contender.ended = true;
    contender.status = "different result";
    different.push(contender);
    contender.reason = Number.isNaN(difference)
      ? "a loss is not a finite number"
      : `losses differ by ${difference.toPrecision(2)} from those of ${reference.spec.label}`;
  }
  return different;
}

const PEER_COLUMNS: readonly Column[] = [
  { name: "peer", description: "library and backend, with the adapter where one was named" },
  { name: "version", description: "of the library" },
  { name: "device", description: "adapter or processor" },
  { name: "status", description: "measured, different result, missing, failed, timeout, skipped or stopped (Ctrl-C)" },
  { name: "reason", description: "why there are no times, and what to install" },
  { name: "median", unit: "ms", description: "of a step, over all rounds" },
  { name: "min", unit: "ms", description: "quickest step" },
  { name: "lower", unit: "ms", description: "lower quartile" },
  { name: "upper", unit: "ms", description: "upper quartile" },
  { name: "first step", unit: "ms", description: "of the first round, with what compiles then" },
  { name: "steps", description: "timed steps in all rounds" },
  { name: "warm-up", description: "steps before those of a round, with the first; the largest of the rounds" },
  { name: "host memory", unit: "MiB", description: "peak resident memory of the process" },
  { name: "loss difference", description: "largest relative difference of a loss" },
  { name: "compared with", description: "the peer whose losses these were compared with" },
  { name: "load", description: "load average of the machine over the minute before, the largest of the rounds" },
];

function peerRow(contender: Contender): Record<string, Cell> {
  const { spec, results, status, reason } = contender;
  const last = results.at(-1);
  const times = status === "measured" ? summarise(results.flatMap(({ msPerStep }) => msPerStep)) : undefined;
  return {
    peer: spec.label,
    version: last?.version ?? null,
    device: last?.device ?? null,
    status,
    reason: reason ?? null,
    median: times?.median ?? null,
    min: times?.min ?? null,
    lower: times?.lower ?? null,
    upper: times?.upper ?? null,
    "first step": times ? results[0]!.firstStepMs : null,
    steps: times?.samples ?? null,
    "warm-up": times ? Math.max(...results.map(({ warmup }) => warmup)) : null,
    "host memory": times ? Math.max(...results.map(({ peakRssBytes }) => peakRssBytes)) / MIB : null,
    "loss difference": contender.difference ?? null,
    "compared with": contender.comparedWith ?? null,
    load: contender.load ?? null,
  };
}

const RATIO_COLUMNS: readonly Column[] = [
  { name: "peer", description: "library and backend" },
  { name: "base", description: "what it is held against: the first deeplimit that ran" },
  { name: "ratio", description: "median over the rounds of the ratio of medians" },
  { name: "lowest", description: "smallest of the rounds; of a single round, by the quartiles" },
  { name: "highest", description: "largest of the rounds; of a single round, by the quartiles" },
  { name: "rounds", description: "rounds that both finished" },
  { name: "verdict", description: "deeplimit faster, peer faster, or undecided where the spread holds 1" },
];

function ratioRows(contenders: readonly Contender[]): Record<string, Cell>[] {
  const measured = contenders.filter(({ status }) => status === "measured");
  const own = measured.find(({ name }) => name === OWN);
  if (!own) return [];
  const times = ({ results }: Contender) => results.map(({ msPerStep }) => msPerStep);
  return measured.flatMap((contender) => {
    const ratio = contender === own ? undefined : ratioOf(times(own), times(contender));
    return ratio ? [{ peer: contender.spec.label, base: own.spec.label, ...ratio }] : [];
  });
}

/** Peers on WebGPU should share an adapter: says where one did not. */
function adapterNotes(contenders: readonly Contender[]): string[] {
  const measured = contenders.filter(({ status, spec }) => status === "measured" && spec.peer.backend === "webgpu");
  const own = measured.find(({ name }) => name === OWN)?.results[0]?.device;
  if (own === undefined) return [];
  return measured
    .filter(({ results }) => results[0]!.device !== own)
    .map(({ spec, results }) => `${spec.label} ran on another adapter, ${results[0]!.device}; deeplimit on ${own}.`);
}

function figureOf({ table, title, unit, work, tasks }: PeerContest, task: string): Figure {
  const several = tasks.length > 1;
  return {
    name: several ? `${table}-${task.replaceAll(" ", "-")}` : table,
    title: several ? `${title}: ${task}` : title,
    caption: `Median and quartiles on the same machine and data. ${work}. Only peers whose losses agree are drawn.`,
    table,
    kind: "line",
    x: { field: "depth", label: "depth L", scale: "log2" },
    y: { field: "median", label: `${unit} in ms`, scale: "log" },
    color: { field: "peer", label: "peer" },
    interval: ["lower", "upper"],
    guides: [{ slope: 1, label: "linear" }],
    where: { status: "measured", ...(several && { task }) },
  };
}
