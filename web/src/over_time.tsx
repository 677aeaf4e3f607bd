// The last quarter of an hour, or day, in three charts with one cursor.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, told } from "./api.ts";
import { Chart, pointed, type Layer } from "./chart.tsx";
import { amount, clock, lasting, NONE, plural, word, written } from "./format.ts";
import type { EventRow, Sample } from "./messages.ts";
import { Choice } from "./parts.tsx";
import { colourOf, paint } from "./paint.ts";
import { bins, busiest, total, type Bin } from "./series.ts";
import { world } from "./store.ts";
import { dark } from "./theme.ts";

type Range = "15" | "24";
const range = signal<Range>("15");
const minutes = signal<readonly Sample[] | null>(null);
const problem = signal("");

const BIN: Readonly<Record<Range, number>> = { "15": 10, "24": 300 };
const LONG: Readonly<Record<Range, number>> = { "15": 900, "24": 86_400 };
const MOST_LAYERS = 8;

async function load(): Promise<void> {
  try {
    minutes.value = (await api.history()).minutes;
    problem.value = "";
  } catch (thrown) {
    problem.value = told(thrown);
  }
}

export function Charts() {
  const known = world.value!;
  const chosen = range.value;
  useEffect(() => {
    if (chosen !== "24") return;
    void load();
    const timer = window.setInterval(() => void load(), 60_000);
    return () => clearInterval(timer);
  }, [chosen]);

  const samples = chosen === "15" ? known.seconds : (minutes.value ?? []);
  const found = bins(samples, BIN[chosen]);
  // A bin that has just begun would jump about: it is told when half of it has passed.
  const row = found.length > 1 && found.at(-1)!.seconds < BIN[chosen] / 2 ? found.slice(0, -1) : found;
  const [from, to] = [known.at - LONG[chosen], known.at];
  const times = row.map((bin) => Math.min(bin.at, to));
  const per = (pick: (bin: Bin) => number): number[] => row.map((bin) => pick(bin) / Math.max(bin.seconds, 0.5));
  const { css } = paint();
  void dark.value; // colours below are read anew when it changes

  const sums = total(samples, to).answers;
  const named = busiest(sums, known.targets.keys(), sums.size > MOST_LAYERS + 1 ? MOST_LAYERS : MOST_LAYERS + 1);
  const rest = new Set([...sums.keys()].filter((name) => !named.includes(name)));
  const answered: Layer[] = named.map((name) => ({
    name,
    target: true,
    colour: colourOf(name),
    values: per((bin) => bin.answers.get(name) ?? 0),
  }));
  if (rest.size > 0) {
    const others = (bin: Bin): number => [...rest].reduce((sum, name) => sum + (bin.answers.get(name) ?? 0), 0);
    answered.push({ name: `${rest.size} more`, colour: css("--chart-rest"), values: per(others) });
  }
  const quantile = (which: "p50" | "p95" | "p99"): (number | null)[] =>
    row.map((bin) => bin.first_token_ms?.[which] ?? null);
  const common = { times, from, to, events: known.events.filter((event) => event.at >= from) };
  const perSecond = (value: number): string => amount(value);
  const ms = (value: number): string => written(lasting(value));
  const empty = chosen === "24" && minutes.value === null ? problem.value || "Loading…" : "No request in this time.";
  const unheard = row.some((bin) => bin.answered > 0) ? "No stream in this time; whole replies have no first token." : empty;
  return (
    <section class="charts" aria-label="Over time">
      <header>
        <h2>Over time</h2>
        <Pointed events={common.events} span={LONG[chosen]} />
        <Choice
          label="Time range"
          value={chosen}
          onChange={(value) => (range.value = value)}
          options={[
            ["15", "15 min"],
            ["24", "24 h"],
          ]}
        />
      </header>
      <div class="chart-row">
        <Chart
          {...common}
          testid="chart-answers"
          title="Who answered"
          unit="answers/s"
          stack
          layers={answered}
          format={perSecond}
          empty={empty}
        />
        <Chart
          {...common}
          testid="chart-outcomes"
          title="What became of requests"
          unit="requests/s"
          stack
          layers={[
            { name: "answered", colour: css("--chart-good"), values: per((bin) => bin.answered) },
            { name: "client’s fault", colour: css("--chart-refused"), values: per((bin) => bin.refused) },
            { name: "client left", colour: css("--chart-gone"), values: per((bin) => bin.gone) },
            { name: "failed", colour: css("--bad"), values: per((bin) => bin.failed) },
          ]}
          format={perSecond}
          empty={empty}
        />
        <Chart
          {...common}
          testid="chart-first-token"
          title="First token"
          unit={chosen === "24" ? "of each minute’s worst second" : "time until it came"}
          stack={false}
          layers={[
            { name: "p50", colour: css("--line-a"), values: quantile("p50") },
            { name: "p95", colour: css("--line-b"), values: quantile("p95") },
            { name: "p99", colour: css("--line-c"), values: quantile("p99") },
          ]}
          format={ms}
          empty={unheard}
        />
      </div>
    </section>
  );
}

/** What is under the pointer: the instant, and the change of state nearest to it. */
function Pointed({ events, span }: { readonly events: readonly EventRow[]; readonly span: number }) {
  const at = pointed.value;
  if (at === null) {
    return (
      <p class="pointed">{events.length > 0 && `${plural(events.length, "change")} of state, marked on the axis`}</p>
    );
  }
  const near = events.filter((event) => Math.abs(event.at - at) < span * 0.008).at(-1);
  return (
    <p class="pointed">
      <time>{clock(at)}</time>{" "}
      {near && (
        <>
          · {near.subject} {near.name}: {word(near.before) || NONE} → <b>{word(near.after)}</b> ({near.reason})
        </>
      )}
    </p>
  );
}
