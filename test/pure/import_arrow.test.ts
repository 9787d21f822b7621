import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

// config → plan → gpu → model → ode → flow → experiment → benchmark → report → cli: a file imports from its own room or
// from rooms to the left.
const RANK: Readonly<Record<string, number>> = {
  config: 0,
  plan: 1,
  gpu: 2,
  model: 3,
  ode: 4,
  flow: 5,
  experiment: 6,
  benchmark: 7,
  report: 8,
  cli: 9,
};
/** Rooms beside the arrow: what they import, and who imports them. */
const ASIDE: Readonly<Record<string, { imports: readonly string[]; importedBy: readonly string[] }>> = {
  data: { imports: ["config"], importedBy: ["experiment", "benchmark", "report", "cli"] },
  reference: { imports: ["config"], importedBy: ["experiment", "benchmark", "cli"] },
};
/** Single files that a room beside the arrow imports from the arrow: coefficients and control laws stand in one place. */
const SHARED: Readonly<Record<string, readonly string[]>> = {
  reference: ["ode/tableaus.ts", "ode/controllers.ts"],
};
const SURFACE = ["index.ts", "node.ts"];

const root = fileURLToPath(new URL("../../src/", import.meta.url));

function allowed(from: string, to: string): boolean {
  if (from === to) return true;
  if (from in ASIDE) return ASIDE[from]!.imports.includes(to);
  if (to in ASIDE) return ASIDE[to]!.importedBy.includes(from);
  return RANK[to]! < RANK[from]!;
}

function importsOf(file: string): string[] {
  const source = readFileSync(join(root, file), "utf8");
  const specifiers = source.matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]+)"/g);
  return [...specifiers].map(([, specifier]) =>
    relative(root, join(root, dirname(file), specifier!))
      .split(sep)
      .join("/"),
  );
}

const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .map((name) => name.split(sep).join("/"))
  .filter((name) => name.endsWith(".ts"));

it("every file lies in a known room or is the surface", () => {
  const strays = files.filter(
    (file) => !SURFACE.includes(file) && !(file.split("/")[0]! in RANK) && !(file.split("/")[0]! in ASIDE),
  );
  expect(strays).toEqual([]);
});

it("imports point to the left", () => {
  let count = 0;
  const wrong: string[] = [];
  for (const file of files.filter((name) => !SURFACE.includes(name)))
    for (const target of importsOf(file)) {
      if (target.startsWith("..")) continue; // package.json and data are no code
      count++;
      const [from, to] = [file.split("/")[0]!, target.split("/")[0]!];
      if (SHARED[from]?.includes(target)) continue;
      if (SURFACE.includes(target) || !allowed(from, to)) wrong.push(`${file} imports ${target}`);
    }
  expect(wrong).toEqual([]);
  // The pattern finds imports at all.
  expect(count).toBeGreaterThan(50);
});

it("the rule refuses arrows to the right and across", () => {
  expect(allowed("config", "plan")).toBe(false);
  expect(allowed("model", "ode")).toBe(false);
  expect(allowed("flow", "reference")).toBe(false);
  expect(allowed("data", "plan")).toBe(false);
  expect(allowed("reference", "ode")).toBe(false);
  expect(allowed("report", "cli")).toBe(false);
  expect(allowed("cli", "config")).toBe(true);
});
