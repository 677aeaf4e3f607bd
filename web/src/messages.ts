// Written by `python web/write_types.py` from standfast.console.messages: do not edit.

/** Of a number of durations, milliseconds. */
export interface Quantiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** What happened in one second, or in one minute. */
export interface Sample {
  readonly at: number;
  readonly seconds: number;
  readonly answered: number;
  readonly refused: number;
  readonly failed: number;
  readonly gone: number;
  readonly saved: number;
  readonly hedges: number;
  readonly mends: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly in_flight: number;
  readonly waiting: number;
  readonly first_token_ms: Quantiles | null;
  readonly total_ms: Quantiles | null;
  readonly answers: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
}

/** How much of a limit is left. */
export interface Gauge {
  readonly name: string;
  readonly left: number;
  readonly size: number;
  readonly learned: boolean;
}

/** One upstream key at one target. */
export interface KeyRow {
  readonly index: number;
  readonly state: "free" | "quarantined" | "resting";
  readonly until: number | null;
  readonly in_flight: number;
  readonly limits: readonly Gauge[];
}

/** The newest health check of one target. */
export interface CheckRow {
  readonly kind: string;
  readonly ok: boolean;
  readonly at: number;
  readonly latency_ms: number | null;
  readonly detail: string;
  readonly cost_usd: number | null;
}

/** How one target is. */
export interface TargetRow {
  readonly target: string;
  readonly state: "degraded" | "open" | "resting" | "serving" | "trying" | "unhealthy" | "unknown";
  readonly breaker: string;
  readonly health: string;
  readonly reason: string;
  readonly advice: string;
  readonly until: number | null;
  readonly in_flight: number;
  readonly ceiling: number | null;
  readonly first_token_ms: number | null;
  readonly answered: number;
  readonly failed: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly keys: readonly KeyRow[];
  readonly limits: readonly Gauge[];
  readonly check: CheckRow | null;
}

/** A target in a model's list. */
export interface Placed {
  readonly target: string;
  readonly tier: number;
  readonly weight: number;
}

/** What clients may name, and who can serve it, in the order written. */
export interface ModelRow {
  readonly model: string;
  readonly strategy: string;
  readonly status: "degraded" | "healthy" | "unhealthy";
  readonly targets: readonly Placed[];
}

/** A state that changed; see `canon.record.Change`. */
export interface EventRow {
  readonly seq: number;
  readonly at: number;
  readonly subject: string;
  readonly name: string;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
  readonly until: number | null;
  readonly where: string;
  readonly worker: number;
}

/** One upstream attempt of a request. Milliseconds count from the request's arrival. */
export interface AttemptRow {
  readonly target: string;
  readonly outcome: string;
  readonly started_ms: number;
  readonly ended_ms: number;
  readonly first_content_ms: number | null;
  readonly kind: string;
  readonly detail: string;
  readonly purpose: string;
}

/** A request that got its outcome; see `canon.record.RequestRecord`. */
export interface RequestRow {
  readonly id: string;
  readonly at: number;
  readonly caller: string;
  readonly model: string;
  readonly operation: string;
  readonly status: number;
  readonly code: string;
  readonly target: string;
  readonly stream: boolean;
  readonly fallback: boolean;
  readonly source: string;
  readonly priority: number;
  readonly session: string;
  readonly tags: readonly string[];
  readonly first_token_ms: number | null;
  readonly total_ms: number;
  readonly prompt_tokens: number | null;
  readonly completion_tokens: number | null;
  readonly attempts: readonly AttemptRow[];
}

/** Who looks, and at what. */
export interface Session {
  readonly name: string;
  readonly role: "operator" | "viewer";
  readonly open: boolean;
  readonly version: string;
  readonly worker: number;
  readonly workers: number;
}

/** Everything, at once: the first message, and again after a reload or when the reader was too slow for ticks. */
export interface Snapshot {
  readonly type: "snapshot";
  readonly at: number;
  readonly started: number;
  readonly session: Session;
  readonly draining: boolean;
  readonly models: readonly ModelRow[];
  readonly targets: readonly TargetRow[];
  readonly seconds: readonly Sample[];
  readonly events: readonly EventRow[];
  readonly requests: readonly RequestRow[];
  readonly troubled: readonly RequestRow[];
  readonly seen: number;
}

/** What changed in the last second. */
export interface Tick {
  readonly type: "tick";
  readonly at: number;
  readonly draining: boolean;
  readonly sample: Sample;
  readonly targets: readonly TargetRow[];
  readonly models: readonly ModelRow[];
  readonly requests: readonly RequestRow[];
  readonly skipped: number;
  readonly troubled: readonly RequestRow[];
}

/** States that changed, told at once. */
export interface Events {
  readonly type: "events";
  readonly events: readonly EventRow[];
}

/** What comes over the websocket; `type` tells which. */
export type Message = Snapshot | Tick | Events;
