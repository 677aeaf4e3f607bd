// Who is asked for what just now: the figures behind the flow map, without any geometry.
//
// Samples tell rates by target; which model the answers were for is told only by the requests themselves, of which the
// page sees as many as anybody can read. So each target's rate is split among models as the requests seen last were;
// where none was seen, it belongs to the model that lists the target first.

import type { ModelRow, RequestRow, Sample } from "./messages.ts";
import { since, total } from "./series.ts";

/** Seconds over which a current rate is taken. */
export const NOW = 8;

export interface Link {
  readonly model: string;
  readonly target: string;
  /** Answers per second. */
  readonly rate: number;
  /** Failed attempts per second. */
  readonly failing: number;
}

export interface Flow {
  /** Requests per second, whatever they came to. */
  readonly arriving: number;
  /** The largest sum of `rate` and `failing` in the last five minutes: the scale of the widths. */
  readonly peak: number;
  readonly models: readonly string[];
  readonly targets: readonly string[];
  readonly links: readonly Link[];
  /** Models and targets that have no place on the map. */
  readonly moreModels: number;
  readonly moreTargets: readonly string[];
}

/** Stands for all that have no place of their own. */
export const OTHERS = "";

interface Known {
  readonly models: readonly ModelRow[];
  readonly targets: Iterable<string>;
  readonly seconds: readonly Sample[];
  readonly requests: readonly RequestRow[];
}

const sum = (numbers: Iterable<number>): number => {
  let whole = 0;
  for (const number of numbers) whole += number;
  return whole;
};

/** The mean over `NOW` seconds, of the highest such stretch in five minutes. */
function peakOf(seconds: readonly Sample[], now: number): number {
  const recent = since(seconds, now, 300);
  let [best, first, attempts, lasted] = [0, 0, 0, 0];
  const of = (sample: Sample): number => sum(Object.values(sample.answers)) + sum(Object.values(sample.failures));
  recent.forEach((sample) => {
    attempts += of(sample);
    lasted += sample.seconds;
    while (recent[first]!.at <= sample.at - NOW) {
      attempts -= of(recent[first]!);
      lasted -= recent[first]!.seconds;
      first += 1;
    }
    best = Math.max(best, attempts / Math.max(lasted, NOW));
  });
  return best;
}

/** How often each model was served, or let down, by each target, of the requests seen last. */
function tally(requests: readonly RequestRow[]): Map<string, Map<string, number>> {
  const found = new Map<string, Map<string, number>>();
  for (const request of requests.slice(-200)) {
    for (const attempt of request.attempts) {
      const models = found.get(attempt.target) ?? new Map<string, number>();
      found.set(attempt.target, models.set(request.model, (models.get(request.model) ?? 0) + 1));
    }
  }
  return found;
}

/**
 * The map at `now`.
 *
 * Whoever has no place is summed up under `OTHERS`. Places go to the busiest of the last five minutes, the last seconds
 * counting twenty times, so that a target that takes over comes in at once and a quiet one does not flicker.
 */
export function flow(known: Known, now: number, most: { readonly models: number; readonly targets: number }): Flow {
  const recent = total(since(known.seconds, now, NOW), now);
  // Who was asked just now is on the map, even if the configuration does not name it any more.
  const names = [...new Set([...known.targets, ...recent.answers.keys(), ...recent.failures.keys()])];
  const long = total(since(known.seconds, now, 300), now);
  const lasted = Math.max(recent.seconds, 1);
  const weight = (target: string): number =>
    (long.answers.get(target) ?? 0) +
    (long.failures.get(target) ?? 0) +
    20 * ((recent.answers.get(target) ?? 0) + (recent.failures.get(target) ?? 0));

  const seats = names.length > most.targets ? most.targets - 1 : names.length;
  const order = new Map(names.map((name, index) => [name, index]));
  const ranked = [...names].sort((a, b) => weight(b) - weight(a) || order.get(a)! - order.get(b)!);
  const shown = new Set(ranked.slice(0, seats));
  const moreTargets = names.filter((name) => !shown.has(name));

  const seen = tally(known.requests);
  const lists = new Map<string, string>(); // target -> the model that lists it first, in its best tier
  for (const tier of [1, 2, 3, 4, 5, 6, 7, 8]) {
    for (const row of known.models) {
      for (const placed of row.targets) {
        if (placed.tier <= tier && !lists.has(placed.target)) lists.set(placed.target, row.model);
      }
    }
  }

  const links = new Map<string, { model: string; target: string; rate: number; failing: number }>();
  const put = (model: string, target: string, rate: number, failing: number): void => {
    const key = `${model}\n${target}`;
    const link = links.get(key) ?? { model, target, rate: 0, failing: 0 };
    link.rate += rate;
    link.failing += failing;
    links.set(key, link);
  };
  const perModel = new Map<string, number>();
  const split: [string, string, number, number][] = [];
  for (const target of new Set([...recent.answers.keys(), ...recent.failures.keys()])) {
    const rate = (recent.answers.get(target) ?? 0) / lasted;
    const failing = (recent.failures.get(target) ?? 0) / lasted;
    const shares = seen.get(target) ?? new Map([[lists.get(target) ?? OTHERS, 1]]);
    const whole = sum(shares.values());
    for (const [model, part] of shares) {
      split.push([model, target, (rate * part) / whole, (failing * part) / whole]);
      perModel.set(model, (perModel.get(model) ?? 0) + ((rate + failing) * part) / whole);
    }
  }

  const allModels = [...new Set([...known.models.map((row) => row.model), ...perModel.keys()])].filter(Boolean);
  const modelSeats = allModels.length > most.models ? most.models - 1 : allModels.length;
  const place = new Map(allModels.map((name, index) => [name, index]));
  const rankedModels = [...allModels].sort(
    (a, b) => (perModel.get(b) ?? 0) - (perModel.get(a) ?? 0) || place.get(a)! - place.get(b)!,
  );
  const shownModels = new Set(rankedModels.slice(0, modelSeats));
  for (const [model, target, rate, failing] of split) {
    put(shownModels.has(model) ? model : OTHERS, shown.has(target) ? target : OTHERS, rate, failing);
  }

  return {
    arriving: (recent.answered + recent.refused + recent.failed + recent.gone) / lasted,
    peak: peakOf(known.seconds, now),
    models: allModels.filter((name) => shownModels.has(name)),
    targets: names.filter((name) => shown.has(name)),
    links: [...links.values()],
    moreModels: allModels.length - shownModels.size + (perModel.has(OTHERS) ? 1 : 0),
    moreTargets,
  };
}
