// The command line with four experiments: a good one, a slow one, one that fails, and one that needs files.
import { z } from "zod";
import { main } from "../../dist/cli/program.js";
import { tiny, tinySchema } from "./tiny_experiment.mjs";

const { reduced } = tiny.presets;
const like = (name, change, schema = tinySchema) => ({
  ...tiny,
  name,
  title: `Like tiny: ${name}`,
  schema,
  presets: { paper: reduced, reduced: { ...reduced, ...change }, smoke: reduced },
});
const experiments = [
  tiny,
  like("slow", { depths: [4, 8], steps: 60, pauseMs: 20 }),
  like("broken", { end: "bug" }),
  like("images", { data: "" }, z.strictObject({ ...tinySchema.shape, data: z.string().optional() })),
];
const code = await main(process.argv.slice(2), experiments);
process.stdout.write("", () => process.exit(code));
