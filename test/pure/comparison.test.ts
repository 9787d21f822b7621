import { describe, expect, it } from "vitest";
import { labelsOf } from "../../src/cli/commands/compare.ts";
import type { Claim, Figure, RunRecord, Table } from "../../src/experiment/record.ts";
import { chartSpec } from "../../src/report/chart.ts";
import { compareRuns } from "../../src/report/comparison.ts";
import { differenceText, renderComparison, verdictsText } from "../../src/report/comparison_page.ts";

const claim = (id: string, measured: number | null, more: Partial<Claim> = {}): Claim => ({
  ...{ id, statement: `<${id}>`, source: "measured for this project", measured, passes: { min: 0 } },
  verdict: measured === null ? "not decided" : measured >= 0 ? "holds" : "fails",
  ...more,
});
const table: Table = {
  name: "losses",
  description: "losses",
  columns: ["depth", "loss", "seed", "family", "step"].map((name) => ({ name, description: name })),
  rows: [1, 2].flatMap((step) => [4, 8].map((depth) => ({ depth, loss: step / depth, seed: 0, family: "V", step }))),
};
const plain: Figure = {
  ...{ name: "loss", title: "Loss", caption: "", table: "losses", kind: "line", where: { step: 1 } },
  x: { field: "depth", label: "L" },
  y: { field: "loss", label: "loss" },
};
const axis = (field: string) => ({ field, label: field });
const record = (more: Partial<RunRecord>): RunRecord => ({
  ...{ experiment: "e", title: "E", summary: "", preset: "smoke", status: "done", config: {}, environment: {} },
  ...{ tables: [table], figures: [], claims: [], notes: [], seconds: 1, command: "deeplimit run e" },
  ...more,
});
const compared = (...records: Partial<RunRecord>[]) =>
  compareRuns(records.map((more, i) => ({ label: `run ${i}`, record: record(more) })));

describe("claims", () => {
  it("are matched by id, with the difference from the first run and what the intervals say", () => {
    const { claims } = compared(
      { claims: [claim("a", 1, { interval: [0.5, 1.5] }), claim("b", 1), claim("c", 1)] },
      { claims: [claim("d", 1), claim("b", null), claim("a", 3, { interval: [2, 4] })] },
      { claims: [claim("a", 1.25, { interval: [1, 1.5] }), claim("b", -1), claim("c", 1)] },
    );
    expect(claims.map(({ id }) => id)).toEqual(["a", "b", "c", "d"]);
    const [a, b, c, d] = claims;
    expect(a!.sides.map((side) => [side?.difference, side?.overlap])).toEqual([
      [undefined, undefined],
      [2, false],
      [0.25, true],
    ]);
    expect(b).toMatchObject({ sameVerdict: false, sides: [{}, {}, { difference: -2 }] });
    expect(b!.sides[1]).not.toHaveProperty("difference");
    expect(c!.sides[1]).toBeNull();
    expect(c!.sameVerdict).toBe(true);
    expect(d!.sides.map((side) => side === null)).toEqual([true, false, true]);
    expect(d!.sides[1]).not.toHaveProperty("difference");
    expect(verdictsText(claims)).toBe("1 of 4 claims has different verdicts, 2 are made by some of the runs only");
    expect(differenceText(a!.sides[1]!)).toBe("difference +2, intervals apart");
  });

  it("of other ranges are marked, also where one end is open", () => {
    const { claims } = compared(
      { claims: [claim("a", 1)] },
      { claims: [claim("a", 1, { passes: { min: 0, max: 2 } })] },
    );
    expect(claims[0]!.sameRange).toBe(false);
  });
});

describe("facts", () => {
  it("are compared by dotted name, absent ones as such", () => {
    const { config, environment } = compared(
      { config: { flow: { rate: 1 }, seeds: [0, 1] }, environment: { cores: 2 } },
      { config: { flow: { rate: 2 }, seeds: [0, 1], more: true }, environment: { cores: 2 } },
    );
    expect(config).toEqual([
      { fact: "flow.rate", values: ["1", "2"], same: false },
      { fact: "seeds", values: ["0, 1", "0, 1"], same: true },
      { fact: "more", values: [null, "true"], same: false },
    ]);
    expect(environment.every(({ same }) => same)).toBe(true);
  });
});

describe("figures", () => {
  const place = (figure: Figure) => {
    const { parts, together } = compared({ figures: [figure] }, { figures: [figure] }).figures[0]!;
    expect(together).toBe(true);
    return parts[0]!;
  };

  it("of the same columns share axes: runs are series, columns or rows of panels, whatever is free", () => {
    const { figure, table: both } = place(plain);
    expect(figure.color!.field).toBe("compared run");
    // Rows that each figure draws, twice.
    expect(both.rows).toHaveLength(4);
    expect(place({ ...plain, color: axis("seed") }).figure.columnFacet!.field).toBe("compared run");
    expect(place({ ...plain, columnFacet: axis("family") }).figure.rowFacet!.field).toBe("compared run");
    expect(place({ ...plain, rowFacet: axis("family") }).figure.columnFacet!.field).toBe("compared run");
    expect(() => chartSpec(figure, both)).not.toThrow();
  });

  it("draw each run's own rows, where these differ", () => {
    const last = { ...plain, where: { step: 2 } };
    const { together, parts } = compared({ figures: [plain] }, { figures: [last] }).figures[0]!;
    expect(together).toBe(true);
    expect(parts[0]!.table.rows.map((row) => [row["compared run"], row.step])).toEqual([
      ...[
        ["run 0", 1],
        ["run 0", 1],
      ],
      ...[
        ["run 1", 2],
        ["run 1", 2],
      ],
    ]);
  });

  it("of other axes, or without a place for the runs, are drawn one by one; runs without them are named", () => {
    const logarithmic = { ...plain, x: { ...plain.x, scale: "log" as const } };
    const other = compared({ figures: [plain] }, { figures: [logarithmic] }, {}).figures[0]!;
    expect(other).toMatchObject({ together: false, missing: ["run 2"] });
    expect(other.parts.map(({ label }) => label)).toEqual(["run 0", "run 1"]);
    const full = { ...plain, columnFacet: axis("family"), rowFacet: axis("seed") };
    expect(compared({ figures: [full] }, { figures: [full] }).figures[0]!.together).toBe(false);
  });
});

it("the page escapes what records say and needs nothing else", () => {
  const page = renderComparison(compared({ claims: [claim("a", 1)], figures: [plain] }, { claims: [] }), new Map());
  expect(page).toContain("&lt;a&gt;");
  expect(page).toContain("not claimed");
  expect(page).toContain("could not be drawn");
  expect(page).not.toMatch(/<script|<link|href="(?!#)/);
});

it("runs are named by their directories, by whole paths where these agree", () => {
  expect(labelsOf(["runs/a", "runs/b/"])).toEqual(["a", "b"]);
  expect(labelsOf(["x/run", "y/run"])).toEqual(["x/run", "y/run"]);
  expect(labelsOf(["run", "run"])).toEqual(["1: run", "2: run"]);
});
