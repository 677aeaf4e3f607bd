// The page's state as signals, and the connection that moves it on.
//
//   starting ──▶ live ◀──▶ reconnecting        closed: nobody may look (sign-in, or no console is configured)
//       └──────────┴────────────┴──▶ closed ──▶ starting, after signing in

import { computed, signal } from "@preact/signals";
import { api, Refusal, told } from "./api.ts";
import { pause } from "./backoff.ts";
import type { Message, Session } from "./messages.ts";
import { apply, type World } from "./state.ts";
import { since, total } from "./series.ts";
import { weather } from "./tone.ts";

export type Gate =
  | { readonly kind: "starting" }
  | { readonly kind: "in"; readonly session: Session }
  | { readonly kind: "signin"; readonly message: string }
  | { readonly kind: "shut"; readonly message: string };

export const gate = signal<Gate>({ kind: "starting" });
export const connection = signal<"live" | "reconnecting" | "closed">("closed");
/** The last message's instant, by the gateway's clock; the page is stale since then. */
export const heardAt = signal(0);
export const world = signal<World | null>(null);

/** By the gateway's clock: ours may be wrong by minutes. */
let ahead = 0;
const clockNow = (): number => Date.now() / 1000 + ahead;
export const now = signal(clockNow());
/** The same in whole seconds, for what need not run more often. */
export const second = computed(() => Math.floor(now.value));

/** While the connection is down, time stands still for everything but the words that say so. */
export const stale = computed(() => connection.value !== "live" && world.value !== null);

export const lately = computed(() => {
  const known = world.value;
  return known && total(since(known.seconds, known.at, 300), known.at);
});

export const sky = computed(() => {
  const known = world.value;
  const sum = lately.value;
  return known && sum ? weather(sum.answered, sum.failed, known.targets.values()) : "idle";
});

export const mayAct = computed(() => world.value?.session.role === "operator" && connection.value === "live");

const CODE_SIGNED_OUT = 4401; // or the console was shut, or switched off: the session tells
const CODE_OFF = "console_off";
const SILENCE = 10_000; // ticks come each second; ten of them missing is a connection that nobody has closed

let socket: WebSocket | null = null;
let attempt = 0;
let timer = 0;
let heard = 0;

/** Ask who we are, then listen; `ended` is what to say to who has to sign in again. */
export async function begin(ended = ""): Promise<void> {
  clearTimeout(timer);
  try {
    gate.value = { kind: "in", session: await api.session() };
  } catch (problem) {
    refused(problem, ended);
    return;
  }
  listen();
}

function refused(problem: unknown, ended: string): void {
  if (problem instanceof Refusal && problem.status === 401) {
    leave({ kind: "signin", message: ended });
  } else if (problem instanceof Refusal && (problem.status === 403 || problem.code === CODE_OFF)) {
    leave({ kind: "shut", message: told(problem) });
  } else {
    again();
  }
}

function leave(to: Gate): void {
  clearTimeout(timer);
  hangUp();
  gate.value = to;
  connection.value = "closed";
  world.value = null;
}

function hangUp(): void {
  const old = socket;
  socket = null;
  old?.close();
}

function again(): void {
  hangUp();
  connection.value = "reconnecting";
  clearTimeout(timer);
  timer = window.setTimeout(() => void begin(), pause(attempt, Math.random()));
  attempt += 1;
}

function listen(): void {
  hangUp();
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(`${scheme}//${location.host}/admin/ws`);
  socket = mine;
  heard = performance.now();
  mine.onmessage = (event: MessageEvent<string>) => {
    if (mine === socket) hear(JSON.parse(event.data) as Message);
  };
  mine.onclose = (event) => {
    if (mine !== socket) return; // we have left it ourselves
    socket = null;
    if (event.code === CODE_SIGNED_OUT) {
      connection.value = "reconnecting";
      void begin("Your session has ended. Sign in again to go on.");
    } else {
      again(); // which asks for the session first: a socket that was refused does not tell why
    }
  };
}

function hear(message: Message): void {
  heard = performance.now();
  if (message.type !== "events") {
    const lead = message.at - Date.now() / 1000;
    ahead = message.type === "snapshot" || Math.abs(lead - ahead) > 2 ? lead : Math.max(ahead - 0.001, lead);
    heardAt.value = message.at;
  }
  if (message.type === "snapshot") {
    attempt = 0;
    connection.value = "live";
    gate.value = { kind: "in", session: message.session };
  }
  world.value = apply(world.value, message);
}

export async function signIn(key: string): Promise<void> {
  try {
    await api.signIn(key);
  } catch (problem) {
    gate.value = { kind: "signin", message: told(problem) };
    return;
  }
  gate.value = { kind: "starting" };
  attempt = 0;
  await begin();
}

export async function signOut(): Promise<void> {
  try {
    await api.signOut();
  } finally {
    leave({ kind: "signin", message: "" });
  }
}

/** The clock of countdowns, and the ear for a connection that has died in silence. */
export function startClock(): void {
  window.setInterval(() => {
    if (!document.hidden) now.value = clockNow();
    if (socket?.readyState === WebSocket.OPEN && performance.now() - heard > SILENCE) again();
  }, 250);
}
