// deeplimit itself, in the same protocol as its peers: from arrays on the host to final states on the host.
import { createRequire } from "node:module";
import { EnsembleSolve } from "../../dist/index.js";
import { openNode } from "../../dist/node.js";
import { measureSolves, readOdeOptions } from "./ode_protocol.mjs";
import { reportMissing } from "./protocol.mjs";
import { adapterName } from "./webgpu_env.mjs";

const adaptive = ["tsit5", "dopri5", "vern7"];
const options = readOdeOptions(["webgpu"], { fixed: ["rk4", ...adaptive], adaptive });
const { kind, method, problem } = options;
const gpu = await openNode({ adapter: options.adapter }).then(
  (opened) => opened.gpu,
  (error) => {
    reportMissing("deeplimit", error.message);
    process.exit(0);
  },
);
const { trajectories, sigma, beta, rho, start, end } = problem;
const initial = new Float32Array(3 * trajectories);
const parameters = new Float32Array(3 * trajectories);
for (let j = 0; j < trajectories; j++) {
  initial.set(problem.initial, 3 * j);
  parameters.set([sigma, rho[j], beta], 3 * j);
}
const { version } = createRequire(import.meta.url)("../../package.json");

await measureSolves({
  options,
  peer: "deeplimit",
  version,
  device: adapterName(gpu.facts),
  arithmetic: "float32",
  note: "creating the solve, its run and its read-back; its kernels stay compiled",
  solve: async (setting) => {
    const steps = kind === "fixed" ? { kind, count: setting } : { kind, rtol: setting, atol: setting };
    const solve = await EnsembleSolve.create(
      gpu,
      { field: "lorenz", initial, parameters, start, end },
      { method, steps },
    );
    try {
      await solve.run();
      return await solve.states();
    } finally {
      solve.destroy();
    }
  },
});
gpu.close();
process.exit(0);
