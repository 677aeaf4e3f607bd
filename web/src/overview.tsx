// Does the door stay open? One look.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, told } from "./api.ts";
import { Chart, pointed, type Layer } from "./chart.tsx";
import { EventLine } from "./events.tsx";
import { FlowMap } from "./flowmap.tsx";
import { amount, clock, count, lasting, NONE, plural, rate, share, word, written, type Figure } from "./format.ts";
import type { Sample, TargetRow } from "./messages.ts";
import { Amount, Choice } from "./parts.tsx";
import { colourOf, paint } from "./paint.ts";
import { link } from "./route.ts";
import { bins, busiest, judged, mixture, requests, saved, since, total, type Bin } from "./series.ts";
import { lately, sky, stale, world } from "./store.ts";
import { dark } from "./theme.ts";
import { well } from "./tone.ts";

export function Overview() {
  return (
    <>
      <h1 class="unseen">Overview</h1>
      <Hero />
      <FlowMap />
      <Charts />
      <Latest />
    </>
  );
}

// --- the headline ---

function Hero() {
  const known = world.value!;
  const five = lately.value!;
  const ten = total(since(known.seconds, known.at, 10), known.at);
  const minute = since(known.seconds, known.at, 60);
  const first = mixture(minute);
  const last = known.seconds.at(-1);
  const asked = judged(five);
  const spent = Math.max(ten.seconds, 1);
  const spark = (of: (sample: Sample) => number | null): readonly (number | null)[] => calmed(minute.map(of));
  return (
    <section class="hero" data-mood={stale.value ? "idle" : sky.value} aria-label="The last five minutes">
      <div class="hero-main">
        <p class="headline">{headline(five)}</p>
        <p class="hero-share">
          <span data-testid="hero-success" class="hero-figure">
            <Amount of={share(five.answered, asked)} />
          </span>
          <span class="hero-caption">
            {asked > 0 ? (
              <>
                answered, of {plural(asked, "request")} in 5 min
                <br />
                {five.failed > 0 ? <b class="bad-text">{count(five.failed)} failed</b> : "none failed"}
                {five.refused > 0 && <> · {count(five.refused)} the client’s own fault</>}
              </>
            ) : (
              "no request in the last 5 min"
            )}
          </span>
        </p>
        <Strip seconds={known.seconds} now={known.at} />
        <p class="hero-story">
          {story([...known.targets.values()], ten)}
          {known.requests.length === 0 && asked === 0 && (
            <>
              {" "}
              No request yet: <a href={link("requests")} class="linked">try one</a>.
            </>
          )}
        </p>
      </div>
      <dl class="readouts">
        <Readout name="requests" of={rate(requests(ten) / spent)} note="last 10 s" spark={spark(requests)} testid="hero-rate" />
        <Readout
          name="first token"
          of={lasting(first?.p50)}
          note={<>p95 <b>{written(lasting(first?.p95))}</b>, last minute</>}
          spark={spark((sample) => sample.first_token_ms?.p50 ?? null)}
          testid="hero-first-token"
        />
        <Readout
          name="in flight"
          of={{ value: count(last?.in_flight ?? 0), unit: "requests" }}
          note={last?.waiting ? <b class="warn-text">{count(last.waiting)} waiting in line</b> : "none waiting in line"}
          spark={spark((sample) => sample.in_flight)}
          testid="hero-in-flight"
        />
        <Readout
          name="saved by failover"
          of={{ value: count(saved(five)), unit: saved(five) === 1 ? "request" : "requests" }}
          note="5 min; the first choice failed them"
          spark={spark((sample) => sample.failovers)}
          testid="hero-saved"
        />
        <Readout
          name="tokens out"
          of={rate(ten.completion_tokens / spent)}
          note={<>in <b>{written(rate(ten.prompt_tokens / spent))}</b></>}
          spark={spark((sample) => sample.completion_tokens)}
          testid="hero-tokens"
        />
        <Readout
          name="targets"
          of={{ value: count([...known.targets.values()].filter(well).length), unit: `of ${count(known.targets.size)}` }}
          note={<a href={link("targets")}>serving as usual</a>}
          testid="hero-targets"
        />
      </dl>
    </section>
  );
}

function headline(five: Bin): string {
  if (stale.value) return "Out of touch.";
  const asked = judged(five);
  if (asked === 0) return sky.value === "warn" ? "The door is open, with trouble behind it." : "The door is open.";
  const lost = five.failed / asked;
  if (five.failed === 0) return "The door stays open.";
  if (lost < 0.01) return "The door stays open, nearly for all.";
  if (lost < 0.2) return "Requests are failing.";
  return lost < 0.999 ? "The door is closing." : "The door is closed.";
}

/** What there is to say about targets, in one sentence. */
function story(rows: readonly TargetRow[], ten: Bin): string {
  if (rows.length === 0) return "No target is configured.";
  const ill = rows.filter((row) => !well(row));
  const heard = [...ten.answers].sort(([, left], [, right]) => right - left)[0]?.[0];
  if (ill.length === 0) {
    if (!heard) return rows.length === 1 ? "Its target is ready." : `All ${rows.length} targets are ready.`;
    return rows.length === 1 ? "Its target serves as usual." : `All ${rows.length} targets serve as usual.`;
  }
  const names = ill.slice(0, 2).map((row) => `${row.target} is ${row.state === "open" ? "out" : row.state}${row.reason ? ` (${row.reason})` : ""}`);
  const more = ill.length > 2 ? `, and ${ill.length - 2} more are not as they should be` : "";
  const instead = heard && ill.some((row) => row.state === "open") ? ` Most is answered by ${heard}.` : "";
  return `${names.join("; ")}${more}.${instead}`;
}

/** A quarter of an hour in bars of ten seconds: what was answered, and what failed from the top down. */
function Strip({ seconds, now }: { readonly seconds: readonly Sample[]; readonly now: number }) {
  const width = 10;
  const [slots, bar] = [90, 4];
  const first = Math.ceil(now / width) - slots;
  let [good, bad, none] = ["", "", ""];
  const found = new Map(bins(seconds, width).map((bin) => [Math.round(bin.at / width), bin]));
  for (let slot = 1; slot <= slots; slot += 1) {
    const bin = found.get(first + slot);
    const asked = bin ? judged(bin) : 0;
    const x = (slot - 1) * bar;
    const lost = asked > 0 ? Math.max(bin!.failed > 0 ? 3 : 0, (20 * bin!.failed) / asked) : 0;
    if (asked === 0) none += `M${x} 9h3v2h-3z`;
    else if (lost < 20) good += `M${x} ${lost.toFixed(1)}h3V20h-3z`;
    if (lost > 0) bad += `M${x} 0h3v${lost.toFixed(1)}h-3z`;
  }
  return (
    <svg class="strip" viewBox={`0 0 ${slots * bar - 1} 20`} preserveAspectRatio="none" role="img" aria-label="Answered and failed requests over the last 15 minutes">
      <path class="none" d={none} />
      <path class="good" d={good} />
      <path class="bad" d={bad} />
    </svg>
  );
}

interface ReadoutProps {
  readonly name: string;
  readonly of: Figure;
  readonly note: preact.ComponentChildren;
  readonly testid: string;
  readonly spark?: readonly (number | null)[];
}

const Readout = ({ name, of, note, spark, testid }: ReadoutProps) => (
  <div class="readout" data-testid={testid}>
    <dt>{name}</dt>
    <dd class="readout-figure">
      <Amount of={of} />
    </dd>
    <dd class="readout-note">{note}</dd>
    {spark && <Spark values={spark} />}
  </div>
);

/** The mean of three neighbours each: the course, not the noise. */
const calmed = (values: readonly (number | null)[]): (number | null)[] =>
  values.map((_, index) => {
    const near = values.slice(Math.max(0, index - 2), index + 1).filter((value) => value !== null);
    return near.length > 0 ? near.reduce((sum, value) => sum + value, 0) / near.length : null;
  });

function Spark({ values }: { readonly values: readonly (number | null)[] }) {
  const top = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const step = 100 / 59;
  let [path, pen] = ["", "M"];
  values.forEach((value, index) => {
    if (value === null) return;
    path += `${pen}${(100 - (values.length - 1 - index) * step).toFixed(1)} ${(22 - (20 * value) / top).toFixed(1)}`;
    pen = "L";
  });
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <path d={path} vector-effect="non-scaling-stroke" />
    </svg>
  );
}

// --- charts ---

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

function Charts() {
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
  const quantile = (which: "p50" | "p95" | "p99"): (number | null)[] => row.map((bin) => bin.first_token_ms?.[which] ?? null);
  const common = { times, from, to, events: known.events.filter((event) => event.at >= from) };
  const perSecond = (value: number): string => amount(value);
  const ms = (value: number): string => written(lasting(value));
  const empty = chosen === "24" && minutes.value === null ? problem.value || "Loading…" : "No request in this time.";
  return (
    <section class="charts" aria-label="Over time">
      <header>
        <h2>Over time</h2>
        <Pointed events={common.events} span={LONG[chosen]} />
        <Choice label="Time range" value={chosen} onChange={(value) => (range.value = value)} options={[["15", "15 min"], ["24", "24 h"]]} />
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
          empty={empty}
        />
      </div>
    </section>
  );
}

/** What is under the pointer: the instant, and the change of state nearest to it. */
function Pointed({ events, span }: { readonly events: readonly import("./messages.ts").EventRow[]; readonly span: number }) {
  const at = pointed.value;
  if (at === null) {
    return <p class="pointed">{events.length > 0 && `${plural(events.length, "change")} of state, marked on the axis`}</p>;
  }
  const near = events.filter((event) => Math.abs(event.at - at) < span * 0.008).at(-1);
  return (
    <p class="pointed">
      <time>{clock(at)}</time> {near && <>· {near.subject} {near.name}: {word(near.before) || NONE} → <b>{word(near.after)}</b> ({near.reason})</>}
    </p>
  );
}

function Latest() {
  const rows = world.value!.events.slice(-5).reverse();
  return (
    <section class="latest" aria-label="Latest changes">
      <header>
        <h2>Latest changes of state</h2>
        <a href={link("events")}>all events</a>
      </header>
      {rows.length === 0 ? (
        <p class="quiet-text">Nothing has changed its state yet. Breakers, rests and recoveries will be told here.</p>
      ) : (
        <ol class="feed">
          {rows.map((event) => (
            <EventLine key={event.seq} event={event} />
          ))}
        </ol>
      )}
    </section>
  );
}
