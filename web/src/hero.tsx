// The last five minutes in figures, with what there is to say about them.

import { count, lasting, plural, rate, share, written, type Figure } from "./format.ts";
import type { Sample } from "./messages.ts";
import { Amount } from "./parts.tsx";
import { link } from "./route.ts";
import { bins, judged, mixture, requests, since, total } from "./series.ts";
import { lately, sky, stale, world } from "./store.ts";
import { headline, story } from "./story.ts";
import { well } from "./tone.ts";

export function Hero() {
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
        <p class="headline">{stale.value ? "Out of touch." : headline(five, sky.value)}</p>
        <p class="hero-share">
          <span data-testid="hero-success" class="hero-figure">
            <Amount of={share(five.answered, asked)} />
          </span>
          <span class="hero-caption">
            {asked > 0 ? (
              <>
                answered, of {plural(asked, "request")} in 5 min
                <br /> {five.failed > 0 ? <b class="bad-text">{count(five.failed)} failed</b> : "none failed"}
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
              No request yet:{" "}
              <a href={link("requests")} class="linked">
                try one
              </a>
              .
            </>
          )}
        </p>
      </div>
      <dl class="readouts">
        <Readout
          name="requests"
          of={rate(requests(ten) / spent)}
          note="last 10 s"
          spark={spark(requests)}
          testid="hero-rate"
        />
        <Readout
          name="first token"
          of={lasting(first?.p50)}
          note={
            <>
              p95 <b>{written(lasting(first?.p95))}</b>, last minute
            </>
          }
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
          of={{ value: count(five.saved), unit: five.saved === 1 ? "request" : "requests" }}
          note="5 min; another than the first choice answered"
          spark={spark((sample) => sample.saved)}
          testid="hero-saved"
        />
        <Readout
          name="tokens out"
          of={rate(ten.completion_tokens / spent)}
          note={
            <>
              in <b>{written(rate(ten.prompt_tokens / spent))}</b>
            </>
          }
          spark={spark((sample) => sample.completion_tokens)}
          testid="hero-tokens"
        />
        <Readout
          name="targets"
          of={{
            value: count([...known.targets.values()].filter(well).length),
            unit: `of ${count(known.targets.size)}`,
          }}
          note={<a href={link("targets")}>serving as usual</a>}
          testid="hero-targets"
        />
      </dl>
    </section>
  );
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
    <svg
      class="strip"
      viewBox={`0 0 ${slots * bar - 1} 20`}
      preserveAspectRatio="none"
      role="img"
      aria-label="Answered and failed requests over the last 15 minutes"
    >
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
      {spark && <Spark values={spark} />}
    </dd>
    <dd class="readout-note">{note}</dd>
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
