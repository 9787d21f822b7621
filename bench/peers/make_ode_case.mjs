// Prints the ensemble of all ODE peers as JSON, to run one peer by hand: node make_ode_case.mjs TRAJECTORIES > CASE.json
import { odeCase } from "../../dist/benchmark/ode_peer_comparison.js";
import { lorenzSweep } from "../../dist/benchmark/ode_problem.js";

process.stdout.write(`${JSON.stringify(odeCase(lorenzSweep(Number(process.argv[2]))))}\n`);
