import assert from "node:assert/strict";
import { test } from "node:test";
import { target } from "./samples.ts";
import { headline, story } from "./story.ts";

test("the headline follows what became of requests, and one lost request is not hidden", () => {
  const said = (answered: number, failed: number) => headline({ answered, failed }, "warn");
  assert.equal(said(100, 0), "The door stays open.");
  assert.equal(said(9_999, 1), "The door stays open, nearly for all.");
  assert.equal(said(90, 10), "Requests are failing.");
  assert.equal(said(50, 50), "The door is closing.");
  assert.equal(said(0, 50), "The door is closed.");
  assert.equal(headline({ answered: 0, failed: 0 }, "idle"), "The door is open.");
  assert.equal(headline({ answered: 0, failed: 0 }, "bad"), "The door is open, with trouble behind it.");
});

test("the story names who is out and why, and who answers instead", () => {
  const rows = [
    target("a/x", { state: "open", reason: "5 failures in a row" }),
    target("b/y"),
    target("c/z", { state: "resting" }),
    target("d/w", { state: "degraded" }),
  ];
  const said = story(rows, {
    answers: new Map([
      ["b/y", 9],
      ["c/z", 1],
    ]),
  });
  assert.equal(
    said,
    "a/x is out: 5 failures in a row; c/z is resting; 1 more is not as it should be. Most is answered by b/y.",
  );
  assert.equal(story([target("b/y"), target("c/z")], { answers: new Map() }), "All 2 targets are ready.");
  assert.equal(story([target("b/y")], { answers: new Map([["b/y", 1]]) }), "Its target serves as usual.");
  assert.equal(story([], { answers: new Map() }), "No target is configured.");
});
