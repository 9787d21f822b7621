// Prints the convolutional problem of all peers as JSON, to run one peer by hand: node make_conv_case.mjs DEPTH [SEED] > CASE.json
import { makeConvCase } from "../../dist/benchmark/conv_peer_comparison.js";

const [depth, seed = "1"] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(makeConvCase(Number(depth), Number(seed)))}\n`);
