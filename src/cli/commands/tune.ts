import {
  type MeasuredChoice,
  type TuneResult,
  type TuneShape,
  tune,
  tuneDepth,
  tuneNetwork,
} from "../../benchmark/tune.ts";
import { ConfigError } from "../../config/errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { type AdapterChoice, openNode } from "../../gpu/node_adapter.ts";
import {
  type DeviceIdentity,
  deviceIdentity,
  readTuning,
  tuningOf,
  tuningPath,
  withDevice,
} from "../../gpu/tuning_cache.ts";
import { denseCandidates } from "../../plan/candidates.ts";
import { paddedWidth } from "../../plan/dense.ts";
import { choiceText, shapeClass, type Tuning, withTuned } from "../../plan/tuning.ts";
import { writeFileAtomic } from "../../report/files.ts";
import { formatNumber } from "../../report/format.ts";
import { wrap } from "../../report/text.ts";
import type { AnyExperiment } from "../choose.ts";
import { EXIT } from "../exit_code.ts";
import { columnsText, widthOf } from "../terminal.ts";

export interface TuneCommandOptions {
  readonly shape: readonly string[];
  readonly depth: string;
  readonly rounds: string;
  readonly adapter: AdapterChoice;
  /** Only list what would be measured. */
  readonly dryRun?: boolean;
  /** Only forget what was measured on this device. */
  readonly reset?: boolean;
  readonly json?: boolean;
}

/**
 * `deeplimit tune`: measures the few layouts worth it for each shape on this device, and keeps those that beat the plan's own.
 * @returns the exit code
 * @throws ConfigError for a shape; DeviceError without a device; DataError when the cache cannot be written, after printing
 */
export async function tuneCommand(experiments: readonly AnyExperiment[], options: TuneCommandOptions): Promise<number> {
  const asked = options.shape.map(parseShape);
  const depth = parseCount("--depth", options.depth);
  const rounds = parseCount("--rounds", options.rounds);
  const { gpu, notice } = await openNode({ adapter: options.adapter, tuning: false });
  try {
    if (notice !== undefined) process.stderr.write(`${notice}\n`);
    const path = tuningPath();
    const identity = deviceIdentity(gpu);
    const shapes = asked.length > 0 ? asked : presetShapes(experiments, gpu);
    const width = widthOf(process.stdout);
    const print = (text: string) => process.stdout.write(`${text}\n`);
    if (options.reset) {
      const kept = tuningOf(readTuning(path).file, identity).length;
      await update(path, identity, () => []);
      print(`${gpu.name}: forgot ${kept} tuned ${kept === 1 ? "choice" : "choices"} (${path})`);
      return EXIT.ok;
    }
    if (options.dryRun) {
      const listed = shapes.map((shape) => list(gpu, shape, depth));
      if (options.json) print(JSON.stringify({ device: gpu.name, identity, path, shapes: listed }, null, 2));
      else print([gpu.name, ...listed.map((each) => listText(each))].join("\n\n"));
      return EXIT.ok;
    }
    const { problem } = readTuning(path);
    if (problem !== undefined) process.stderr.write(`${problem}\n`);
    if (!options.json) print(gpu.name);
    const results: TuneResult[] = [];
    let failure: unknown;
    for (const shape of shapes) {
      const say = (line: string) => process.stderr.write(`${shapeText(shape)}: ${line}\n`);
      const result = await tune(gpu, shape, { depth, rounds, onProgress: say });
      results.push(result);
      if (!options.json) print(`\n${resultText(result, width)}`);
      // After every shape: what was measured outlives a Ctrl-C in the next.
      await update(path, identity, (tuning) => withTuned(tuning, result.of, result.tuned)).catch((error: unknown) => {
        failure = error;
      });
    }
    if (options.json)
      print(JSON.stringify({ device: gpu.name, identity, path, saved: failure === undefined, results }, null, 2));
    if (failure !== undefined) throw failure;
    if (!options.json && results.some(({ tuned }) => tuned)) print(`\nKept in ${path}`);
    return EXIT.ok;
  } finally {
    gpu.close();
  }
}

/** Changes this device's choices in the file as it stands now, or begins it; without a change nothing is written. */
async function update(path: string, identity: DeviceIdentity, change: (tuning: Tuning) => Tuning): Promise<void> {
  const { file, problem } = readTuning(path);
  const before = tuningOf(file, identity);
  const after = change(before);
  if (problem === undefined && JSON.stringify(after) === JSON.stringify(before)) return;
  await writeFileAtomic(path, `${JSON.stringify(withDevice(file, identity, after), null, 2)}\n`);
}

const KEYS: Readonly<Record<string, keyof TuneShape>> = { q: "width", m: "hidden", n: "rows" };

/** @throws ConfigError unless the text is q=…,m=…,n=… */
function parseShape(text: string): TuneShape {
  const parts = text.split(",").map((part) => part.split("="));
  const found = new Map(parts.map(([key = "", value = ""]) => [key.trim(), value]));
  if (found.size !== parts.length || parts.length !== 3 || Object.keys(KEYS).some((key) => !found.has(key)))
    throw new ConfigError("--shape", "must be q=WIDTH,m=HIDDEN,n=ROWS", text);
  const value = (key: string) => parseCount(`--shape ${key}`, found.get(key)!);
  return { width: value("q"), hidden: value("m"), rows: value("n") };
}

function parseCount(field: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < 1)
    throw new ConfigError(field, "must be an integer of at least 1", text);
  return value;
}

/** One shape of each class that the experiments train at the sizes meant for results. */
function presetShapes(experiments: readonly AnyExperiment[], gpu: Gpu): TuneShape[] {
  const shapes = new Map<string, TuneShape>();
  for (const experiment of experiments)
    for (const preset of ["paper", "reduced"] as const)
      for (const { dense } of experiment.plan(experiment.presets[preset], gpu.profile).trainings) {
        if (dense === undefined) continue;
        const { width, hidden, rows } = dense;
        const key = JSON.stringify(shapeClass(paddedWidth(width, gpu.profile), hidden, rows, true));
        if (!shapes.has(key)) shapes.set(key, dense);
      }
  if (shapes.size === 0) throw new ConfigError("--shape", "must be given: the experiments train no dense stack");
  return [...shapes.values()];
}

/** What would be measured for a shape. */
function list(gpu: Gpu, shape: TuneShape, asked: number) {
  const depth = tuneDepth(shape, gpu.profile, asked);
  return { shape, depth, candidates: denseCandidates(tuneNetwork(shape, depth), gpu.profile, shape.rows) };
}

function listText({ shape, depth, candidates }: ReturnType<typeof list>): string {
  const rows = candidates.map((choice, i) => `  ${choiceText(choice)}${i === 0 ? "  (the plan's own)" : ""}`);
  return [`${shapeText(shape)}, depth ${depth}: would be measured`, ...rows].join("\n");
}

function resultText({ shape, of, depth, candidates, tuned }: TuneResult, width: number): string {
  const columns = [
    { header: "  choice" },
    ...["ms a step", "from–to", "ratio"].map((header) => ({ header, align: "right" as const })),
  ];
  const rows = candidates.map((candidate, i) => candidateRow(candidate, tuned?.choice === candidate.choice, i === 0));
  const left = candidates.flatMap(({ text, reason }) =>
    reason === undefined ? [] : wrap(`not measured further: ${text}: ${reason}`, width - 2).map((line) => `  ${line}`),
  );
  const decision = tuned
    ? `taken from now on for q padded to ${of.width}, m = ${of.hidden}, n up to ${of.rows}: ${choiceText(tuned.choice)}`
    : "the plan's own choice stays: none was faster in every round";
  return [
    ...wrap(`${shapeText(shape)}, depth ${depth}, one training step; ratio to the plan's own, round by round`, width),
    columnsText(columns, rows, width),
    ...left,
    ...wrap(decision, width - 2).map((line) => `  ${line}`),
  ].join("\n");
}

function candidateRow({ text, time, ratio }: MeasuredChoice, taken: boolean, own: boolean): string[] {
  const range = (low: number, high: number) => `${formatNumber(low, 3)}–${formatNumber(high, 3)}`;
  return [
    `${taken ? "*" : " "} ${text}`,
    time ? formatNumber(time.median, 4) : "–",
    time ? range(time.min, time.max) : "",
    own ? "own" : ratio ? range(ratio.min, ratio.max) : "",
  ];
}

function shapeText({ width, hidden, rows }: TuneShape): string {
  return `q=${width},m=${hidden},n=${rows}`;
}
