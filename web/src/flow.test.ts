import assert from "node:assert/strict";
import { test } from "node:test";
import { flow, OTHERS } from "./flow.ts";
import { heightFor, plan } from "./geometry.ts";
import type { AttemptRow, ModelRow } from "./messages.ts";
import { request, sample } from "./samples.ts";

const model = (name: string, ...targets: string[]): ModelRow => ({
  model: name,
  strategy: "priority",
  status: "healthy",
  targets: targets.map((target, index) => ({ target, tier: index + 1, weight: 1 })),
});
const attempt = (target: string): AttemptRow => ({
  target,
  outcome: "success",
  started_ms: 0,
  ended_ms: 1,
  first_content_ms: null,
  kind: "",
  detail: "",
  purpose: "answer",
});
const MOST = { models: 8, targets: 12 };
const seconds = (answers: Record<string, number>, failures: Record<string, number> = {}) =>
  Array.from({ length: 20 }, (_, index) => sample(index + 1, { answered: 3, answers, failures }));

test("rates are of the last seconds, and none is lost between models and targets", () => {
  const map = flow(
    {
      models: [model("m", "a/x", "b/y")],
      targets: ["a/x", "b/y"],
      seconds: seconds({ "a/x": 2, "b/y": 1 }),
      requests: [],
    },
    20,
    MOST,
  );
  assert.equal(map.arriving, 3);
  assert.equal(
    map.links.reduce((sum, link) => sum + link.rate, 0),
    3,
  );
});

test("a target of several models is split as the requests seen last were", () => {
  const requests = ["m", "m", "m", "n"].map((name, index) =>
    request(`r${index}`, { model: name, attempts: [attempt("a/x")] }),
  );
  const map = flow(
    { models: [model("m", "a/x"), model("n", "a/x")], targets: ["a/x"], seconds: seconds({ "a/x": 4 }), requests },
    20,
    MOST,
  );
  assert.deepEqual(
    map.links.map((link) => [link.model, link.rate]),
    [
      ["m", 3],
      ["n", 1],
    ],
  );
});

test("without a request to tell, it belongs to the model where it stands in the best tier", () => {
  const map = flow(
    {
      models: [model("m", "b/y", "a/x"), model("n", "a/x")],
      targets: ["b/y", "a/x"],
      seconds: seconds({ "a/x": 1 }),
      requests: [],
    },
    20,
    MOST,
  );
  assert.deepEqual(
    map.links.map((link) => link.model),
    ["n"],
  );
});

test("of many targets the busiest have a place, in configured order, and the others are one", () => {
  const names = Array.from({ length: 40 }, (_, index) => `p/${index}`);
  const answers = Object.fromEntries(names.map((name, index) => [name, index]));
  const map = flow(
    { models: [model("m", ...names)], targets: names, seconds: seconds(answers), requests: [] },
    20,
    MOST,
  );
  assert.equal(map.targets.length, 11);
  assert.deepEqual(map.targets, names.slice(29));
  assert.equal(map.moreTargets.length, 29);
  const others = map.links.filter((link) => link.target === OTHERS).reduce((sum, link) => sum + link.rate, 0);
  assert.equal(Math.round(others), (28 * 29) / 2);
});

test("failed attempts are told apart from answers, and a target that only fails is on the map", () => {
  const map = flow(
    { models: [model("m", "a/x")], targets: ["a/x"], seconds: seconds({}, { "a/x": 2 }), requests: [] },
    20,
    MOST,
  );
  assert.deepEqual(map.links, [{ model: "m", target: "a/x", rate: 0, failing: 2 }]);
});

test("every box is on the map and none lies on another, with a quiet gateway and at the peak, wide and narrow", () => {
  const names = Array.from({ length: 40 }, (_, index) => `p/${index}`);
  for (const answers of [{}, { "p/3": 50 }, Object.fromEntries(names.map((name) => [name, 2]))]) {
    const map = flow(
      {
        models: ["m", "n", "o"].map((name) => model(name, ...names)),
        targets: names,
        seconds: seconds(answers),
        requests: [],
      },
      20,
      MOST,
    );
    const links = new Map(map.links.map((link) => [`${link.model}\n${link.target}`, link]));
    for (const width of [328, 720, 1400, 2500]) {
      const found = plan(map, links, width);
      for (const boxes of [found.models, found.targets]) {
        let below = 0;
        for (const box of boxes.values()) {
          assert.ok(box.y >= below - 0.01, `${box.y} is above ${below}`);
          assert.ok(box.x >= 0 && box.x + box.width <= width + 0.01);
          below = box.y + box.height;
        }
        assert.ok(below <= heightFor(map) + 0.01, `${below} is out of ${heightFor(map)}`);
      }
    }
  }
});
