// The command line with one experiment of a few milliseconds.
import { main } from "../../dist/cli/program.js";
import { tiny } from "./tiny_experiment.mjs";

const code = await main(process.argv.slice(2), [tiny]);
process.stdout.write("", () => process.exit(code));
