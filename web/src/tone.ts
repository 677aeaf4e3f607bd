// Good, bad or neutral: of an event, a request, a target, and of everything together.

import type { EventRow, RequestRow, TargetRow } from "./messages.ts";

export type Tone = "good" | "bad" | "neutral";

const AFTER: Readonly<Record<string, Tone>> = {
  closed: "good",
  healthy: "good",
  up: "good",
  available: "good",
  free: "good",
  full: "good",
  heard: "good",
  off: "good",
  reloaded: "good",
  open: "bad",
  forced_open: "bad",
  degraded: "bad",
  unhealthy: "bad",
  down: "bad",
  resting: "bad",
  quarantined: "bad",
  silent: "bad",
  on: "bad",
  spent: "bad",
  refused: "bad",
};

/** By what the state is now; a word that is not known takes no side, nor does one that is bad and was worse. */
export const toneOf = (event: Pick<EventRow, "before" | "after">): Tone =>
  event.before === "unhealthy" && event.after === "degraded" ? "neutral" : (AFTER[event.after] ?? "neutral");

export type State = TargetRow["state"];

export interface StateWords {
  readonly word: string;
  readonly means: string;
  readonly tone: Tone;
}

export const STATES: Readonly<Record<State, StateWords>> = {
  serving: { word: "serving", means: "asked as usual", tone: "good" },
  degraded: { word: "degraded", means: "asked, but slower or less reliable than it should be", tone: "bad" },
  trying: { word: "trying", means: "on trial, or getting its share back", tone: "neutral" },
  resting: {
    word: "resting",
    means: "waits for the end of a rate limit, a quarantine or a retry-after",
    tone: "neutral",
  },
  unhealthy: { word: "unhealthy", means: "asked only if nobody else can be", tone: "bad" },
  open: { word: "open", means: "its breaker is open: it is left alone", tone: "bad" },
  unknown: { word: "unknown", means: "nothing is known of it yet; it is asked", tone: "neutral" },
};

/** Is it asked like any other, as far as we know? */
export const well = (target: TargetRow): boolean => target.state === "serving" || target.state === "unknown";

export type RequestTone = "answered" | "saved" | "refused" | "gone" | "failed";

/** What a request came to, in the classes that the charts stack. */
export function requestTone(request: RequestRow): RequestTone {
  if (request.status === 499) return "gone";
  if (request.status >= 500 || request.status === 429) return "failed";
  if (request.status >= 400) return "refused";
  const stumbled = request.attempts.some((attempt) => attempt.outcome === "failure");
  return request.fallback || stumbled || (request.source !== "" && request.source !== "cache") ? "saved" : "answered";
}

export type Weather = "idle" | "good" | "warn" | "bad";

/**
 * Everything in a word, for the title, the favicon and the headline. Failed requests weigh most: a target that is out
 * while others answer is a warning, however many they are.
 */
export function weather(answered: number, failed: number, targets: Iterable<TargetRow>): Weather {
  const asked = answered + failed;
  const rows = [...targets];
  if (asked > 0 && failed / asked >= 0.01) return "bad";
  if (rows.length > 0 && rows.every((row) => row.state === "open")) return "bad";
  if (failed > 0 || rows.some((row) => !well(row))) return "warn";
  return asked > 0 ? "good" : "idle";
}
