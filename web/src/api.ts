// The calls of the admin API. Every one of them ends in a value or in a `Refusal` with a sentence for people.

import type { Sample, Session } from "./messages.ts";

export interface Report {
  readonly target: string;
  readonly ok: boolean;
  readonly health: string;
  readonly reason: string;
  readonly kind: string;
  readonly latency_ms: number | null;
  readonly detail: string;
  readonly advice: string;
  readonly cost_usd: number | null;
}

export interface Place {
  readonly target: string;
  /** 1 for the first choice, 0 for one that cannot be asked. */
  readonly place: number;
  readonly score: number | null;
  readonly factors: Readonly<Record<string, number>>;
  readonly dropped: string;
  readonly tier: number;
  readonly passed_over: string;
}

export interface Explanation {
  readonly model: string;
  readonly strategy: string;
  readonly measure: string;
  readonly kind: string;
  readonly needs: readonly string[];
  readonly priority: number;
  readonly prompt_tokens: number;
  readonly answer_tokens: number;
  readonly rows: readonly Place[];
}

export interface Question {
  readonly model: string;
  readonly prompt: string;
  readonly stream: boolean;
  readonly priority: number;
  readonly prefer: "cost" | "speed" | "quality" | null;
  readonly kind: string | null;
  readonly session: string;
}

export interface Configuration {
  readonly path: string | null;
  readonly text: string;
}

/** The gateway said no, or nothing at all (status 0). */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = "Refusal";
    this.status = status;
    this.code = code;
  }
}

const BASE = "/admin/api";

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(BASE + path, {
      method,
      credentials: "same-origin",
      cache: "no-store",
      ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
  } catch {
    throw new Refusal(0, "unreachable", "The gateway does not answer.");
  }
  const text = await answer.text().catch(() => "");
  const said = read(text);
  if (answer.ok) return said as T;
  const error = (said as { error?: { message?: unknown; code?: unknown } } | null)?.error;
  const message = typeof error?.message === "string" ? error.message : `The gateway answered ${answer.status}.`;
  throw new Refusal(answer.status, typeof error?.code === "string" ? error.code : "", message);
}

function read(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

export const api = {
  session: () => call<Session>("GET", "/session"),
  signIn: (key: string) => call<Session>("POST", "/session", { key }),
  signOut: () => call<null>("DELETE", "/session"),
  force: (target: string, state: "open" | "closed" | null) => call<null>("POST", "/breaker", { target, state }),
  check: (kind: "ping" | "generate", targets: readonly string[] | null) =>
    call<{ readonly reports: readonly Report[] }>("POST", "/checks", { kind, targets }),
  reload: () => call<{ readonly waiting_for_restart: readonly string[] }>("POST", "/reload"),
  explain: (question: Question) => call<Explanation>("POST", "/explain", question),
  configuration: () => call<Configuration>("GET", "/config"),
  history: () => call<{ readonly minutes: readonly Sample[] }>("GET", "/history"),
};

/** What to tell people of anything that was thrown. */
export const told = (problem: unknown): string =>
  problem instanceof Error ? problem.message : "Something went wrong here, in the page.";
