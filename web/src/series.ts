// From samples to what charts and figures show.
//
// Samples are seconds (live) or minutes (history); each says how long it was, so sums divided by seconds are rates
// whatever the mixture. Bins stand on multiples of their width, so that a bar does not change its shape while it moves
// to the left.

import type { Quantiles, Sample } from "./messages.ts";

/** A number of samples as one. */
export interface Bin {
  /** Its end, Unix seconds. */
  readonly at: number;
  readonly seconds: number;
  readonly answered: number;
  readonly refused: number;
  readonly failed: number;
  readonly gone: number;
  readonly saved: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly answers: ReadonlyMap<string, number>;
  readonly failures: ReadonlyMap<string, number>;
  readonly first_token_ms: Quantiles | null;
}

/** The samples of the last `seconds` before `now`. */
export const since = (samples: readonly Sample[], now: number, seconds: number): readonly Sample[] => {
  let first = samples.length;
  while (first > 0 && samples[first - 1]!.at > now - seconds) first -= 1;
  return samples.slice(first);
};

function add(into: Map<string, number>, more: Readonly<Record<string, number>>): void {
  for (const name in more) into.set(name, (into.get(name) ?? 0) + more[name]!);
}

/** All of them as one bin that ends at `at`. */
export function total(samples: readonly Sample[], at: number): Bin {
  const sum = { seconds: 0, answered: 0, refused: 0, failed: 0, gone: 0, saved: 0 };
  let [promptTokens, completionTokens] = [0, 0];
  const answers = new Map<string, number>();
  const failures = new Map<string, number>();
  for (const sample of samples) {
    sum.seconds += sample.seconds;
    sum.answered += sample.answered;
    sum.refused += sample.refused;
    sum.failed += sample.failed;
    sum.gone += sample.gone;
    sum.saved += sample.saved;
    promptTokens += sample.prompt_tokens;
    completionTokens += sample.completion_tokens;
    add(answers, sample.answers);
    add(failures, sample.failures);
  }
  return {
    at,
    ...sum,
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    answers,
    failures,
    first_token_ms: mixture(samples),
  };
}

/** Bins of `width` seconds, oldest first; a stretch without samples has no bin. */
export function bins(samples: readonly Sample[], width: number): Bin[] {
  const found: Bin[] = [];
  let first = 0;
  const slot = (sample: Sample): number => Math.ceil(sample.at / width - 1e-6);
  for (let next = 1; next <= samples.length; next += 1) {
    if (next < samples.length && slot(samples[next]!) === slot(samples[first]!)) continue;
    found.push(total(samples.slice(first, next), slot(samples[first]!) * width));
    first = next;
  }
  return found;
}

/**
 * Quantiles of several samples together, estimated: each sample is taken for a distribution that is linear between 0,
 * p50, p95 and p99, weighted by its answers, and the mixture is searched for its own quantiles. Exact if all samples are
 * alike; the 99th never exceeds the worst one's.
 */
export function mixture(samples: readonly Sample[]): Quantiles | null {
  const heard = samples.filter((sample) => sample.first_token_ms !== null);
  if (heard.length === 0) return null;
  if (heard.length === 1) return heard[0]!.first_token_ms;
  const weights = heard.map((sample) => Math.max(1, sample.answered));
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  const top = Math.max(...heard.map((sample) => sample.first_token_ms!.p99));
  const below = (value: number): number =>
    heard.reduce((sum, sample, index) => sum + weights[index]! * reached(sample.first_token_ms!, value), 0) / whole;
  const quantile = (wanted: number): number => {
    let [low, high] = [0, top];
    for (let step = 0; step < 24; step += 1) {
      const middle = (low + high) / 2;
      if (below(middle) < wanted) low = middle;
      else high = middle;
    }
    return high;
  };
  return { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) };
}

/** The share of a sample that lies at or below a value. */
function reached({ p50, p95, p99 }: Quantiles, value: number): number {
  if (value >= p99) return 0.99 + (value > p99 ? 0.01 : 0);
  if (value >= p95) return 0.95 + (0.04 * (value - p95)) / (p99 - p95);
  if (value >= p50) return 0.5 + (0.45 * (value - p50)) / (p95 - p50);
  return p50 > 0 ? (0.5 * value) / p50 : 0;
}

/** Requests that had an outcome that is ours: the client's own faults and those who left are nobody's failure. */
export const judged = (bin: Pick<Bin, "answered" | "failed">): number => bin.answered + bin.failed;

export const requests = (bin: Pick<Bin, "answered" | "refused" | "failed" | "gone">): number =>
  bin.answered + bin.refused + bin.failed + bin.gone;

/** The busiest names, at most `most`, in the order of `all`. */
export function busiest(sums: ReadonlyMap<string, number>, all: Iterable<string>, most: number): string[] {
  const ranked = [...sums].filter(([, sum]) => sum > 0).sort(([, left], [, right]) => right - left);
  const chosen = new Set(ranked.slice(0, most).map(([name]) => name));
  const order = [...all, ...chosen];
  return [...new Set(order)].filter((name) => chosen.has(name));
}

/** Each layer upon the sum of those before it. A layer without a value (null) leaves a gap. */
export function stacked(layers: readonly (readonly (number | null)[])[]): (number | null)[][] {
  const height: number[] = [];
  return layers.map((layer) =>
    layer.map((value, index) => {
      if (value === null) return null;
      height[index] = (height[index] ?? 0) + value;
      return height[index]!;
    }),
  );
}
