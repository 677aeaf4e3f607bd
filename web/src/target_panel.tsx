// One target in full, and what an operator may do about it.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, told, type Report } from "./api.ts";
import { amount, count, dollars, lasting, plural, portion, word, written } from "./format.ts";
import type { Gauge } from "./messages.ts";
import { Ago, Badge, Bar, Countdown, Empty, LimitGauge, StatePill, Switch, Target } from "./parts.tsx";
import { colourOf } from "./paint.ts";
import { go } from "./route.ts";
import { mayAct, world } from "./store.ts";
import { EventLine } from "./events.tsx";
import { STATES } from "./tone.ts";

interface Props {
  readonly name: string;
  readonly rate: number;
  readonly whole: number;
  readonly models: readonly string[];
}

export function TargetPanel({ name, rate, whole, models }: Props) {
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    box.current?.focus({ preventScroll: true });
    return () => before?.isConnected && before.focus({ preventScroll: true });
  }, [name]);
  const row = world.value!.targets.get(name);
  const close = (): void => go("targets");
  const events = world
    .value!.events.filter((event) => event.name === name || event.where === name)
    .slice(-6)
    .reverse();
  return (
    <aside class="panel" ref={box} tabIndex={-1} aria-label={`Target ${name}`} data-testid="target-panel">
      <header>
        <h2>
          <i class="swatch" style={{ background: colourOf(name) }} aria-hidden="true" />
          <Target name={name} />
        </h2>
        <button type="button" class="quiet" onClick={close} aria-label="Close" data-testid="panel-close">
          ✕
        </button>
      </header>
      {!row ? (
        <Empty title="There is no such target.">
          <p>It may have left the configuration.</p>
        </Empty>
      ) : (
        <>
          <p class="panel-state">
            <Switch breaker={row.breaker} />
            <StatePill state={row.state} />
            {row.until != null && (
              <span>
                asked again in <Countdown until={row.until} />
              </span>
            )}
          </p>
          <p class="panel-reason">
            {row.reason
              ? `${row.reason[0]!.toUpperCase()}${row.reason.slice(1)}.`
              : `It is ${STATES[row.state].means}.`}
          </p>
          {row.advice && (
            <p class="advice">
              <b>What to do</b> {row.advice}
            </p>
          )}
          <Actions name={name} breaker={row.breaker} />
          <dl class="facts">
            <Fact name="breaker">{word(row.breaker)}</Fact>
            <Fact name="health">{word(row.health)}</Fact>
            <Fact name="answers, now">
              {amount(rate)} /s · {portion(rate, whole)} of all
            </Fact>
            <Fact name="since the start">
              {plural(row.answered, "answer")}, {count(row.failed)} failed
            </Fact>
            <Fact name="in flight">
              {count(row.in_flight)} {row.ceiling === null ? "(no ceiling)" : `of ${count(row.ceiling)} at a time`}
              {row.ceiling !== null && <Bar part={row.in_flight / row.ceiling} />}
            </Fact>
            <Fact name="first token">{written(lasting(row.first_token_ms))} on average</Fact>
            <Fact name="tokens">
              {amount(row.prompt_tokens)} in, {amount(row.completion_tokens)} out
            </Fact>
            <Fact name="models">{models.join(", ") || "none; it can be named by itself"}</Fact>
            <Fact name="last check">
              {row.check ? (
                <>
                  {word(row.check.kind)} {row.check.ok ? "went well" : "failed"} in{" "}
                  {written(lasting(row.check.latency_ms))}, <Ago at={row.check.at} />
                  {row.check.detail && <small class="under">{row.check.detail}</small>}
                </>
              ) : (
                "none yet"
              )}
            </Fact>
          </dl>
          <Gauges title="Its own limits" gauges={row.limits} />
          <h3>Keys</h3>
          {row.keys.length === 0 && <p class="quiet-text">It needs none.</p>}
          <ul class="key-list">
            {row.keys.map((key) => (
              <li key={key.index}>
                <span class="key-head">
                  Key {key.index + 1} <Badge tone={key.state === "free" ? "good" : "bad"}>{key.state}</Badge>
                  {key.until != null && <Countdown until={key.until} />}
                  <small>{key.in_flight} in flight</small>
                </span>
                <Limits gauges={key.limits} />
              </li>
            ))}
          </ul>
          <h3>Latest changes</h3>
          {events.length === 0 ? (
            <p class="quiet-text">None that is remembered.</p>
          ) : (
            <ol class="feed compact">
              {events.map((event) => (
                <EventLine key={event.seq} event={event} />
              ))}
            </ol>
          )}
        </>
      )}
    </aside>
  );
}

const Fact = ({ name, children }: { readonly name: string; readonly children: preact.ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

const Gauges = ({ title, gauges }: { readonly title: string; readonly gauges: readonly Gauge[] }) =>
  gauges.length === 0 ? null : (
    <>
      <h3>{title}</h3>
      <Limits gauges={gauges} />
    </>
  );

const Limits = ({ gauges }: { readonly gauges: readonly Gauge[] }) =>
  gauges.length === 0 ? null : (
    <ul class="limits">
      {gauges.map((gauge) => (
        <li key={gauge.name}>
          <span>{gauge.name}</span>
          <LimitGauge gauge={gauge} />
          <span class="right">
            {amount(Math.max(0, gauge.left))}{" "}
            <small>
              of {amount(gauge.size)}
              {gauge.learned ? "" : ", configured"}
            </small>
          </span>
        </li>
      ))}
    </ul>
  );

const FORCES = [
  ["force-open", "open", "Force open", "nobody is sent there until you say otherwise"],
  ["force-closed", "closed", "Force closed", "everybody is sent there, whatever fails"],
  ["force-auto", null, "Leave to itself", "the breaker decides again"],
] as const;

function Actions({ name, breaker }: { readonly name: string; readonly breaker: string }) {
  const busy = useSignal("");
  const said = useSignal<{ readonly text: string; readonly tone: "good" | "bad" | "" }>({ text: "", tone: "" });
  const asking = useSignal(false);
  const may = mayAct.value;
  const act = async (what: string, does: () => Promise<string>): Promise<void> => {
    busy.value = what;
    said.value = { text: "", tone: "" };
    try {
      said.value = { text: await does(), tone: "good" };
    } catch (problem) {
      said.value = { text: told(problem), tone: "bad" };
    }
    busy.value = "";
  };
  const force = (id: string, state: "open" | "closed" | null, what: string): Promise<void> =>
    act(id, async () => (await api.force(name, state), `Done: ${what}.`));
  const check = (kind: "ping" | "generate"): Promise<void> =>
    act(kind, async () => {
      const { reports } = await api.check(kind, [name]);
      const report = reports.find((one) => one.target === name);
      if (!report) return "The check said nothing of this target.";
      if (!report.ok) throw new Error(verdict(report));
      return verdict(report);
    });
  const pressed = (state: string | null): boolean =>
    state === null ? !breaker.startsWith("forced") : breaker === `forced_${state}`;
  return (
    <div class="actions" role="group" aria-label="Actions">
      <div class="forces">
        {FORCES.map(([id, state, text, means]) => (
          <button
            type="button"
            key={id}
            data-testid={id}
            title={means}
            aria-pressed={pressed(state)}
            disabled={!may || busy.value !== ""}
            onClick={() => void force(id, state, means)}
          >
            {text}
          </button>
        ))}
      </div>
      <div class="checks">
        <button
          type="button"
          data-testid="check-ping"
          disabled={!may || busy.value !== ""}
          onClick={() => void check("ping")}
        >
          {busy.value === "ping" ? "Pinging…" : "Ping now"}
        </button>
        {asking.value ? (
          <span class="confirm">
            It costs a little money.
            <button
              type="button"
              class="primary"
              data-testid="confirm-generate"
              disabled={!may}
              onClick={() => ((asking.value = false), void check("generate"))}
            >
              Generate
            </button>
            <button type="button" class="quiet" onClick={() => (asking.value = false)}>
              No
            </button>
          </span>
        ) : (
          <button
            type="button"
            data-testid="check-generate"
            disabled={!may || busy.value !== ""}
            onClick={() => (asking.value = true)}
          >
            {busy.value === "generate" ? "Generating…" : "Generate now…"}
          </button>
        )}
      </div>
      {!may && <p class="quiet-text">A viewer looks; an operator’s key is needed to act.</p>}
      <p class="said" data-tone={said.value.tone} role="status" data-testid="action-result">
        {said.value.text}
      </p>
    </div>
  );
}

function verdict(report: Report): string {
  const cost = report.cost_usd ? `, for ${dollars(report.cost_usd)}` : "";
  if (report.ok)
    return `${word(report.kind)} went well in ${written(lasting(report.latency_ms))}${cost}; health: ${word(report.health)}.`;
  return [`${word(report.kind)} failed: ${report.detail || report.reason}`, report.advice].filter(Boolean).join(". ");
}
