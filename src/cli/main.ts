#!/usr/bin/env node
import { EXPERIMENTS } from "../experiment/index.ts";
import { main } from "./program.ts";

// A reader that closes the pipe early (`deeplimit list | head -1`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});
const code = await main(process.argv.slice(2), EXPERIMENTS);
// An open device or an idle adapter instance would keep the process alive.
process.stdout.write("", () => process.exit(code));
