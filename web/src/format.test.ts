import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, amount, lasting, parts, portion, remaining, share, span, word, written } from "./format.ts";

const plain = (text: string): string => text.replaceAll("\u202f", " ");

test("a share never flatters: only a flawless one reads 100 %, and it is rounded down", () => {
  assert.equal(share(10, 10).value, "100");
  assert.equal(share(99_999, 100_000).value, "99.999");
  assert.equal(share(999_999, 1_000_000).value, "99.999");
  assert.equal(share(4_999, 5_000).value, "99.98");
  assert.equal(share(1, 3).value, "33.3");
  assert.equal(share(0, 3).value, "0.0");
  assert.equal(share(1, 1_000_000).value, "0.1");
  assert.equal(share(0, 0).value, "–");
});

test("a part of the traffic is not nothing because it is small, nor all because it is large", () => {
  assert.deepEqual([portion(0, 9), portion(1, 999), portion(998, 999), portion(9, 9)].map(plain), [
    "0 %",
    "<1 %",
    ">99 %",
    "100 %",
  ]);
});

test("three digits say enough, whatever the size", () => {
  const sizes = [0, 0.25, 1.5, 9, 16.4, 999.4, 1_234, 12_345, 999_499, 1_234_567, 25_000_000, 3_000_000_000];
  assert.deepEqual(sizes.map(amount).map(plain), [
    "0",
    "0.25",
    "1.5",
    "9",
    "16",
    "999",
    "1.2 k",
    "12 k",
    "999 k",
    "1.2 M",
    "25 M",
    "3.0 G",
  ]);
});

test("milliseconds become seconds and minutes where these are easier to read", () => {
  const times = [0.4, 42.4, 999.4, 1_240, 61_000, 300_000, null];
  assert.deepEqual(times.map(lasting).map(written).map(plain), [
    "0.4 ms",
    "42 ms",
    "999 ms",
    "1.24 s",
    "61.0 s",
    "5.0 min",
    "–",
  ]);
});

test("waits run visibly in their last ten seconds, and never below zero", () => {
  assert.deepEqual([remaining(100, 96.8), remaining(100, 40), remaining(100, 101)].map(plain), [
    "3.2 s",
    "1 min",
    "0 s",
  ]);
  assert.equal(plain(ago(100, 100.4)), "now");
  assert.equal(plain(span(3_723)), "1 h 2 min");
});

test("names are taken apart at their first stroke", () => {
  assert.deepEqual(parts("together/meta/llama-3"), { provider: "together", model: "meta/llama-3" });
  assert.deepEqual(parts("auto"), { provider: "", model: "auto" });
  assert.equal(word("half_open"), "half-open");
});
