// What every JavaScript peer shares: its command line, the clock, and the one line of JSON it prints.
import { readFileSync } from "node:fs";
import os from "node:os";
import { parseArgs } from "node:util";

/**
 * Read the command line and the case file. Defaults: 5 timed steps after those that warm up, no time budget.
 * The case of a dense network holds { n, d, m, depth, eta, X: [n·d], Y: [n·d], W0: [m·d] }, flat and row-major; that of a
 * convolutional one is `ConvPeerCase`.
 */
export function readOptions(backends) {
  const { values } = parseArgs({
    options: {
      case: { type: "string" },
      steps: { type: "string", default: "5" },
      backend: { type: "string", default: backends[0] },
      adapter: { type: "string", default: "auto" },
      budget: { type: "string", default: "Infinity" },
      task: { type: "string", default: "training step" },
    },
  });
  if (values.case === undefined) throw new Error("--case FILE.json is required (bench/peers/make_case.mjs writes one)");
  if (!backends.includes(values.backend)) {
    throw new Error(`--backend must be one of ${backends.join(", ")}, got ${values.backend}`);
  }
  const data = JSON.parse(readFileSync(values.case, "utf8"));
  for (const name of ["X", "Y", "W0"]) if (name in data) data[name] = Float32Array.from(data[name]);
  return {
    data,
    steps: positiveInteger("steps", values.steps),
    backend: values.backend,
    adapter: values.adapter,
    budgetMs: 1000 * Number(values.budget),
    task: values.task,
  };
}

export function positiveInteger(name, text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be an integer >= 1, got ${text}`);
  return value;
}

/**
 * Steps until two in succession differ by less than a fifth, or 2 s have passed since the first, which may compile, or 20
 * steps were made. Returns what the steps returned and the milliseconds of each.
 */
export async function warmUp(step) {
  const values = [];
  const ms = [];
  let sinceFirst = 0;
  while (values.length < 20 && sinceFirst < 2000) {
    const start = performance.now();
    values.push(await step());
    const last = performance.now() - start;
    const before = ms.at(-1);
    ms.push(last);
    if (before === undefined) continue;
    sinceFirst += last;
    if (Math.abs(last - before) < 0.2 * Math.max(last, before)) break;
  }
  return { values, ms };
}

/**
 * Run warm-up and timed steps and print the result line.
 * `step()` makes one whole training step, waits until it is complete, and returns the loss *before* its update;
 * `evaluate()` returns the loss at the current weights, and is not timed.
 * Once the budget is spent, no further step starts after the first timed one.
 */
export async function measure({ options, peer, version, device, note, step, evaluate }) {
  const { data, steps, backend, budgetMs } = options;
  const begin = performance.now();
  const { values: losses, ms: warm } = await warmUp(step);
  const msPerStep = [];
  for (let k = 0; k < steps; k++) {
    if (k > 0 && performance.now() - begin > budgetMs) break;
    const start = performance.now();
    losses.push(await step());
    msPerStep.push(performance.now() - start);
  }
  losses.push(await evaluate());
  print({
    peer,
    backend,
    version,
    device,
    depth: data.depth,
    steps: msPerStep.length,
    warmup: warm.length,
    losses,
    msPerStep,
    median: median(msPerStep),
    min: Math.min(...msPerStep),
    firstStepMs: warm[0],
    peakRssBytes: peakRssBytes(),
    note,
  });
}

export function peakRssBytes() {
  return process.resourceUsage().maxRSS * 1024;
}

/** Say that this peer cannot run here, and what would change that. Not a failure: the exit code stays 0. */
export function reportMissing(peer, reason) {
  print({ peer, missing: reason });
}

export function print(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function cpuName() {
  return os.cpus()[0]?.model.trim() ?? process.arch;
}

/** Import a package of bench/peers/package.json, or undefined when it is not installed. */
export async function importInstalled(name) {
  try {
    return await import(name);
  } catch (error) {
    if (error.code === "ERR_MODULE_NOT_FOUND" && error.message.includes(`'${name}'`)) return undefined;
    throw error;
  }
}

export const INSTALL_HINT = "run `npm ci` in bench/peers";

/**
 * Tracing in jax-js recurses over the unrolled layers, which overflows V8's default stack (about 1 MB) from a few
 * hundred layers on; Linux gives the main thread 8 MB.
 */
export const LARGE_STACK = "--stack-size=7600";
