// States that changed, as they change.

import { signal } from "@preact/signals";
import { clock, exact, word } from "./format.ts";
import type { EventRow } from "./messages.ts";
import { Ago, Choice, Countdown, Empty, Filter, instant, matches, Moved } from "./parts.tsx";
import { hover, hovered, paused, togglePause } from "./pause.ts";
import { link } from "./route.ts";
import { world } from "./store.ts";
import { toneOf, type Tone } from "./tone.ts";

const SHOWN = 120;

const SIGNS: Readonly<Record<Tone, string>> = {
  good: "M2 6.5 5 9.5 10.5 3",
  bad: "M3 3l6 6M9 3l-6 6",
  neutral: "M3 6h6",
};

const SAID: Readonly<Record<Tone, string>> = { good: "better", bad: "worse", neutral: "changed" };

export const EventLine = ({ event }: { readonly event: EventRow }) => {
  const tone = toneOf(event);
  const target = world.value!.targets.has(event.name) ? event.name : event.where;
  return (
    <li class="event" data-testid="event-row" data-tone={tone} data-subject={event.subject}>
      <svg class="glyph" viewBox="0 0 12 12" width="14" height="14" role="img" aria-label={SAID[tone]}>
        <path
          d={SIGNS[tone]}
          fill="none"
          stroke="currentColor"
          stroke-width="1.8"
          stroke-linecap="round"
          stroke-linejoin="round"
        />
      </svg>
      <span class="event-when" title={exact(event.at)}>
        <span class="clock">{clock(event.at)}</span> <Ago at={event.at} />
      </span>
      <span class="event-what">
        <span class="subject">{word(event.subject)}</span>{" "}
        {target && world.value!.targets.has(target) ? (
          <a href={link("targets", target)}>{event.name}</a>
        ) : (
          <b>{event.name}</b>
        )}
        {event.where && <span class="where"> at {event.where}</span>}
        {event.worker > 0 && <span class="where"> in process {event.worker}</span>}
      </span>
      <Moved before={event.before} after={event.after} tone={tone} />
      <span class="event-why">
        {event.reason}
        {event.until != null && event.until > instant() && (
          <span class="until">
            {" "}
            · may change in <Countdown until={event.until} />
          </span>
        )}
      </span>
    </li>
  );
};

const subject = signal("");
const filter = signal("");
const tone = signal<"all" | "bad" | "good">("all");
let held: readonly EventRow[] | null = null;

export function EventsView() {
  const all = world.value!.events;
  const still = paused.value || hovered.value;
  if (!still) held = null;
  else held ??= all;
  const known = held ?? all;
  const subjects = [...new Set(all.map((event) => event.subject))].sort();
  const rows = known.filter(
    (event) =>
      (subject.value === "" || event.subject === subject.value) &&
      (tone.value === "all" || toneOf(event) === tone.value) &&
      matches(
        `${event.subject} ${event.name} ${event.where} ${event.before} ${event.after} ${event.reason}`,
        filter.value,
      ),
  );
  const news = held ? all.filter((event) => event.seq > (held?.at(-1)?.seq ?? 0)).length : 0;
  return (
    <section class="sheet" aria-labelledby="events-title">
      <header class="sheet-head">
        <h1 id="events-title">Events</h1>
        <Filter what="events" value={filter.value} onChange={(text) => (filter.value = text)} />
        <select
          aria-label="Subject"
          value={subject.value}
          onChange={(event) => (subject.value = event.currentTarget.value)}
          data-testid="subject"
        >
          <option value="">all subjects</option>
          {subjects.map((name) => (
            <option key={name} value={name}>
              {word(name)}
            </option>
          ))}
        </select>
        <Choice
          label="Tone"
          value={tone.value}
          onChange={(value) => (tone.value = value)}
          options={[
            ["all", "all"],
            ["bad", "worse"],
            ["good", "better"],
          ]}
        />
        <Pause news={news} />
      </header>
      {rows.length === 0 ? (
        <Empty title={all.length === 0 ? "Nothing has changed its state yet." : "No event is like that."}>
          <p>
            {all.length === 0
              ? "Breakers that open and close, rests after rate limits, health and what operators do will be told here as it happens."
              : "Take words out of the filter, or choose all subjects."}
          </p>
        </Empty>
      ) : (
        <ol class="feed" onPointerEnter={hover} onPointerLeave={hover}>
          {rows
            .slice(-SHOWN)
            .reverse()
            .map((event) => (
              <EventLine key={event.seq} event={event} />
            ))}
        </ol>
      )}
      {rows.length > SHOWN && (
        <p class="quiet-text">
          The newest {SHOWN} of {rows.length}; the filter finds the others.
        </p>
      )}
    </section>
  );
}

/** Holds a running list, and says what has come since. */
export const Pause = ({ news }: { readonly news: number }) => (
  <button type="button" class="pause" aria-pressed={paused.value} onClick={togglePause} data-testid="pause">
    {paused.value ? "Go on" : "Pause"}
    {(paused.value || hovered.value) && news > 0 && <span class="count">{news} new</span>}
  </button>
);
