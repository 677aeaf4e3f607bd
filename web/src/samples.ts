// Values for tests: a message with everything at its default but for what a test is about.

import type { EventRow, RequestRow, Sample, Snapshot, TargetRow, Tick } from "./messages.ts";

export const sample = (at: number, more: Partial<Sample> = {}): Sample => ({
  at,
  seconds: 1,
  answered: 0,
  refused: 0,
  failed: 0,
  gone: 0,
  saved: 0,
  hedges: 0,
  mends: 0,
  prompt_tokens: 0,
  completion_tokens: 0,
  in_flight: 0,
  waiting: 0,
  first_token_ms: null,
  total_ms: null,
  answers: {},
  failures: {},
  ...more,
});

export const target = (name: string, more: Partial<TargetRow> = {}): TargetRow => ({
  target: name,
  state: "serving",
  breaker: "closed",
  health: "healthy",
  reason: "",
  advice: "",
  until: null,
  in_flight: 0,
  ceiling: null,
  first_token_ms: null,
  answered: 0,
  failed: 0,
  prompt_tokens: 0,
  completion_tokens: 0,
  keys: [],
  limits: [],
  check: null,
  ...more,
});

export const request = (id: string, more: Partial<RequestRow> = {}): RequestRow => ({
  id,
  at: 0,
  caller: "",
  model: "m",
  operation: "chat",
  status: 200,
  code: "",
  target: "a/m",
  stream: false,
  fallback: false,
  source: "",
  priority: 3,
  session: "",
  tags: [],
  first_token_ms: null,
  total_ms: 1,
  prompt_tokens: null,
  completion_tokens: null,
  attempts: [],
  ...more,
});

export const event = (seq: number, more: Partial<EventRow> = {}): EventRow => ({
  seq,
  at: seq,
  subject: "breaker",
  name: "a/m",
  before: "closed",
  after: "open",
  reason: "",
  until: null,
  where: "",
  ...more,
});

export const snapshot = (more: Partial<Snapshot> = {}): Snapshot => ({
  type: "snapshot",
  at: 1_000,
  started: 0,
  session: { name: "ops", role: "operator", open: false, version: "0", worker: 1, workers: 1 },
  draining: false,
  models: [],
  targets: [],
  seconds: [],
  events: [],
  requests: [],
  troubled: [],
  ...more,
});

export const tick = (at: number, more: Partial<Tick> = {}): Tick => ({
  type: "tick",
  at,
  draining: false,
  sample: sample(at),
  targets: [],
  models: [],
  requests: [],
  skipped: 0,
  troubled: [],
  ...more,
});
