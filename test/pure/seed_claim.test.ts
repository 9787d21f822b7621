import { expect, test } from "vitest";
import { extremeClaim, seedClaim } from "../../src/experiment/seed_claim.ts";

const claim = { id: "a", statement: "s", source: "p", passes: { min: 0.5, max: 1.5 } };

test("a claim over seeds has the mean, Student's interval and a verdict", () => {
  // Mean 1, s = 0.1, so 1 ± 4.3027 · 0.1/√3.
  const { measured, interval, verdict } = seedClaim(claim, [0.9, 1, 1.1]);
  expect(measured).toBeCloseTo(1, 12);
  expect(interval![1]).toBeCloseTo(1 + (4.302653 * 0.1) / Math.sqrt(3), 6);
  expect(verdict).toBe("holds");
  expect(seedClaim(claim, [2.9, 3, 3.1]).verdict).toBe("fails");
});

test("what is not known decides nothing, and the note says why", () => {
  expect(seedClaim(claim, [1])).toMatchObject({ verdict: "not decided", note: "one seed: no interval" });
  expect(seedClaim(claim, [])).toMatchObject({ verdict: "not decided", measured: null });
  expect(seedClaim({ ...claim, note: "n" }, [1, Number.NaN])).toMatchObject({
    verdict: "not decided",
    measured: null,
    note: "n; a seed has no finite number",
  });
  const missing = { ...claim, undecided: "1 training is missing" };
  expect(seedClaim(missing, [1, 1.01])).toMatchObject({ verdict: "not decided", note: "1 training is missing" });
  expect(extremeClaim(missing, 1)).toMatchObject({ verdict: "not decided", measured: 1 });
  expect(extremeClaim(claim, null).verdict).toBe("not decided");
  expect(extremeClaim(claim, 1)).not.toHaveProperty("interval");
});
