// `npm run bench`: the training step over depth, its accuracy in float32, and the peers on the same machine in one run.
// Prints a table and, with --out, writes the same as Markdown and JSON, stamped with adapter, date and commit.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { logLogSlope } from "../dist/experiment/statistics.js";
import { openNode } from "../dist/node.js";
import { formatTable, PEERS, runPeers } from "./peers/run_peers.mjs";
import { measureAccuracy, measureStep } from "./step.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({
  options: {
    depth: { type: "string", default: "64,256,1024,4096,16384" },
    "peer-depth": { type: "string", default: "64,256,1024,4096" },
    peers: { type: "string", default: "deeplimit,handwritten,pytorch,tfjs-webgpu@1024,jax-webgpu@1024" },
    suite: { type: "string", default: "step,accuracy,peers" },
    adapter: { type: "string", default: "auto" },
    python: { type: "string", default: "python3" },
    steps: { type: "string", default: "7" },
    timeout: { type: "string", default: "300" },
    out: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench -- [--suite step,accuracy,peers] [--depth 64,256,…] [--peer-depth 64,256] [--peers NAME,NAME@MAXDEPTH,…]
                 [--adapter auto|hardware|software] [--steps 7] [--timeout 300 (seconds a peer)] [--python python3] [--out bench/results/NAME]
peers: ${Object.keys(PEERS).join(", ")}`);
  process.exit(0);
}

const suites = values.suite.split(",");
const depths = values.depth.split(",").map(Number);
const { gpu, notice } = await openNode({ adapter: values.adapter });
if (notice) console.error(notice);
const stamp = {
  date: new Date().toISOString(),
  commit:
    git("rev-parse", "--short", "HEAD") +
    (git("status", "--porcelain", "--", ".", ":!bench/results") ? " with uncommitted changes" : ""),
  adapter: gpu.name,
  facts: gpu.facts,
  cpu: `${os.cpus()[0]?.model.trim()} × ${os.availableParallelism()}`,
  node: process.version,
  dawn: JSON.parse(readFileSync(join(ROOT, "node_modules/webgpu/package.json"), "utf8")).version,
};
const result = { stamp, load: [os.loadavg()[0]] };
const page = [
  `# ${gpu.name}`,
  "",
  `${stamp.date}, commit ${stamp.commit}, ${stamp.cpu}, Node ${stamp.node}, Dawn ${stamp.dawn}, load average at start ${os.loadavg()[0].toFixed(2)}.`,
  "",
  "Workload: one explicit Euler step of the gradient flow, d = q = 16, m = 32, n = 100, exact GELU, mean over entries, only V and W trained.",
  "",
];

if (suites.includes("step")) {
  result.step = [];
  for (const depth of depths) {
    const row = await measureStep(gpu, depth, Number(values.steps));
    result.step.push(row);
    console.error(`L=${depth}: ${row.median.toFixed(1)} ms`);
  }
  const fit = logLogSlope(
    result.step.map((row) => row.depth),
    result.step.map((row) => row.median),
  );
  result.exponent = fit;
  page.push(
    "## Training step over depth",
    "",
    "| L | median ms | min ms | max ms | µs a layer | GPU ms: forward | adjoint | update | dispatches | submits | device MiB | host MiB |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ...result.step.map(
      (row) =>
        `| ${row.depth} | ${row.median.toFixed(1)} | ${row.min.toFixed(1)} | ${row.max.toFixed(1)} | ${((1000 * row.median) / row.depth).toFixed(0)} | ${row.gpu.forward} | ${row.gpu.adjoint} | ${row.gpu.update} | ${row.dispatches} | ${row.submits} | ${(row.deviceBytes / 2 ** 20).toFixed(0)} | ${(row.hostBytes / 2 ** 20).toFixed(0)} |`,
    ),
    "",
    `Cost ∝ L^${fit.slope.toFixed(3)} (95 % interval ${fit.interval.map((x) => x.toFixed(3)).join(" … ")}).`,
    "",
  );
}
if (suites.includes("accuracy")) {
  result.accuracy = await measureAccuracy(gpu, 1024, [2, 5, 10]);
  page.push(
    "## Weight differences in float32 against float64, L = 1,024",
    "",
    "| steps | max‖W_{k+1} − W_k‖, float64 | relative error | max‖V_{k+1} − V_k‖, float64 | relative error |",
    "|---|---|---|---|---|",
    ...result.accuracy.map(
      (row) =>
        `| ${row.step} | ${row.W.reference.toExponential(4)} | ${row.W.error.toExponential(1)} | ${row.V.reference.toExponential(4)} | ${row.V.error.toExponential(1)} |`,
    ),
    "",
  );
}
gpu.close();
if (suites.includes("peers")) {
  // NAME@DEPTH leaves a peer out beyond a depth where one step of it takes minutes.
  const peers = values.peers.split(",").map((text) => {
    const [name, most = "Infinity"] = text.split("@");
    return { name, most: Number(most) };
  });
  result.peers = [];
  for (const depth of values["peer-depth"].split(",").map(Number))
    result.peers.push(
      ...(await runPeers({
        depths: [depth],
        peers: peers.filter(({ most }) => depth <= most).map(({ name }) => name),
        steps: Number(values.steps),
        timeoutSeconds: Number(values.timeout),
        adapter: values.adapter,
        pythonPath: values.python,
        onRow: (row) =>
          console.error(`L=${row.depth} ${row.peer}: ${row.reason ?? `${row.result.median.toFixed(1)} ms`}`),
      })),
    );
  page.push("## Peers: same machine, same run, same data", "", "```", formatTable(result.peers), "```", "");
  for (const depth of values["peer-depth"].split(",").map(Number)) {
    const median = (peer) => result.peers.find((row) => row.peer === peer && row.depth === depth)?.result?.median;
    const own = median("deeplimit");
    if (own === undefined) continue;
    const ratios = peers
      .map(({ name }) => name)
      .filter((peer) => peer !== "deeplimit" && median(peer) !== undefined)
      .map((peer) => `${peer} ${(median(peer) / own).toFixed(2)}`);
    page.push(`L = ${depth}, time of the peer over time of deeplimit: ${ratios.join(", ")}.`, "");
  }
}
result.load.push(os.loadavg()[0]);
page.push(`Load average at the end ${os.loadavg()[0].toFixed(2)}.`, "");
console.log(page.join("\n"));
if (values.out) {
  mkdirSync(join(values.out, ".."), { recursive: true });
  writeFileSync(`${values.out}.md`, page.join("\n"));
  writeFileSync(`${values.out}.json`, `${JSON.stringify(result, null, 1)}\n`);
}
process.exit(0);

function git(...args) {
  try {
    return execFileSync("git", args, { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "unknown";
  }
}
