import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapterSlug, checkOut, freeStem } from "../../src/cli/bench_files.ts";
import { type BenchOptions, benchCommand, benchSettings } from "../../src/cli/bench_settings.ts";
import { tableText } from "../../src/cli/table_text.ts";
import { ConfigError } from "../../src/config/errors.ts";
import type { Table } from "../../src/experiment/record.ts";

describe("benchSettings", () => {
  const settings = (options: Partial<BenchOptions>) => benchSettings({ adapter: "auto", ...options });

  it("runs all suites in order by default, and leaves sizes to them", () => {
    expect(settings({})).toEqual({
      suites: [
        "ceilings",
        "kernels",
        "workloads",
        "ode",
        "accuracy",
        "experiments",
        "peers",
        "conv-peers",
        "ode-peers",
      ],
      adapter: "auto",
      quick: false,
    });
  });

  it("sorts suites and sizes, each once", () => {
    expect(settings({ suite: "peers, ceilings,peers", depth: "64,16,64", steps: "3" })).toMatchObject({
      suites: ["ceilings", "peers"],
      depths: [16, 64],
      steps: 3,
    });
  });

  it("--quick gives way to what is named", () => {
    expect(settings({ quick: true })).toMatchObject({ quick: true, depths: [16, 64], steps: 3 });
    expect(settings({ quick: true, depth: "8", peers: "pytorch@64" })).toMatchObject({
      depths: [8],
      peers: ["pytorch@64"],
      steps: 3,
    });
  });

  it.each<[Partial<BenchOptions>, string]>([
    [{ suite: "," }, "--suite must name some of ceilings, kernels, workloads, ode, accuracy, "],
    [{ suite: "kernels,celings" }, 'did you mean ceilings?, got "celings"'],
    [{ suite: "toString" }, 'experiments, peers, conv-peers, ode-peers, got "toString"'],
    [{ depth: "" }, '--depth must be integers of at least 1, separated by commas, got ""'],
    [{ depth: "1e3" }, "--depth must be integers"],
    [{ width: "1.5" }, "--width must be integers"],
    [{ batch: "16,0" }, "--batch must be integers"],
    [{ peerDepth: "99999999999999999999" }, "--peer-depth must be integers"],
    [{ rounds: "0" }, '--rounds must be an integer of at least 1, got "0"'],
    [{ steps: "many" }, '--steps must be an integer of at least 1, got "many"'],
    [{ peers: " " }, "--peers must name some of deeplimit"],
    [{ peers: "tfjs-webgp@64" }, "did you mean tfjs-webgpu?"],
    [{ peers: "handwritten:swiftshader" }, "--peers must name an adapter only for a peer on WebGPU"],
    [{ trajectories: "1,64" }, '--trajectories must be integers of at least 2, separated by commas, got "1,64"'],
    [{ odePeers: "odx" }, "--ode-peers must be of deeplimit, handwritten, odex"],
    [{ odePeers: "scipy:swiftshader" }, "--ode-peers must name an adapter only for a peer on WebGPU, scipy is on cpu"],
    [{ peers: "pytorch,pytorch" }, '--peers must name each peer once, got "pytorch"'],
  ])("refuses %j", (options, text) => {
    expect(() => settings(options)).toThrow(ConfigError);
    expect(() => settings(options)).toThrow(text);
  });

  it("gives the command that measures the same again", () => {
    const options = { adapter: "software", quick: true, depth: "16,64", python: "/a b/python", json: true } as const;
    expect(benchCommand(options)).toBe(
      "deeplimit bench --depth 16,64 --python '/a b/python' --adapter software --quick",
    );
    const ensembles = { adapter: "auto", suite: "ode,ode-peers", trajectories: "512", odePeers: "odex@512" } as const;
    expect(benchCommand(ensembles)).toBe(
      "deeplimit bench --suite ode,ode-peers --trajectories 512 --ode-peers odex@512",
    );
  });
});

describe("files", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "deeplimit-bench-files-"));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it("a path is tried and nothing is left there", async () => {
    expect(await checkOut(join(dir, "a/b/name.json"))).toEqual({ directory: join(dir, "a/b"), stem: "name" });
    expect(await checkOut(join(dir, "name.v2"))).toEqual({ directory: dir, stem: "name.v2" });
    expect(await checkOut(dir)).toEqual({ directory: dir });
    expect(await checkOut(`${join(dir, "new")}/`)).toEqual({ directory: `${join(dir, "new")}/` });
    expect(readdirSync(dir)).toEqual([]);
    writeFileSync(join(dir, "file"), "");
    await expect(checkOut(join(dir, "file/name"))).rejects.toThrow(/file\/name cannot be written: a part of its path/);
    await expect(checkOut(join(dir, "file/deep/name"))).rejects.toThrow(ConfigError);
    rmSync(join(dir, "file"));
  });

  it("names say adapter, cores and date, and never replace", () => {
    const facts = { vendor: "nvidia", architecture: "hopper", device: "NVIDIA H200", description: "550.1" };
    const card = { ...facts, software: false, via: "system" };
    expect(adapterSlug(card)).toBe("nvidia-h200");
    expect(adapterSlug({ ...card, device: "" })).toBe("hopper");
    expect(adapterSlug({ ...card, device: "llvmpipe (LLVM 19.1.7, 256 bits)", software: true })).toBe("llvmpipe");
    const date = new Date("2026-11-23T23:59:59Z");
    const stem = (quick = false) => freeStem({ directory: dir, prefix: "bench-" }, card, date, quick);
    const first = stem();
    expect(first).toMatch(/^bench-nvidia-h200-\d+cores-2026-11-23$/);
    expect(stem(true)).toBe(`${first}-quick`);
    writeFileSync(join(dir, `${first}.md`), "");
    writeFileSync(join(dir, `${first}-2.json`), "");
    expect(stem()).toBe(`${first}-3`);
  });
});

describe("tableText", () => {
  const table: Table = {
    name: "kernels",
    description: "",
    columns: [
      { name: "kernel", description: "" },
      { name: "shape", description: "" },
      { name: "median", unit: "µs", description: "" },
      { name: "reason", description: "" },
      { name: "share", description: "" },
    ],
    rows: [
      { kernel: "a", shape: "a long description of sizes", median: 1234.56, reason: null, share: 0.5 },
      { kernel: "b", shape: "", median: null, reason: null, share: 1 },
    ],
  };

  it("aligns numbers right and leaves out empty columns", () => {
    expect(tableText(table, 100)).toBe(
      [
        "kernel  shape                        median [µs]  share",
        "a       a long description of sizes         1235    0.5",
        "b       –                                      –      1",
      ].join("\n"),
    );
  });

  it("cuts texts, then leaves out columns from the right and names them", () => {
    expect(tableText(table, 40)).toBe(
      [
        "kernel  shape         median [µs]  share",
        "a       a long desc…         1235    0.5",
        "b       –                       –      1",
      ].join("\n"),
    );
    expect(tableText(table, 34)).toBe(
      [
        "kernel  shape         median [µs]",
        "a       a long desc…         1235",
        "b       –                       –",
        "(too wide for here: share)",
      ].join("\n"),
    );
  });

  it("shows the columns asked for", () => {
    expect(tableText(table, 80, ["kernel", "share", "reason"])).toBe("kernel  share\na         0.5\nb           1");
  });
});
