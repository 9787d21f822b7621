/** The training step of other libraries on the same machine, data and losses: each peer a process of its own. Node only. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { ConfigError } from "../config/errors.ts";
import type { Cell, Column, Figure } from "../experiment/record.ts";
import { ADAPTER_CHOICES } from "../gpu/node_adapter.ts";
import { PACKAGE_ROOT, runChild } from "./child_process.ts";
import {
  defaultPeers,
  fasterPeers,
  LOSS_TOLERANCE,
  lossDifference,
  makeCase,
  OWN,
  type PeerSpec,
  parsePeers,
  ratioOf,
  referenceOf,
} from "./peer_comparison.ts";
import type { SuiteResult } from "./suite.ts";
import { summarise } from "./timing.ts";

export interface PeersOptions {
  /** `NAME[:ADAPTER][@MAXDEPTH]`, see `parsePeer`; default: all. */
  readonly peers?: readonly string[] | undefined;
  /** Default 64, 256, 1024, 4096. */
  readonly depths?: readonly number[] | undefined;
  /** Times that all peers are run in the same order; default 2. */
  readonly rounds?: number | undefined;
  /** Timed steps of a run, after `warmup`; default 7 after 1. */
  readonly steps?: number | undefined;
  readonly warmup?: number | undefined;
  /** A run that lasts longer is stopped; from a third of it on, a run begins no further step. Default 300. */
  readonly timeoutSeconds?: number | undefined;
  /** WebGPU adapter of peers that name none; default auto. */
  readonly adapter?: string | undefined;
  /** The adapter is a software one: the default peers stop at smaller depths. Default true. */
  readonly software?: boolean | undefined;
  /** Python of the Python peers; default: the first of python3 and /usr/bin/python3 that imports what the peer needs. */
  readonly python?: string | undefined;
  /** Of the data; default 1. */
  readonly seed?: number | undefined;
  /** Where the peers' scripts lie; default bench/peers of the repository. */
  readonly folder?: string | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

const PEERS_TABLE = "peers";
const RATIOS_TABLE = "peer-ratios";
const MIB = 2 ** 20;
const PYTHONS = ["python3", "/usr/bin/python3"];
const IMPORT_SECONDS = 120;

/** The line of JSON that a peer prints: what it measured, or what it lacks. NaN arrives as null. */
const loss = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const resultSchema = z.object({
  version: z.string(),
  device: z.string(),
  losses: z.array(loss).min(2),
  msPerStep: z.array(z.number().positive()).min(1),
  firstStepMs: z.number(),
  peakRssBytes: z.number(),
});
type PeerResult = z.infer<typeof resultSchema>;
const missingSchema = z.object({ missing: z.string() });

type PeerStatus = "measured" | "missing" | "failed" | "timeout" | "skipped" | "different result";

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
export async function peersSuite(options: PeersOptions = {}): Promise<SuiteResult> {
  const { depths = [64, 256, 1024, 4096], rounds = 2, steps = 7, warmup = 1, software = true, seed = 1 } = options;
  const specs = parsePeers(options.peers ?? defaultPeers(software));
  for (const [field, value, least] of [
    ["rounds", rounds, 1],
    ["steps", steps, 1],
    ["warmup", warmup, 0],
  ] as const)
    if (!Number.isInteger(value) || value < least)
      throw new ConfigError(field, `must be an integer of at least ${least}`, value);
  for (const adapter of [options.adapter ?? "auto", ...specs.map((spec) => spec.adapter ?? "auto")])
    if (!ADAPTER_CHOICES.some((choice) => choice === adapter))
      throw new ConfigError("adapter", `must be one of ${ADAPTER_CHOICES.join(", ")}`, adapter);
  const cases = depths.map((depth) => makeCase(depth, seed));

  const runner = new PeerRunner(options, steps, warmup);
  const peers: Record<string, Cell>[] = [];
  const ratios: Record<string, Cell>[] = [];
  const notes = new Set<string>();
  try {
    for (const problem of cases) {
      const contenders = await compete(specs, runner.write(problem), problem.depth, rounds, runner, options.onProgress);
      peers.push(...contenders.map((contender) => peerRow(problem.depth, contender)));
      ratios.push(...ratioRows(problem.depth, contenders));
      for (const note of adapterNotes(contenders)) notes.add(note);
    }
  } finally {
    runner.clean();
  }
  return {
    tables: [
      {
        name: PEERS_TABLE,
        description: `One training step (explicit Euler, d = q = 16, m = 32, n = 100, exact GELU, V and W trained) of every library; ${rounds} rounds of ${steps} timed steps.`,
        columns: PEER_COLUMNS,
        rows: peers,
      },
      {
        name: RATIOS_TABLE,
        description:
          "Time of a step of the peer over that of deeplimit in the same round: above 1 deeplimit is faster.",
        columns: RATIO_COLUMNS,
        rows: ratios,
      },
    ],
    figures: peers.some((row) => row.status === "measured") ? [FIGURE] : [],
    claims: [],
    notes: [
      ...fasterPeers(ratios),
      ...notes,
      ...runner.notes,
      `Every peer trains the same network from the same weights on the same data; its losses must agree to ${LOSS_TOLERANCE}. Peers on the processor have one thread.`,
    ],
  };
}

/** All rounds of one depth. */
async function compete(
  specs: readonly PeerSpec[],
  caseFile: string,
  depth: number,
  rounds: number,
  runner: PeerRunner,
  onProgress: PeersOptions["onProgress"],
): Promise<Contender[]> {
  const contenders = specs.map((spec): Contender => {
    const contender: Contender = { spec, name: spec.name, results: [], status: "measured", ended: false };
    if (depth > spec.maxDepth) {
      contender.ended = true;
      contender.status = "skipped";
      contender.reason = `left out beyond L = ${spec.maxDepth}`;
    }
    return contender;
  });
  const say = ({ spec }: Contender, text: string) => onProgress?.(`L = ${depth}, ${spec.label}: ${text}`);
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      if (contender.ended) continue;
      const { result, load, status, reason } = await runner.run(contender.spec, caseFile);
      if (load !== undefined) contender.load = Math.max(contender.load ?? 0, load);
      say(contender, result ? `round ${round + 1} of ${rounds}` : `${status}, ${reason}`);
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

interface RunOutcome {
  readonly result?: PeerResult;
  readonly status: PeerStatus;
  readonly reason: string;
  readonly load?: number;
}

/** Starts the peers' scripts, and finds the Python that each needs. */
class PeerRunner {
  readonly notes: string[] = [];
  readonly #options: PeersOptions;
  readonly #steps: number;
  readonly #warmup: number;
  readonly #peers: string;
  readonly #folder: string;
  readonly #pythons = new Map<string, Promise<string>>();

  constructor(options: PeersOptions, steps: number, warmup: number) {
    this.#options = options;
    this.#steps = steps;
    this.#warmup = warmup;
    this.#peers = options.folder ?? join(PACKAGE_ROOT, "bench", "peers");
    this.#folder = mkdtempSync(join(tmpdir(), "deeplimit-peers-"));
  }

  /** Writes a case for the scripts to read; its path. */
  write(problem: ReturnType<typeof makeCase>): string {
    const file = join(this.#folder, `depth-${problem.depth}.json`);
    writeFileSync(file, JSON.stringify(problem));
    return file;
  }

  clean(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async run({ peer, adapter }: PeerSpec, caseFile: string): Promise<RunOutcome> {
    const { timeoutSeconds = 300 } = this.#options;
    const script = join(this.#peers, peer.script);
    if (!existsSync(script))
      return { status: "missing", reason: "peers are part of the repository, not of the npm package" };
    const args = ["--case", caseFile, "--steps", `${this.#steps}`, "--warmup", `${this.#warmup}`];
    // A slow peer stops early with the steps it has; the rest of the time is for start-up, compiling and the last step.
    args.push("--backend", peer.backend, "--budget", `${timeoutSeconds / 3}`);
    const { runtime } = peer;
    if ("node" in runtime) {
      args.unshift(...runtime.node, script);
      args.push("--adapter", adapter ?? this.#options.adapter ?? "auto");
    } else args.unshift(script);
    const program = "node" in runtime ? process.execPath : await this.#python(runtime.python);
    // One thread each: BLAS libraries read these at start.
    const env = { OPENBLAS_NUM_THREADS: "1", OMP_NUM_THREADS: "1", MKL_NUM_THREADS: "1" };
    const child = await runChild(program, args, { env, timeoutSeconds });
    const { load, end } = child;
    if (end === "absent") return { status: "missing", reason: child.reason!, load };
    if (end === "timeout") return { status: "timeout", reason: child.reason!, load };
    if (child.reason !== undefined) return { status: "failed", reason: child.reason, load };
    const printed = lastJson(child.out);
    const missing = missingSchema.safeParse(printed);
    if (missing.success) return { status: "missing", reason: missing.data.missing, load };
    const result = resultSchema.safeParse(printed);
    if (!result.success) return { status: "failed", reason: "it printed no result", load };
    return { result: result.data, status: "measured", reason: "", load };
  }

  /** The first Python that imports the module, looked for once; a script in another says itself what it lacks. */
  #python(module: string): Promise<string> {
    let found = this.#pythons.get(module);
    if (!found) {
      found = this.#findPython(module);
      this.#pythons.set(module, found);
    }
    return found;
  }

  async #findPython(module: string): Promise<string> {
    const { python } = this.#options;
    if (python !== undefined) return python;
    let first: string | undefined;
    for (const program of PYTHONS) {
      const { end, code } = await runChild(program, ["-c", `import ${module}`], { timeoutSeconds: IMPORT_SECONDS });
      if (code === 0) {
        this.notes.push(`Peers that need ${module} run in ${program}.`);
        return program;
      }
      if (end !== "absent") first ??= program;
    }
    return first ?? PYTHONS[0]!;
  }
}

function lastJson(text: string): unknown {
  try {
    return JSON.parse(text.trimEnd().split("\n").at(-1)!);
  } catch {
    return undefined;
  }
}

const PEER_COLUMNS: readonly Column[] = [
  { name: "depth", description: "L" },
  { name: "peer", description: "library and backend, with the adapter where one was named" },
  { name: "version", description: "of the library" },
  { name: "device", description: "adapter or processor" },
  { name: "status", description: "measured, different result, missing, failed, timeout or skipped" },
  { name: "reason", description: "why there are no times, and what to install" },
  { name: "median", unit: "ms", description: "of a step, over all rounds" },
  { name: "min", unit: "ms", description: "quickest step" },
  { name: "lower", unit: "ms", description: "lower quartile" },
  { name: "upper", unit: "ms", description: "upper quartile" },
  { name: "first step", unit: "ms", description: "of the first round, with what compiles then" },
  { name: "steps", description: "timed steps in all rounds" },
  { name: "host memory", unit: "MiB", description: "peak resident memory of the process" },
  { name: "loss difference", description: "largest relative difference of a loss" },
  { name: "compared with", description: "the peer whose losses these were compared with" },
  { name: "load", description: "load average of the machine over the minute before, the largest of the rounds" },
];

function peerRow(depth: number, contender: Contender): Record<string, Cell> {
  const { spec, results, status, reason } = contender;
  const last = results.at(-1);
  const times = status === "measured" ? summarise(results.flatMap(({ msPerStep }) => msPerStep)) : undefined;
  return {
    depth,
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
    "host memory": times ? Math.max(...results.map(({ peakRssBytes }) => peakRssBytes)) / MIB : null,
    "loss difference": contender.difference ?? null,
    "compared with": contender.comparedWith ?? null,
    load: contender.load ?? null,
  };
}

const RATIO_COLUMNS: readonly Column[] = [
  { name: "depth", description: "L" },
  { name: "peer", description: "library and backend" },
  { name: "base", description: "what it is held against: the first deeplimit that ran" },
  { name: "ratio", description: "median over the rounds of the ratio of medians" },
  { name: "lowest", description: "smallest of the rounds; of a single round, by the quartiles" },
  { name: "highest", description: "largest of the rounds; of a single round, by the quartiles" },
  { name: "rounds", description: "rounds that both finished" },
  { name: "verdict", description: "deeplimit faster, peer faster, or undecided where the spread holds 1" },
];

function ratioRows(depth: number, contenders: readonly Contender[]): Record<string, Cell>[] {
  const measured = contenders.filter(({ status }) => status === "measured");
  const own = measured.find(({ name }) => name === OWN);
  if (!own) return [];
  const times = ({ results }: Contender) => results.map(({ msPerStep }) => msPerStep);
  return measured.flatMap((contender) => {
    const ratio = contender === own ? undefined : ratioOf(times(own), times(contender));
    return ratio ? [{ depth, peer: contender.spec.label, base: own.spec.label, ...ratio }] : [];
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

const FIGURE: Figure = {
  name: PEERS_TABLE,
  title: "Training step over depth, with every peer",
  caption:
    "Median and quartiles of one step on the same machine and data, d = q = 16, m = 32, n = 100. Only peers whose losses agree are drawn.",
  table: PEERS_TABLE,
  kind: "line",
  x: { field: "depth", label: "depth L", scale: "log2" },
  y: { field: "median", label: "step in ms", scale: "log" },
  color: { field: "peer", label: "peer" },
  interval: ["lower", "upper"],
  guides: [{ slope: 1, label: "linear" }],
  where: { status: "measured" },
};
