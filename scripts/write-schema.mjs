// The JSON Schema of files that describe runs → dist/run.schema.json, for editors. After tsc.
import { writeFileSync } from "node:fs";
import { schemaText } from "../dist/cli/commands/describe.js";
import { EXPERIMENTS } from "../dist/experiment/index.js";

writeFileSync(new URL("../dist/run.schema.json", import.meta.url), `${schemaText(EXPERIMENTS, undefined)}\n`);
