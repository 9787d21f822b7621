// Trains the same network with every peer, each in its own process, checks that the losses agree, and prints a table.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { LARGE_STACK } from "./protocol.mjs";

const FOLDER = path.dirname(fileURLToPath(import.meta.url));

const js = (script, backend, nodeFlags = []) => ({ script, backend, runtime: "node", nodeFlags });
const python = (script, backend) => ({ script, backend, runtime: "python", nodeFlags: [] });

/** Every peer by the name used on the command line and in the table. */
export const PEERS = {
  deeplimit: js("deeplimit.mjs", "webgpu"),
  handwritten: js("handwritten_js.mjs", "cpu"),
  "tfjs-cpu": js("tfjs.mjs", "cpu"),
  "tfjs-wasm": js("tfjs.mjs", "wasm"),
  "tfjs-webgpu": js("tfjs.mjs", "webgpu"),
  "jax-wasm": js("jax_js.mjs", "wasm", [LARGE_STACK]),
  "jax-webgpu": js("jax_js.mjs", "webgpu", [LARGE_STACK]),
  pytorch: python("pytorch_eager.py", "cpu"),
  "pytorch-cuda": python("pytorch_eager.py", "cuda"),
  "pytorch-compiled": python("pytorch_compiled.py", "auto"),
  "jax-scan": python("jax_scan.py", "auto"),
};

/** Losses of two peers after the same number of steps may differ by this much, relatively. */
export const LOSS_TOLERANCE = 1e-4;

/** Which peer the others' losses are compared with; `handwritten` comes first as it computes in float64. */
const REFERENCE_ORDER = ["handwritten", "pytorch"];

/**
 * One training problem: W0 [m, d], X [n, d], Y [n, d], flat, row-major, independent N(0, 1) rounded to float32.
 * The same arguments give the same numbers on every machine up to the last bit of Math.log and Math.cos.
 */
export function makeCase({ n = 100, d = 16, m = 32, depth, eta = 0.01, seed = 1 }) {
  const normal = normalGenerator(seed);
  const draw = (count) => Array.from({ length: count }, () => Math.fround(normal()));
  const W0 = draw(m * d);
  const X = draw(n * d);
  const Y = draw(n * d);
  return { n, d, m, depth, eta, X, Y, W0 };
}

// mulberry32 (Tommy Ettinger, public domain) and Box-Muller.
function normalGenerator(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/**
 * Run each peer at each depth, one process at a time (they would disturb each other).
 * Returns one row per depth and peer: { peer, depth, status, reason?, difference?, sameResult?, result? };
 * status is "ok", "missing" (reason says what to install), "timeout" or "failed".
 * difference is the largest relative difference of the losses from the depth's reference peer, over the common steps.
 */
export async function runPeers({
  depths,
  peers = Object.keys(PEERS),
  steps = 5,
  warmup = 1,
  timeoutSeconds = 300,
  adapter = "auto",
  pythonPath = "python3",
  seed = 1,
  onRow = () => {},
}) {
  for (const peer of peers) {
    if (PEERS[peer] === undefined) throw new Error(`peer must be one of ${Object.keys(PEERS).join(", ")}, got ${peer}`);
  }
  const folder = mkdtempSync(path.join(os.tmpdir(), "deeplimit-peers-"));
  const rows = [];
  try {
    for (const depth of depths) {
      const file = path.join(folder, `depth-${depth}.json`);
      writeFileSync(file, JSON.stringify(makeCase({ depth, seed })));
      const sameDepth = [];
      for (const peer of peers) {
        const row = {
          peer,
          depth,
          ...(await runOne({ peer, file, steps, warmup, timeoutSeconds, adapter, pythonPath })),
        };
        sameDepth.push(row);
        onRow(row);
      }
      compareLosses(sameDepth);
      rows.push(...sameDepth);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}

function runOne({ peer, file, steps, warmup, timeoutSeconds, adapter, pythonPath }) {
  const { script, backend, runtime, nodeFlags } = PEERS[peer];
  // A slow peer stops early with the steps it has; the rest of the timeout is for start-up, compiling and the last step.
  const budget = String(timeoutSeconds / 3);
  const common = ["--case", file, "--steps", String(steps), "--warmup", String(warmup), "--backend", backend];
  const args = [...nodeFlags, path.join(FOLDER, script), ...common, "--budget", budget];
  if (runtime === "node") args.push("--adapter", adapter);
  const program = runtime === "node" ? process.execPath : pythonPath;
  // One thread each, as the peers' scripts say: BLAS libraries read these at start.
  const env = { ...process.env, OPENBLAS_NUM_THREADS: "1", OMP_NUM_THREADS: "1", MKL_NUM_THREADS: "1" };
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeoutSeconds * 1000);
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      const reason =
        error.code === "ENOENT" ? `${program} is not installed (another Python: --python PATH)` : error.message;
      resolve({ status: error.code === "ENOENT" ? "missing" : "failed", reason });
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (late) return resolve({ status: "timeout", reason: `no result within ${timeoutSeconds} s` });
      const result = lastJson(out);
      if (code !== 0 || result === undefined) {
        return resolve({ status: "failed", reason: `exit ${code ?? signal}: ${lastError(err)}` });
      }
      if (result.missing !== undefined) return resolve({ status: "missing", reason: result.missing });
      resolve({ status: "ok", result });
    });
  });
}

function lastJson(text) {
  const line = text.trimEnd().split("\n").at(-1);
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function lastError(text) {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.find((line) => /^\w*Error\b|^\[?\w*Error:/.test(line)) ?? lines.at(-1) ?? "no message";
}

function compareLosses(rows) {
  const finished = rows.filter((row) => row.status === "ok");
  const reference =
    REFERENCE_ORDER.map((name) => finished.find((row) => row.peer === name)).find(Boolean) ?? finished[0];
  for (const row of finished) {
    row.comparedWith = reference.peer;
    row.difference = lossDifference(row.result.losses, reference.result.losses);
    row.sameResult = row.difference <= LOSS_TOLERANCE;
  }
}

/** Largest relative difference over the steps both have; NaN when a loss is not finite. */
export function lossDifference(losses, reference) {
  let worst = 0;
  for (let k = 0; k < Math.min(losses.length, reference.length); k++) {
    const difference = Math.abs(losses[k] - reference[k]) / Math.abs(reference[k]);
    if (!(difference <= worst)) worst = difference;
    if (Number.isNaN(worst)) break;
  }
  return worst;
}

/** The rows as an aligned table; a peer that did not run is a row that says why. */
export function formatTable(rows) {
  const header = ["L", "peer", "median ms", "min ms", "first ms", "steps", "peak MB", "loss diff.", "device / remark"];
  const body = rows.map((row) => {
    if (row.status !== "ok")
      return [String(row.depth), row.peer, "-", "-", "-", "-", "-", "-", `${row.status}: ${row.reason}`];
    const { median, min, firstStepMs, steps, peakRssBytes, device, version } = row.result;
    const same = row.comparedWith === row.peer ? "reference" : row.difference.toExponential(1);
    const flag = row.sameResult ? "" : "DIFFERENT RESULT; ";
    const ms = (value) => (value < 100 ? value.toFixed(1) : value.toFixed(0));
    const remark = `${flag}${version}, ${device}`;
    return [
      String(row.depth),
      row.peer,
      ms(median),
      ms(min),
      ms(firstStepMs),
      String(steps),
      (peakRssBytes / 1e6).toFixed(0),
      same,
      remark,
    ];
  });
  const table = [header, ...body];
  const widths = header.map((_, column) => Math.max(...table.map((cells) => cells[column].length)));
  const leftAligned = [1, 8];
  return table
    .map((cells) =>
      cells
        .map((cell, column) =>
          leftAligned.includes(column) ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

async function main() {
  const { values } = parseArgs({
    options: {
      depth: { type: "string", default: "64,256" },
      peers: { type: "string", default: Object.keys(PEERS).join(",") },
      steps: { type: "string", default: "5" },
      warmup: { type: "string", default: "1" },
      timeout: { type: "string", default: "300" },
      adapter: { type: "string", default: "auto" },
      python: { type: "string", default: "python3" },
      seed: { type: "string", default: "1" },
      out: { type: "string" },
    },
  });
  const depths = values.depth.split(",").map(Number);
  if (!depths.every((depth) => Number.isInteger(depth) && depth >= 1)) {
    throw new Error(`--depth must be integers >= 1 separated by commas, got ${values.depth}`);
  }
  const rows = await runPeers({
    depths,
    peers: values.peers.split(","),
    steps: Number(values.steps),
    warmup: Number(values.warmup),
    timeoutSeconds: Number(values.timeout),
    adapter: values.adapter,
    pythonPath: values.python,
    seed: Number(values.seed),
    onRow: (row) =>
      process.stderr.write(`L=${row.depth} ${row.peer}: ${row.reason ?? `${row.result.median.toFixed(1)} ms`}\n`),
  });
  process.stdout.write(`${formatTable(rows)}\n`);
  if (values.out !== undefined) {
    writeFileSync(
      values.out,
      `${JSON.stringify({ date: new Date().toISOString(), cpu: os.cpus()[0]?.model, rows }, null, 2)}\n`,
    );
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
