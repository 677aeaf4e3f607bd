import assert from "node:assert/strict";
import { test } from "node:test";
import { bins, busiest, mixture, since, stacked, total } from "./series.ts";
import { sample } from "./samples.ts";

test("bins stand on multiples of their width, whenever the first sample came", () => {
  const found = bins(
    [11, 12, 15, 16, 20, 21].map((at) => sample(at, { answered: 1 })),
    5,
  );
  assert.deepEqual(
    found.map((bin) => [bin.at, bin.answered, bin.seconds]),
    [
      [15, 3, 3],
      [20, 2, 2],
      [25, 1, 1],
    ],
  );
});

test("nothing is lost by binning", () => {
  const samples = Array.from({ length: 97 }, (_, at) => sample(at, { answered: at, answers: { a: at, b: 1 } }));
  const found = bins(samples, 7);
  assert.equal(
    found.reduce((sum, bin) => sum + bin.answered, 0),
    total(samples, 97).answered,
  );
  assert.equal(
    found.reduce((sum, bin) => sum + (bin.answers.get("b") ?? 0), 0),
    97,
  );
});

test("a window counts from its end, and takes what is younger", () => {
  assert.deepEqual(
    since(
      [1, 2, 3, 4].map((at) => sample(at)),
      4,
      2,
    ).map((one) => one.at),
    [3, 4],
  );
  assert.deepEqual(since([], 4, 2), []);
});

test("quantiles of samples that are alike are theirs", () => {
  const one = { p50: 100, p95: 300, p99: 500 };
  const found = mixture([1, 2, 3].map((at) => sample(at, { answered: at, first_token_ms: one })))!;
  for (const name of ["p50", "p95", "p99"] as const) assert.ok(Math.abs(found[name] - one[name]) < 0.01);
});

test("a mixture lies between its parts, weighs them by their answers, and does not exceed the worst", () => {
  const fast = { p50: 100, p95: 200, p99: 250 };
  const slow = { p50: 1_000, p95: 2_000, p99: 2_500 };
  const mostlyFast = mixture([
    sample(1, { answered: 99, first_token_ms: fast }),
    sample(2, { answered: 1, first_token_ms: slow }),
  ])!;
  const mostlySlow = mixture([
    sample(1, { answered: 1, first_token_ms: fast }),
    sample(2, { answered: 99, first_token_ms: slow }),
  ])!;
  assert.ok(mostlyFast.p50 < 110 && mostlySlow.p50 > 950);
  assert.ok(mostlyFast.p50 <= mostlyFast.p95 && mostlyFast.p95 <= mostlyFast.p99 && mostlyFast.p99 <= 2_500);
  assert.equal(mixture([sample(1)]), null);
});

test("equal quantiles, as of a single answer, are no division by zero", () => {
  const one = { p50: 80, p95: 80, p99: 80 };
  const found = mixture([sample(1, { first_token_ms: one }), sample(2, { first_token_ms: one })])!;
  assert.ok(Math.abs(found.p95 - 80) < 0.01);
});

test("layers stand upon each other", () => {
  assert.deepEqual(
    stacked([
      [1, 2],
      [3, null],
      [5, 6],
    ]),
    [
      [1, 2],
      [4, null],
      [9, 8],
    ],
  );
});

test("the busiest keep the configured order, and those that left the configuration come last", () => {
  const sums = new Map([
    ["a", 1],
    ["b", 9],
    ["gone", 5],
    ["c", 0],
  ]);
  assert.deepEqual(busiest(sums, ["c", "b", "a"], 2), ["b", "gone"]);
});
