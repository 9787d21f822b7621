/** Where a benchmark's files go. */
import { existsSync, readdirSync } from "node:fs";
import { mkdir, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { ConfigError } from "../config/errors.ts";
import type { AdapterFacts } from "../gpu/device.ts";
import { reasonOf } from "../report/files.ts";
import { PACKAGE_ROOT } from "./package_facts.ts";

/**
 * Tries a path by writing beside it, and leaves nothing there. A directory is taken to hold the file.
 * @param name as given to `--out`, with or without `.json` or `.html`
 * @returns the directory, and the file's name without its ending unless `name` is a directory
 * @throws ConfigError naming the reason why no file can be made there
 */
export async function checkOut(name: string): Promise<{ readonly directory: string; readonly stem?: string }> {
  const path = name.replace(/\.(json|html)$/, "");
  const made: string[] = [];
  try {
    const isDirectory = /[\\/]$/.test(name) || (await isExistingDirectory(path));
    const directory = isDirectory ? path : dirname(path);
    const stem = isDirectory ? undefined : basename(path);
    // One by one: mkdir with `recursive` never returns where a directory cannot be made in /proc (Node 20.20, 2026-11).
    for (const missing of missingDirectories(directory)) {
      await mkdir(missing);
      made.unshift(missing);
    }
    const probe = join(directory, `.${stem ?? "bench"}.${process.pid}.tmp`);
    await writeFile(probe, "");
    await rm(probe);
    return { directory, ...(stem !== undefined && { stem }) };
  } catch (error) {
    throw new ConfigError("--out", `${name} cannot be written: ${reasonOf(error)}`);
  } finally {
    for (const directory of made) await rmdir(directory);
  }
}

async function isExistingDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** The directories on the way that are not there yet, outermost first. */
function missingDirectories(directory: string): string[] {
  const missing: string[] = [];
  for (let at = resolve(directory); !existsSync(at); at = dirname(at)) missing.unshift(at);
  return missing;
}

/** `bench/results` of the repository, from within it; elsewhere the current directory, where the name says what the file is. */
export function defaultPlace(): { readonly directory: string; readonly prefix: string } {
  const results = join(PACKAGE_ROOT, "bench", "results");
  const inside = !relative(PACKAGE_ROOT, process.cwd()).startsWith("..");
  return inside && existsSync(join(PACKAGE_ROOT, ".git")) && existsSync(results)
    ? { directory: relative("", results) || ".", prefix: "" }
    : { directory: ".", prefix: "bench-" };
}

/** `swiftshader-2cores-2026-11-23`, with the next free number when there are such files. */
export function freeStem(
  { directory, prefix = "" }: { readonly directory: string; readonly prefix?: string },
  facts: AdapterFacts,
  date: Date,
  quick: boolean,
): string {
  const parts = [adapterSlug(facts), `${availableParallelism()}cores`, date.toISOString().slice(0, 10)];
  const first = `${prefix}${[...parts, ...(quick ? ["quick"] : [])].join("-")}`;
  const names = existsSync(directory) ? readdirSync(directory) : [];
  const taken = new Set(names.map((name) => name.replace(/\.\w+$/, "")));
  for (let number = 1; ; number++) {
    const stem = number === 1 ? first : `${first}-${number}`;
    if (!taken.has(stem)) return stem;
  }
}

/** `nvidia-h200`; of a software adapter the first word, the rest being its version. */
export function adapterSlug({ device, architecture, description, vendor, software }: AdapterFacts): string {
  const slugs = [device, architecture, description, vendor].map((text) =>
    text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, ""),
  );
  const slug = slugs.find((text) => text !== "") ?? "unnamed";
  return software ? slug.split("-")[0]! : slug;
}
