// Prints the training problem of all peers as JSON, to run one peer by hand: node make_case.mjs DEPTH [SEED] > CASE.json
import { makeCase } from "../../dist/benchmark/peer_comparison.js";

const [depth, seed = "1"] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(makeCase(Number(depth), Number(seed)))}\n`);
