import assert from "node:assert/strict";
import { test } from "node:test";
import { event, request, sample, snapshot, target, tick } from "./samples.ts";
import { apply, KEPT_EVENTS, KEPT_REQUESTS, KEPT_SECONDS, KEPT_TROUBLED, type World } from "./state.ts";

const begun = (more = {}): World => apply(null, snapshot(more))!;

test("before the first snapshot nothing is known", () => {
  assert.equal(apply(null, tick(1)), null);
  assert.equal(apply(null, { type: "events", events: [event(1)] }), null);
});

test("a snapshot replaces everything", () => {
  const before = apply(begun({ targets: [target("a/m")], events: [event(1)] }), tick(1_001, { skipped: 4 }))!;
  const after = apply(before, snapshot({ targets: [target("b/m")], seen: 3 }))!;
  assert.deepEqual([...after.targets.keys()], ["b/m"]);
  assert.deepEqual([after.events.length, after.seconds.length, after.skipped, after.seen], [0, 0, 0, 3]);
});

test("a tick changes the rows that it names, keeps their order, and leaves the others as they are", () => {
  const before = begun({ targets: [target("a/m"), target("b/m")] });
  const after = apply(before, tick(1_001, { targets: [target("a/m", { state: "open" })] }))!;
  assert.deepEqual([...after.targets.keys()], ["a/m", "b/m"]);
  assert.equal(after.targets.get("a/m")!.state, "open");
  assert.equal(after.targets.get("b/m"), before.targets.get("b/m"));
  assert.equal(apply(before, tick(1_001))!.targets, before.targets);
});

test("what is told twice is kept once", () => {
  let world = begun({ events: [event(1)], requests: [request("r1")] });
  world = apply(world, { type: "events", events: [event(1), event(2)] })!;
  world = apply(world, tick(1_001, { requests: [request("r1"), request("r2")] }))!;
  world = apply(world, tick(1_001))!;
  assert.deepEqual(
    world.events.map((row) => row.seq),
    [1, 2],
  );
  assert.deepEqual(
    world.requests.map((row) => row.id),
    ["r1", "r2"],
  );
  assert.equal(world.seconds.length, 1);
});

test("after days every list is as long as its bound, and ends with the newest", () => {
  let world = begun();
  for (let at = 1; at <= 2_000; at += 1) {
    const rows = [request(`r${at}`)];
    world = apply(world, tick(1_000 + at, { requests: rows, troubled: rows, skipped: 1 }))!;
    world = apply(world, { type: "events", events: [event(at)] })!;
  }
  const lengths = [world.seconds, world.events, world.requests, world.troubled].map((list) => list.length);
  assert.deepEqual(lengths, [KEPT_SECONDS, KEPT_EVENTS, KEPT_REQUESTS, KEPT_TROUBLED]);
  assert.equal(world.seconds.at(-1)!.at, 3_000);
  assert.equal(world.requests.at(-1)!.id, "r2000");
});

test("after a gap seconds that are older than the window go", () => {
  const world = apply(begun({ seconds: [sample(1_000)] }), tick(5_000))!;
  assert.deepEqual(
    world.seconds.map((one) => one.at),
    [5_000],
  );
});
