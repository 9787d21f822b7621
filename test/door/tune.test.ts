import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shapeClass } from "../../src/plan/tuning.ts";

// The built program as a process with a cache folder of its own; `npm test` builds first.
const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const door = fileURLToPath(new URL("../support/tiny_door.mjs", import.meta.url));

let dir: string;
beforeAll(() => {
  if (!existsSync(cli)) throw new Error("dist/ is absent: npm run build");
  dir = mkdtempSync(join(tmpdir(), "deeplimit-tune-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(program: string, cache: string, ...args: string[]): Promise<Outcome> {
  const env = { ...process.env, XDG_CACHE_HOME: join(dir, cache), DEEPLIMIT_TUNING: "" };
  const child = spawn(process.execPath, [program, ...args], { cwd: dir, env });
  let out = "";
  let err = "";
  child.stdout.on("data", (data: Buffer) => {
    out += data.toString();
  });
  child.stderr.on("data", (data: Buffer) => {
    err += data.toString();
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}
const tune = (cache: string, ...args: string[]) => start(cli, cache, "tune", "--adapter", "swiftshader", ...args);
const lines = (text: string) => text.trimEnd().split("\n");

describe("deeplimit tune", () => {
  it("--help and --dry-run fit 80 columns; the shapes are those of the experiments", async () => {
    const help = await tune("a", "--help");
    expect(help).toMatchObject({ code: 0, err: "" });
    for (const word of ["--shape", "--depth", "--dry-run", "--reset", "Examples:"]) expect(help.out).toContain(word);
    const { code, out, err } = await tune("a", "--dry-run");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(
      /q=16,m=32,n=1\d\d, depth 256: would be measured\n {2}rows: \d rows, group 4 {2}\(the plan's own\)/,
    );
    for (const line of [...lines(help.out), ...lines(out)]) expect([...line].length).toBeLessThanOrEqual(80);
    expect(existsSync(join(dir, "a/deeplimit/tuning.json"))).toBe(false);
  });

  it("--dry-run --json names device, file and candidates", async () => {
    const { out } = await tune("a", "--dry-run", "--json", "--shape", "q=64,m=128,n=100", "--depth", "8");
    const { identity, path, shapes } = JSON.parse(out);
    expect(identity).toMatchObject({ architecture: "swiftshader", deeplimit: expect.stringMatching(/^\d+\.\d+/) });
    expect(path).toBe(join(dir, "a/deeplimit/tuning.json"));
    expect(shapes).toHaveLength(1);
    expect(shapes[0]).toMatchObject({ shape: { width: 64, hidden: 128, rows: 100 }, depth: 8 });
    expect(shapes[0].candidates.map(({ layout }: { layout: string }) => layout)).toEqual(["rows", "tile", "matmul"]);
  });

  it.each([
    [["--shape", "q=16,m=32"], '--shape must be q=WIDTH,m=HIDDEN,n=ROWS, got "q=16,m=32"'],
    [["--shape", "q=16,m=32,k=3"], "--shape must be q=WIDTH"],
    [["--shape", "q=16,m=0,n=3"], '--shape m must be an integer of at least 1, got "0"'],
    [["--shape", "q=16,m=32,n=3", "--depth", "x"], '--depth must be an integer of at least 1, got "x"'],
    [["--reset", "--dry-run"], "cannot be used with"],
  ])("wrong usage is one line: %j", async (args, text) => {
    const { code, out, err } = await tune("a", ...args);
    expect(lines(err)).toHaveLength(1);
    expect(err).toContain(text);
    expect({ code, out }).toEqual({ code: 2, out: "" });
  });

  it("prints what it measured also where the cache cannot be written, and fails", async () => {
    mkdirSync(join(dir, "b/deeplimit/tuning.json"), { recursive: true });
    const { code, out, err } = await tune("b", "--shape", "q=64,m=1,n=1", "--depth", "1", "--rounds", "1");
    expect(code).toBe(1);
    expect(out).toMatch(/^\* tile|own choice stays/m);
    expect(out).toMatch(/rows: 1 row, group 4 +\d/);
    expect(err).toContain("tuning.json cannot be read (EISDIR) and is ignored");
    expect(lines(err).at(-1)).toMatch(/^error: .*tuning\.json: cannot be written: it is a directory$/);
    for (const line of lines(out)) expect([...line].length).toBeLessThanOrEqual(80);
  });
});

describe("deeplimit run", () => {
  const run = (...args: string[]) => start(door, "c", "run", "tiny", "--adapter", "swiftshader", "--quiet", ...args);
  const tuningOf = (out: string) => JSON.parse(readFileSync(join(dir, out, "environment.json"), "utf8")).profile.tuning;

  it("takes what was tuned; a resumed run goes on with what it began with; --reset forgets", async () => {
    const { identity, path } = JSON.parse((await tune("c", "--dry-run", "--json")).out);
    const measured = { milliseconds: 1, plannedMilliseconds: 2, depth: 8, date: "2026-11-24" };
    const tuning = (rows: number) => [
      { ...shapeClass(16, 32, 100, true), choice: { layout: "rows", rows }, ...measured },
    ];
    const keep = (rows: number) =>
      writeFileSync(path, JSON.stringify({ devices: [{ identity, tuning: tuning(rows) }] }));
    expect(await run("--out", "untuned")).toMatchObject({ code: 0, err: "" });
    expect(tuningOf("untuned")).toBeUndefined();
    keep(3);
    expect(await run("--out", "tuned")).toMatchObject({ code: 0, err: "" });
    expect(tuningOf("tuned")).toEqual(tuning(3));
    keep(5);
    for (const out of ["tuned", "untuned"]) expect((await run("--out", out, "--resume")).code).toBe(0);
    expect(tuningOf("tuned")).toEqual(tuning(3));
    expect(tuningOf("untuned")).toBeUndefined();
    expect((await run("--out", "tuned", "--force")).code).toBe(0);
    expect(tuningOf("tuned")).toEqual(tuning(5));

    const reset = await tune("c", "--reset");
    expect(reset).toMatchObject({ code: 0, err: "" });
    expect(reset.out).toContain("forgot 1 tuned choice");
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ devices: [] });
  });

  it("a damaged cache is reported and ignored", async () => {
    writeFileSync(join(dir, "c/deeplimit/tuning.json"), '{"devices": [');
    const { code, err } = await run("--out", "damaged");
    expect(code).toBe(0);
    expect(lines(err)).toEqual([expect.stringContaining("tuning.json is not a file of deeplimit tune and is ignored")]);
    expect(tuningOf("damaged")).toBeUndefined();
  });
});
