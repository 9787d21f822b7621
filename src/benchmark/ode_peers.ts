/** The same ensemble by other libraries on the same machine: at equal steps, and at the same error. Node only. */
import { z } from "zod";
import type { Cell, Column, Figure } from "../experiment/record.ts";
import {
  contestsOf,
  defaultOdePeers,
  EQUAL_STEPS,
  EQUAL_STEPS_TOLERANCE,
  fasterOdePeers,
  MARK,
  methodText,
  ODE_PEERS,
  type OdeContest,
  type OdeEntry,
  odeCase,
  quickestWithin,
  TRIED,
} from "./ode_peer_comparison.ts";
import { type AnswerError, answerError, lorenzSweep, trueAnswers } from "./ode_problem.ts";
import { OWN, parsePeers, ratioOf } from "./peer_comparison.ts";
import { checkAdapters, checkCounts, PeerRunner, type PeerRunOptions, type PeerStatus } from "./peer_runner.ts";
import type { SuiteResult } from "./suite.ts";
import { summarise } from "./timing.ts";

export interface OdePeersOptions extends PeerRunOptions {
  /** `NAME[:ADAPTER][@TRAJECTORIES]`; default: all. */
  readonly peers?: readonly string[] | undefined;
  /** Default 10,000. */
  readonly trajectories?: readonly number[] | undefined;
  /** Times that all peers are run in the same order; default 2. */
  readonly rounds?: number | undefined;
  /** Timed solves of a run, after those that warm it up; default 7. */
  readonly solves?: number | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
}

const MIB = 2 ** 20;
/** Timed solves of each setting that is tried. */
const TRIAL_SOLVES = 3;
const DEFAULT_LIMIT_REASON = "seconds to a minute a solve on one thread; --ode-peers NAME runs it";

/** The line of JSON that a peer prints. NaN arrives as null. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const resultSchema = z.object({
  version: z.string(),
  device: z.string(),
  arithmetic: z.string(),
  note: z.string(),
  results: z
    .array(
      z.object({
        setting: z.number(),
        msPerSolve: z.array(z.number().positive()).min(1),
        firstMs: z.number(),
        answers: z.array(number),
      }),
    )
    .min(1),
  peakRssBytes: z.number(),
});
type PeerResult = z.infer<typeof resultSchema>;
type SettingResult = PeerResult["results"][number];

interface Tried {
  readonly setting: number;
  readonly ms: number;
  readonly error: number;
  readonly times: ReturnType<typeof summarise>;
}

/** A method of a peer in a contest: its results by round until something ended it. */
interface Contender extends OdeEntry {
  readonly contest: OdeContest["name"];
  readonly trajectories: number;
  readonly rounds: SettingResult[];
  status: PeerStatus;
  ended: boolean;
  about?: PeerResult;
  tried?: readonly Tried[];
  setting?: number;
  error?: AnswerError;
  reason?: string;
  load?: number;
}

/** What the runs of a number of trajectories share. */
interface Race {
  readonly caseFile: string;
  readonly truth: Float64Array;
  readonly runner: PeerRunner;
  readonly say: (contender: Contender, text: string) => void;
}

/**
 * Two contests over the Lorenz sweep. Equal steps: 1,000 of them, and answers that are right. Same error: the error of
 * deeplimit's Tsit5 at 1e-6 is the mark; every method is tried over a range of tolerances, or of numbers of steps, and the
 * quickest setting whose error is at most the mark is compared. Answers are held against float64 before any time is looked
 * at. All run in the same order once a round (A B A B …), in processes of their own, one at a time.
 * @throws ConfigError for unknown peers, and trajectories, rounds or solves that are no positive integers
 */
export async function odePeersSuite(options: OdePeersOptions = {}): Promise<SuiteResult> {
  const { trajectories = [10_000], rounds = 2, solves = 7, peers = defaultOdePeers(), onProgress } = options;
  const specs = parsePeers(peers, ODE_PEERS);
  checkCounts({ rounds, solves });
  checkAdapters(options.adapter, specs);
  const sweeps = trajectories.map(lorenzSweep);
  const runner = new PeerRunner(options);
  const contenders: Contender[] = [];
  try {
    for (const sweep of sweeps) {
      const n = sweep.trajectories;
      const race: Race = {
        caseFile: runner.write(`ode-${n}`, odeCase(sweep)),
        truth: trueAnswers(sweep),
        runner,
        say: ({ spec, method, contest }, text) =>
          onProgress?.(`${contest}, n = ${n}, ${spec.label} (${methodText(method)}): ${text}`),
      };
      const entered = contestsOf(specs).flatMap(({ name, entries }) =>
        entries.map((entry) => enter(entry, name, n, options.peers !== undefined)),
      );
      const mark = await tryAll(entered, race);
      for (let round = 0; round < rounds; round++)
        for (const contender of entered) await runRound(contender, race, round, rounds, solves, mark);
      contenders.push(...entered);
    }
  } finally {
    runner.clean();
  }
  const ratios = contenders.flatMap((contender) => ratioRow(contender, contenders));
  return {
    tables: [
      {
        name: "ode-peers",
        description: `The Lorenz sweep from arrays on the host to final states on the host; ${rounds} rounds of ${solves} timed solves. Equal steps: ${EQUAL_STEPS} of them. Same error: at the setting, of those tried, that is quickest with at most the error of deeplimit's ${MARK.text}.`,
        columns: PEER_COLUMNS,
        rows: contenders.map(peerRow),
      },
      {
        name: "ode-peer-ratios",
        description:
          "Time of a solve of the peer over that of deeplimit in the same round: above 1 deeplimit is faster.",
        columns: RATIO_COLUMNS,
        rows: ratios,
      },
      {
        name: "ode-precision-curves",
        description: "All settings tried: error reached and time.",
        columns: CURVE_COLUMNS,
        rows: contenders.flatMap(curveRows),
      },
    ],
    figures: trajectories
      .filter((n) => contenders.some((one) => one.trajectories === n && one.tried))
      .map(precisionFigure),
    claims: [],
    notes: [
      ...fasterOdePeers(ratios),
      ...runner.notes,
      "Errors are root mean squares over up to 257 trajectories, against an order-8 solution in float64; of a trajectory the largest difference of a component, over the largest component or 1.",
      "Peers on the processor have one thread; a software adapter takes all cores.",
    ],
  };
}

function enter(entry: OdeEntry, contest: OdeContest["name"], trajectories: number, asked: boolean): Contender {
  const contender: Contender = { ...entry, contest, trajectories, rounds: [], status: "measured", ended: false };
  const { limit } = entry.spec;
  if (trajectories > limit)
    end(contender, "skipped", `left out beyond n = ${limit}${asked ? ", as asked" : `: ${DEFAULT_LIMIT_REASON}`}`);
  else if (contest === "equal steps") contender.setting = EQUAL_STEPS;
  return contender;
}

function end(contender: Contender, status: PeerStatus, reason: string): void {
  contender.ended = true;
  contender.status = status;
  contender.reason = reason;
}

const isMark = ({ spec, method, contest }: Contender): boolean =>
  contest === "same error" && spec.name === OWN && method.name === MARK.method.name && method.kind === MARK.method.kind;

/** Tries the settings of all that are compared at the same error, and chooses one for each. @returns the mark */
async function tryAll(contenders: readonly Contender[], race: Race): Promise<number> {
  for (const contender of contenders) {
    if (contender.ended || contender.contest !== "same error") continue;
    const outcome = await run(contender, TRIED[contender.method.kind], TRIAL_SOLVES, race);
    if (!outcome) continue;
    contender.tried = outcome.map((result) => {
      const times = summarise(result.msPerSolve);
      return { setting: result.setting, times, ms: times.median, error: answerError(result.answers, race.truth).rms };
    });
    race.say(contender, `${contender.tried.length} settings tried`);
  }
  const mark = contenders.find(isMark)?.tried?.find(({ setting }) => setting === MARK.setting)?.error ?? Number.NaN;
  for (const contender of contenders) {
    if (contender.ended || !contender.tried) continue;
    const chosen = isMark(contender) ? MARK : quickestWithin(contender.tried, mark);
    if (chosen) contender.setting = chosen.setting;
    else {
      const best = Math.min(...contender.tried.map(({ error }) => error));
      const reason = Number.isNaN(mark)
        ? `deeplimit's ${MARK.text}, whose error is the mark, has not run`
        : `no setting tried has an error of at most ${mark.toPrecision(2)}, the best has ${best.toPrecision(2)}`;
      end(contender, "not reached", reason);
      race.say(contender, reason);
    }
  }
  return mark;
}

async function runRound(
  contender: Contender,
  race: Race,
  round: number,
  rounds: number,
  solves: number,
  mark: number,
): Promise<void> {
  if (contender.ended) return;
  const [result] = (await run(contender, [contender.setting!], solves, race)) ?? [];
  if (!result) return;
  const error = answerError(result.answers, race.truth);
  contender.error = error;
  const most = contender.contest === "equal steps" ? EQUAL_STEPS_TOLERANCE : mark;
  // Written so that a NaN is a different result.
  if (!(error.rms <= most)) {
    const reason = Number.isNaN(error.rms)
      ? "an answer is not a finite number"
      : `answers are off by ${error.rms.toPrecision(2)}, ${most.toPrecision(2)} are allowed`;
    end(contender, "different result", reason);
    race.say(contender, reason);
    return;
  }
  contender.rounds.push(result);
  race.say(contender, `round ${round + 1} of ${rounds}`);
}

/** Runs a contender's script; without a result it ends, and what earlier rounds measured stays. */
async function run(
  contender: Contender,
  settings: readonly number[],
  solves: number,
  { runner, caseFile, say }: Race,
): Promise<SettingResult[] | undefined> {
  const { spec, method, rounds } = contender;
  const args = [
    "--kind",
    method.kind,
    "--method",
    method.name,
    "--settings",
    settings.join(","),
    "--solves",
    `${solves}`,
  ];
  const { result, load, status, reason } = await runner.run(spec, caseFile, args, resultSchema);
  if (load !== undefined) contender.load = Math.max(contender.load ?? 0, load);
  if (result) {
    contender.about = result;
    return result.results;
  }
  if (rounds.length > 0) end(contender, "measured", `${status} in round ${rounds.length + 1}: ${reason}`);
  else end(contender, status, reason);
  if (status !== "stopped") say(contender, `${status}, ${reason}`);
  return undefined;
}

const PEER_COLUMNS: readonly Column[] = [
  { name: "contest", description: "equal steps, or same error" },
  { name: "trajectories", description: "each with its own ρ" },
  { name: "peer", description: "library and backend, with the adapter where one was named" },
  { name: "method", description: "its method and kind of steps" },
  { name: "version", description: "of the library" },
  { name: "device", description: "adapter or processor" },
  { name: "arithmetic", description: "of its states" },
  {
    name: "status",
    description: "measured, different result, not reached, missing, failed, timeout, skipped or stopped (Ctrl-C)",
  },
  { name: "reason", description: "why there are no times, and what to install" },
  { name: "setting", description: "equal steps, or relative and absolute tolerance of adaptive ones" },
  { name: "error", description: "root mean square over the trajectories compared" },
  { name: "largest error", description: "of a trajectory compared" },
  { name: "median", unit: "ms", description: "of a solve, over all rounds" },
  { name: "min", unit: "ms", description: "quickest solve" },
  { name: "lower", unit: "ms", description: "lower quartile" },
  { name: "upper", unit: "ms", description: "upper quartile" },
  { name: "per trajectory", unit: "µs", description: "median over trajectories" },
  { name: "first solve", unit: "ms", description: "of the first round, with what compiles then" },
  { name: "solves", description: "timed, in all rounds" },
  { name: "host memory", unit: "MiB", description: "peak resident memory of the process" },
  { name: "load", description: "load average of the machine over the minute before, the largest of the rounds" },
  { name: "note", description: "how the library is used" },
];

function peerRow(contender: Contender): Record<string, Cell> {
  const { contest, trajectories, spec, method, rounds, status, reason, about, setting, error, load } = contender;
  const times = timesOf(contender);
  return {
    contest,
    trajectories,
    peer: spec.label,
    method: methodText(method),
    version: about?.version ?? null,
    device: about?.device ?? null,
    arithmetic: about?.arithmetic ?? null,
    status,
    reason: reason ?? null,
    setting: setting ?? null,
    error: error?.rms ?? null,
    "largest error": error?.largest ?? null,
    median: times?.median ?? null,
    min: times?.min ?? null,
    lower: times?.lower ?? null,
    upper: times?.upper ?? null,
    "per trajectory": times ? (1000 * times.median) / trajectories : null,
    "first solve": times ? rounds[0]!.firstMs : null,
    solves: times?.samples ?? null,
    "host memory": times && about ? about.peakRssBytes / MIB : null,
    load: load ?? null,
    note: about?.note ?? null,
  };
}

function timesOf({ rounds, status }: Contender): ReturnType<typeof summarise> | undefined {
  return status === "measured" && rounds.length > 0
    ? summarise(rounds.flatMap(({ msPerSolve }) => msPerSolve))
    : undefined;
}

const RATIO_COLUMNS: readonly Column[] = [
  { name: "contest", description: "equal steps, or same error" },
  { name: "trajectories", description: "each with its own ρ" },
  { name: "peer", description: "library and backend" },
  { name: "method", description: "its method and kind of steps" },
  { name: "base", description: "what it is held against: deeplimit by the same method where both have it" },
  { name: "ratio", description: "median over the rounds of the ratio of medians" },
  { name: "lowest", description: "smallest of the rounds; of a single round, by the quartiles" },
  { name: "highest", description: "largest of the rounds; of a single round, by the quartiles" },
  { name: "rounds", description: "rounds that both finished" },
  { name: "verdict", description: "deeplimit faster, peer faster, or undecided where the spread holds 1" },
];

/** A peer against deeplimit: by the same method and kind of steps where it has one, else by the first of the contest. */
function ratioRow(contender: Contender, all: readonly Contender[]): Record<string, Cell>[] {
  const { contest, trajectories, spec, method } = contender;
  const own = all.filter(
    (one) => one.contest === contest && one.trajectories === trajectories && one.spec.name === OWN && timesOf(one),
  );
  const base =
    own.find(({ method: { name, kind } }) => name === method.name && kind === method.kind) ??
    own.find(({ method: { kind } }) => kind === method.kind) ??
    own[0];
  if (!base || base.spec.name === spec.name || !timesOf(contender)) return [];
  const times = ({ rounds }: Contender) => rounds.map(({ msPerSolve }) => msPerSolve);
  const ratio = ratioOf(times(base), times(contender));
  const text = `${base.spec.label} (${methodText(base.method)})`;
  return ratio ? [{ contest, trajectories, peer: spec.label, method: methodText(method), base: text, ...ratio }] : [];
}

const CURVE_COLUMNS: readonly Column[] = [
  { name: "trajectories", description: "each with its own ρ" },
  { name: "series", description: "library and method" },
  { name: "setting", description: "equal steps, or tolerance" },
  { name: "error", description: "root mean square over the trajectories compared" },
  { name: "time", unit: "µs", description: "of a trajectory, median" },
  { name: "lower", unit: "µs", description: "lower quartile" },
  { name: "upper", unit: "µs", description: "upper quartile" },
  { name: "drawn", description: "its error is smaller than that of every coarser setting" },
];

function curveRows({ spec, method, trajectories, tried = [] }: Contender): Record<string, Cell>[] {
  const micro = (ms: number) => (1000 * ms) / trajectories;
  let least = Number.POSITIVE_INFINITY;
  return tried.map(({ setting, error, times }) => {
    const drawn = error < least;
    if (drawn) least = error;
    return {
      trajectories,
      series: `${spec.label}, ${method.name}`,
      setting,
      error,
      time: micro(times.median),
      lower: micro(times.lower),
      upper: micro(times.upper),
      drawn,
    };
  });
}

function precisionFigure(trajectories: number): Figure {
  return {
    name: `ode-precision-${trajectories}`,
    title: `Ensembles of ${trajectories}: time against error`,
    caption: `Settings of every library from coarse to fine, from host to host on the same machine: rk4 by numbers of equal steps, the others by tolerances. Lower and further left is better. A finer setting that reaches no smaller error is not drawn: in float32 rounding ends the curves, in float64 they go on.`,
    table: "ode-precision-curves",
    kind: "line",
    x: { field: "error", label: "error, root mean square", scale: "log" },
    y: { field: "time", label: "time of a trajectory", scale: "log" },
    color: { field: "series", label: "library, method" },
    interval: ["lower", "upper"],
    where: { trajectories, drawn: true },
  };
}
