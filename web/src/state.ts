// What the page knows: one value, made from a Snapshot and moved on by ticks and events.
//
// Rules. A Snapshot replaces everything. Rows that did not change keep their identity, so that what shows them need not
// be drawn again. Every list has a bound: the page may be open for weeks. A message before the first Snapshot says
// nothing.

import type { EventRow, Message, ModelRow, RequestRow, Sample, Session, TargetRow } from "./messages.ts";

export const KEPT_SECONDS = 900;
export const KEPT_EVENTS = 500;
export const KEPT_REQUESTS = 300;
export const KEPT_TROUBLED = 200;

export interface World {
  readonly at: number;
  readonly started: number;
  readonly session: Session;
  readonly draining: boolean;
  /** How many processes are told here together, of `session.workers`. */
  readonly seen: number;
  readonly models: readonly ModelRow[];
  /** In configuration order. */
  readonly targets: ReadonlyMap<string, TargetRow>;
  /** Oldest first, as all of the lists. */
  readonly seconds: readonly Sample[];
  readonly events: readonly EventRow[];
  readonly requests: readonly RequestRow[];
  readonly troubled: readonly RequestRow[];
  /** Requests that ended and were not told, since the Snapshot. */
  readonly skipped: number;
}

/** The last `kept` of two lists, without those that have been told before. */
function joined<T>(
  before: readonly T[],
  more: readonly T[],
  kept: number,
  key: (one: T) => string | number,
): readonly T[] {
  if (more.length === 0) return before;
  const known = new Set(before.slice(-Math.max(64, more.length)).map(key));
  const fresh = more.filter((one) => !known.has(key(one)));
  return fresh.length === 0 ? before : [...before, ...fresh].slice(-kept);
}

const byName = (targets: readonly TargetRow[]): Map<string, TargetRow> =>
  new Map(targets.map((row) => [row.target, row]));

/** The next world; the same one if the message changes nothing. */
export function apply(world: World | null, message: Message): World | null {
  switch (message.type) {
    case "snapshot":
      return {
        at: message.at,
        started: message.started,
        session: message.session,
        draining: message.draining,
        seen: message.seen,
        models: message.models,
        targets: byName(message.targets),
        seconds: message.seconds.slice(-KEPT_SECONDS),
        events: message.events.slice(-KEPT_EVENTS),
        requests: message.requests.slice(-KEPT_REQUESTS),
        troubled: message.troubled.slice(-KEPT_TROUBLED),
        skipped: 0,
      };
    case "tick": {
      if (world === null) return null;
      let targets = world.targets;
      if (message.targets.length > 0) {
        const next = new Map(world.targets);
        for (const row of message.targets) next.set(row.target, row);
        targets = next;
      }
      let models = world.models;
      if (message.models.length > 0) {
        const changed = new Map(message.models.map((row) => [row.model, row]));
        models = world.models.map((row) => changed.get(row.model) ?? row);
        const known = new Set(world.models.map((row) => row.model));
        models = [...models, ...message.models.filter((row) => !known.has(row.model))];
      }
      const oldest = message.sample.at - KEPT_SECONDS;
      const last = world.seconds.at(-1);
      const seconds =
        last !== undefined && last.at >= message.sample.at
          ? world.seconds
          : [...world.seconds, message.sample].filter((sample) => sample.at > oldest).slice(-KEPT_SECONDS);
      return {
        ...world,
        at: message.at,
        draining: message.draining,
        targets,
        models,
        seconds,
        requests: joined(world.requests, message.requests, KEPT_REQUESTS, (row) => row.id),
        troubled: joined(world.troubled, message.troubled, KEPT_TROUBLED, (row) => row.id),
        skipped: world.skipped + message.skipped,
      };
    }
    case "events":
      return world && { ...world, events: joined(world.events, message.events, KEPT_EVENTS, (row) => row.seq) };
  }
}
