import assert from "node:assert/strict";
import { test } from "node:test";
import { LONGEST, pause } from "./backoff.ts";
import { palette, places } from "./colours.ts";
import { event, request, target } from "./samples.ts";
import { requestTone, toneOf, weather } from "./tone.ts";
import { marks } from "./yaml.ts";

test("an event is good or bad by what it ended in; words that are not known take no side", () => {
  const tones = ["open", "closed", "half_open", "resting", "available", "ramping", "12", ""].map((after) =>
    toneOf(event(1, { after })),
  );
  assert.deepEqual(tones, ["bad", "good", "neutral", "bad", "good", "neutral", "neutral", "neutral"]);
  assert.equal(toneOf(event(1, { before: "healthy", after: "degraded" })), "bad");
  assert.equal(toneOf(event(1, { before: "unhealthy", after: "degraded" })), "neutral");
});

test("an answer in spite of a failure is told apart from a plain one, and the client's fault from ours", () => {
  assert.equal(requestTone(request("r")), "answered");
  assert.equal(requestTone(request("r", { fallback: true })), "saved");
  assert.equal(requestTone(request("r", { source: "stale" })), "saved");
  assert.equal(requestTone(request("r", { source: "cache" })), "answered");
  assert.deepEqual(
    [404, 499, 503, 429].map((status) => requestTone(request("r", { status }))),
    ["refused", "gone", "failed", "failed"],
  );
});

test("the weather is bad when requests are lost, and a warning while a target is out", () => {
  const [well, ill] = [target("a/m"), target("b/m", { state: "open" })];
  assert.equal(weather(0, 0, [well]), "idle");
  assert.equal(weather(100, 0, [well]), "good");
  assert.equal(weather(100, 0, [well, ill]), "warn");
  assert.equal(weather(1_000, 1, [well]), "warn");
  assert.equal(weather(98, 2, [well]), "bad");
  assert.equal(weather(0, 0, [ill]), "bad");
});

test("pauses double up to eight seconds, and half of each is chance", () => {
  assert.deepEqual(
    [0, 1, 2].map((attempt) => pause(attempt, 1)),
    [500, 1_000, 2_000],
  );
  assert.equal(pause(3, 0), 2_000);
  assert.equal(pause(1_000, 1), LONGEST);
});

test("a colour belongs to a name, whatever the order and however often it is asked", () => {
  const names = ["openai/gpt-4.1", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro"];
  assert.deepEqual(places(names), places([...names].reverse()));
  const many = places(Array.from({ length: 12 }, (_, index) => `p/${index}`));
  assert.equal(new Set(many.values()).size, 12);
  assert.equal(palette(true).length, palette(false).length);
});

test("keys, texts, figures, secrets and comments of a YAML text are found where they are", () => {
  const text =
    "server:\n  port: 8000  # the door\n  url: \"http://x:1/#a\"\nkeys:\n- name: web\n  key: '***'\n- {a: 1}\n";
  const found = marks(text).map((mark) => [mark.kind, text.slice(mark.from, mark.to)]);
  assert.deepEqual(found, [
    ["key", "server"],
    ["key", "port"],
    ["figure", "8000"],
    ["comment", "# the door"],
    ["key", "url"],
    ["text", '"http://x:1/#a"'],
    ["key", "keys"],
    ["key", "name"],
    ["text", "web"],
    ["key", "key"],
    ["secret", "'***'"],
    ["text", "{a: 1}"],
  ]);
});

test("marks do not overlap, whatever the text", () => {
  const text = "a: b: c # d\n- - x\n#\n: \n'q': 1 #2\n\t\n- # only\n";
  let end = 0;
  for (const mark of marks(text)) {
    assert.ok(mark.from >= end && mark.to > mark.from);
    end = mark.to;
  }
});
