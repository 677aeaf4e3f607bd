// Small things that all sections are made of.

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { ago, exact, type Figure, parts, remaining, word } from "./format.ts";
import type { Gauge } from "./messages.ts";
import { heardAt, now, second, stale } from "./store.ts";
import { STATES, type State } from "./tone.ts";

/** A figure with its unit set smaller. */
export const Amount = ({ of }: { readonly of: Figure }) => (
  <span class="amount">
    {of.value}
    {of.unit && <small> {of.unit}</small>}
  </span>
);

/** This instant by the gateway's clock; while the page is stale, the instant of what it shows. */
export const instant = (): number => (stale.value ? heardAt.value : Math.max(now.value, heardAt.value));

export const Ago = ({ at }: { readonly at: number }) => (
  <time dateTime={new Date(at * 1000).toISOString()} title={exact(at)}>
    {ago(at, stale.value ? heardAt.value : Math.max(second.value, heardAt.value))}
  </time>
);

export const Countdown = ({ until }: { readonly until: number }) => (
  <time class="countdown" dateTime={new Date(until * 1000).toISOString()} title={exact(until)}>
    {remaining(until, instant())}
  </time>
);

/** `provider/model` with the provider set back. */
export const Target = ({ name }: { readonly name: string }) => {
  const { provider, model } = parts(name);
  return (
    <bdi class="target-name">
      {provider && <i>{provider}/</i>}
      {model}
    </bdi>
  );
};

// A shape for each state, so that none is told by colour alone.
const SHAPES: Readonly<Record<State, JSX.Element>> = {
  serving: <circle cx="6" cy="6" r="4.5" fill="currentColor" />,
  degraded: <path d="M6 1.2 11.3 10.6H.7z" fill="currentColor" />,
  trying: (
    <>
      <circle cx="6" cy="6" r="4.2" fill="none" stroke="currentColor" stroke-width="1.4" />
      <path d="M6 1.8a4.2 4.2 0 0 1 0 8.4z" fill="currentColor" />
    </>
  ),
  resting: <path d="M2.5 1.5h2.6v9H2.5zM6.9 1.5h2.6v9H6.9z" fill="currentColor" />,
  unhealthy: <path d="M6 .6 11.4 6 6 11.4.6 6z" fill="currentColor" />,
  open: <path d="M2 2l8 8M10 2l-8 8" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" fill="none" />,
  unknown: (
    <circle cx="6" cy="6" r="4.2" fill="none" stroke="currentColor" stroke-width="1.4" stroke-dasharray="2 1.6" />
  ),
};

export const StateGlyph = ({ state }: { readonly state: State }) => (
  <svg class="glyph" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
    {SHAPES[state]}
  </svg>
);

export const StatePill = ({ state }: { readonly state: State }) => (
  <span class="pill" data-state={state} data-testid="state-pill" title={STATES[state].means}>
    <StateGlyph state={state} />
    {STATES[state].word}
  </span>
);

/** A breaker as on a circuit diagram: closed is a line, open a lever that touches nothing. */
export const Switch = ({ breaker }: { readonly breaker: string }) => (
  <svg class="switch" data-breaker={breaker} viewBox="0 0 28 20" width="28" height="20" aria-hidden="true">
    <path class="wire" d="M0 13h6M22 13h6" />
    <circle class="contact" cx="7" cy="13" r="2.2" />
    <circle class="contact" cx="21" cy="13" r="2.2" />
    <path class="lever" d="M7 13h14" />
    {breaker.startsWith("forced") && <path class="pin" d="M14 1.5v4M11.8 3.5h4.4" />}
  </svg>
);

/** How much of a limit is left, as a line. */
export const LimitGauge = ({ gauge }: { readonly gauge: Gauge }) => {
  const left = gauge.size > 0 ? Math.min(1, Math.max(0, gauge.left / gauge.size)) : 0;
  return <Bar part={left} tone={left < 0.1 ? "bad" : left < 0.25 ? "warn" : ""} />;
};

export const Bar = ({ part, tone = "" }: { readonly part: number; readonly tone?: string }) => (
  <span class="bar" data-tone={tone} aria-hidden="true">
    <i style={{ transform: `scaleX(${Math.min(1, Math.max(0, part)).toFixed(4)})` }} />
  </span>
);

export const Badge = ({ children, tone = "" }: { readonly children: ComponentChildren; readonly tone?: string }) => (
  <span class="badge" data-tone={tone}>
    {children}
  </span>
);

export const Copy = ({ text, what }: { readonly text: string; readonly what: string }) => {
  const said = useSignal("");
  const copy = (): void => {
    const done = (): void => {
      said.value = "copied";
      window.setTimeout(() => (said.value = ""), 1_500);
    };
    // Without TLS a browser gives no clipboard: then the text is selected by hand, and the button says so.
    if (navigator.clipboard)
      void navigator.clipboard.writeText(text).then(done, () => (said.value = "select it by hand"));
    else said.value = "select it by hand";
  };
  return (
    <button type="button" class="quiet small" onClick={copy} aria-label={`Copy ${what}`} data-testid="copy">
      {said.value || "copy"}
    </button>
  );
};

export const Empty = ({ title, children }: { readonly title: string; readonly children?: ComponentChildren }) => (
  <div class="empty">
    <p class="empty-title">{title}</p>
    {children}
  </div>
);

/** The field that `/` jumps to. */
export const Filter = ({
  value,
  onChange,
  what,
}: {
  readonly value: string;
  readonly onChange: (text: string) => void;
  readonly what: string;
}) => (
  <input
    type="search"
    class="filter"
    placeholder={`Filter ${what}   /`}
    aria-label={`Filter ${what}`}
    data-testid="filter"
    data-filter
    value={value}
    autocomplete="off"
    spellcheck={false}
    onInput={(event) => onChange(event.currentTarget.value)}
  />
);

/** A few choices, one of them taken. */
export function Choice<T extends string>({
  options,
  value,
  onChange,
  label,
}: {
  readonly options: readonly (readonly [T, string])[];
  readonly value: T;
  readonly onChange: (value: T) => void;
  readonly label: string;
}) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(([name, text]) => (
        <button
          type="button"
          key={name}
          aria-pressed={name === value}
          onClick={() => onChange(name)}
          data-choice={name}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

/** Does a text have all words of a filter in it, in any order? */
export const matches = (text: string, filter: string): boolean => {
  const low = text.toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((part) => low.includes(part));
};

export const Moved = ({
  before,
  after,
  tone,
}: {
  readonly before: string;
  readonly after: string;
  readonly tone: string;
}) => (
  <span class="moved">
    <span class="before">{word(before) || "–"}</span>
    <span aria-hidden="true"> → </span>
    <span class="unseen"> to </span>
    <b data-tone={tone}>{word(after) || "–"}</b>
  </span>
);
