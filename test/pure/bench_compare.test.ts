import { describe, expect, it } from "vitest";
import { type Comparison, compareRecords, regressions } from "../../src/benchmark/compare.ts";
import type { RunRecord, Table } from "../../src/experiment/record.ts";

const stamp = { adapter: "card", driver: "1", processor: "two cores", deeplimit: "0.1.0, commit aaa", flags: "none" };

function record(tables: readonly Table[], facts: Record<string, string> = {}, preset = "full"): RunRecord {
  return {
    experiment: "bench",
    title: "",
    summary: "",
    preset,
    status: "done",
    config: {},
    environment: { stamp: { ...stamp, ...facts } },
    tables,
    figures: [],
    claims: [],
    notes: [],
    seconds: 1,
    command: "deeplimit bench",
  };
}

function table(name: string, rows: Table["rows"], unit?: string): Table {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = names.map((column) => {
    const timed = unit !== undefined && ["median", "wall"].includes(column);
    return { name: column, description: column, ...(timed && { unit }) };
  });
  return { name, description: name, columns, rows };
}

const kernel = (variant: string, median: number | null, lower: number | null, upper: number | null) => ({
  kernel: "dense/matmul",
  variant,
  shape: "n 9",
  median,
  lower,
  upper,
});
const verdicts = ({ changes }: Comparison) => changes.map(({ row, ratio, verdict }) => [row, ratio, verdict]);

describe("compareRecords", () => {
  it("calls a time slower or faster only when the spreads do not meet", () => {
    const before = record([
      table(
        "kernels",
        [kernel("a", 10, 9, 11), kernel("b", 10, 9, 11), kernel("c", 10, 9, 11), kernel("d", 10, 9, 11)],
        "µs",
      ),
    ]);
    const after = record([
      table(
        "kernels",
        // In another order; the last one only touches the spread before.
        [kernel("c", 10.5, 8, 12), kernel("a", 20, 18, 22), kernel("b", 5, 4, 6), kernel("d", 12, 11, 13)],
        "µs",
      ),
    ]);
    const comparison = compareRecords(before, after);
    expect(verdicts(comparison)).toEqual([
      ["dense/matmul, c, n 9", 1.05, "same within spread"],
      ["dense/matmul, a, n 9", 2, "slower"],
      ["dense/matmul, b, n 9", 0.5, "faster"],
      ["dense/matmul, d, n 9", 1.2, "same within spread"],
    ]);
    expect(regressions(comparison).map(({ row }) => row)).toEqual(["dense/matmul, a, n 9"]);
    expect(comparison.changes[1]).toMatchObject({
      table: "kernels",
      unit: "µs",
      before: { value: 10, spread: [9, 11] },
      after: { value: 20, spread: [18, 22] },
    });
    expect(regressions(compareRecords(after, before)).map(({ row }) => row)).toEqual(["dense/matmul, b, n 9"]);
  });

  it("turns rates round: half the rate is twice the time", () => {
    const ceiling = (value: number, unit: string) => ({
      ceiling: `of ${unit}`,
      value,
      unit,
      lower: 0.9 * value,
      upper: 1.1 * value,
    });
    const before = record([table("ceilings", [ceiling(100, "GFLOP/s"), ceiling(100, "ns")])]);
    const after = record([table("ceilings", [ceiling(50, "GFLOP/s"), ceiling(50, "ns")])]);
    expect(verdicts(compareRecords(before, after))).toEqual([
      ["of GFLOP/s", 2, "slower"],
      ["of ns", 0.5, "faster"],
    ]);
  });

  it("names rows by what was varied, and lists those of one record only", () => {
    const step = (depth: number, median: number | null) => ({ depth, median, lower: median, upper: median });
    const peer = (depth: number, name: string) => ({ depth, peer: name, median: 1, lower: 1, upper: 1 });
    const before = record([
      table("step-depth", [step(16, 1), step(64, 4), step(256, null)], "ms"),
      table("peers", [peer(16, "pytorch")], "ms"),
      table("accuracy", [{ steps: 2, error: 1e-3 }]),
    ]);
    const after = record([table("step-depth", [step(64, 4), step(256, 16)], "ms")]);
    expect(verdicts(compareRecords(before, after))).toEqual([
      ["depth 64", 1, "same within spread"],
      ["depth 256", null, "only after"],
      ["depth 16", null, "only before"],
      ["depth 16, pytorch", null, "only before"],
    ]);
  });

  it("decides nothing by single measurements", () => {
    const run = (wall: number) => table("time-to-claim", [{ experiment: "digits", preset: "smoke", wall }], "s");
    const comparison = compareRecords(record([run(1)]), record([run(100)]));
    expect(verdicts(comparison)).toEqual([["digits, smoke", 100, "no spread"]]);
    expect(regressions(comparison)).toEqual([]);
  });

  it("says in what the runs differ, and whether it is the device", () => {
    const commit = { deeplimit: "0.1.0, commit bbb" };
    expect(compareRecords(record([]), record([], commit))).toEqual({
      facts: [{ fact: "deeplimit", before: "0.1.0, commit aaa", after: "0.1.0, commit bbb" }],
      sameDevice: true,
      changes: [],
    });
    const { facts, sameDevice } = compareRecords(record([]), record([], { adapter: "other", new: "fact" }, "quick"));
    expect(sameDevice).toBe(false);
    expect(facts).toEqual([
      { fact: "adapter", before: "card", after: "other" },
      { fact: "preset", before: "full", after: "quick" },
      { fact: "new", before: "unknown", after: "fact" },
    ]);
  });
});
