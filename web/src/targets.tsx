// Every target: how it is, why, and what it is doing.

import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { amount, count, lasting, portion, word, written } from "./format.ts";
import type { ModelRow, TargetRow } from "./messages.ts";
import { Bar, Choice, Countdown, Empty, Filter, matches, StatePill, Switch, Target, Amount } from "./parts.tsx";
import { colourOf } from "./paint.ts";
import { go, link, route } from "./route.ts";
import { since, total } from "./series.ts";
import { world } from "./store.ts";
import { TargetPanel } from "./target_panel.tsx";
import { room } from "./theme.ts";
import { STATES, well } from "./tone.ts";

type Order = "configured" | "state" | "rate" | "slowest";

const filter = signal("");
const order = signal<Order>("configured");

const ROW = 54; // pixels; style.css says the same
const HEAD = 46;
const COLUMNS = [3, 5, 7, 9]; // by the room there is
const WHOLE = 30; // up to so many rows the whole table stands in the page
const BEFORE = 6;

const SEVERITY: Readonly<Record<TargetRow["state"], number>> = {
  open: 0,
  unhealthy: 1,
  resting: 2,
  degraded: 3,
  trying: 4,
  unknown: 5,
  serving: 6,
};

interface Item {
  readonly key: string;
  readonly model: ModelRow | null;
  readonly row: TargetRow | null;
  readonly tier: number;
}

type Rates = ReadonlyMap<string, number>;

function items(rates: Rates): Item[] {
  const { models, targets } = world.value!;
  const wanted = (row: TargetRow, model: string): boolean =>
    matches(`${row.target} ${row.state} ${row.breaker} ${row.health} ${row.reason} ${model}`, filter.value);
  const rank: Readonly<Record<Order, (row: TargetRow) => number>> = {
    configured: () => 0,
    state: (row) => SEVERITY[row.state],
    rate: (row) => -(rates.get(row.target) ?? 0),
    slowest: (row) => -(row.first_token_ms ?? 0),
  };
  if (order.value !== "configured") {
    const by = rank[order.value];
    const rows = [...targets.values()].filter((row) => wanted(row, modelsOf(row.target).join(" ")));
    return rows.sort((a, b) => by(a) - by(b)).map((row) => ({ key: row.target, model: null, row, tier: 0 }));
  }
  const found: Item[] = [];
  const listed = new Set<string>();
  for (const model of models) {
    const placed = [...model.targets].sort((a, b) => a.tier - b.tier);
    const rows = placed.flatMap(({ target, tier }) => {
      listed.add(target);
      const row = targets.get(target);
      return row && wanted(row, model.model) ? [{ key: `${model.model}\n${target}`, model, row, tier }] : [];
    });
    if (rows.length > 0) found.push({ key: `m:${model.model}`, model, row: null, tier: 0 }, ...rows);
  }
  const alone = [...targets.values()].filter((row) => !listed.has(row.target) && wanted(row, ""));
  return [...found, ...alone.map((row) => ({ key: row.target, model: null, row, tier: 0 }))];
}

const modelsOf = (target: string): string[] =>
  world.value!.models.filter((model) => model.targets.some((placed) => placed.target === target)).map((model) => model.model);

export function Targets() {
  const known = world.value!;
  const sum = total(since(known.seconds, known.at, 30), known.at);
  const spent = Math.max(sum.seconds, 1);
  const rates = new Map([...sum.answers].map(([name, answers]) => [name, answers / spent]));
  const whole = [...rates.values()].reduce((all, one) => all + one, 0);
  const rows = items(rates);
  const open = route.value.item;
  const grouped = order.value === "configured";
  return (
    <section class="sheet" aria-labelledby="targets-title">
      <header class="sheet-head">
        <h1 id="targets-title">Targets</h1>
        <Filter what="targets" value={filter.value} onChange={(text) => (filter.value = text)} />
        <Choice
          label="Order"
          value={order.value}
          onChange={(value) => (order.value = value)}
          options={[["configured", "by model"], ["state", "worst first"], ["rate", "busiest"], ["slowest", "slowest"]]}
        />
        <Tally />
      </header>
      {rows.length === 0 ? (
        <Empty title={known.targets.size === 0 ? "No target is configured." : "No target is like that."}>
          <p>{known.targets.size === 0 ? "Name providers and models in standfast.yaml and reload it." : "Take words out of the filter."}</p>
        </Empty>
      ) : (
        <Table rows={rows} rates={rates} whole={whole} grouped={grouped} />
      )}
      {open && <TargetPanel name={open} rate={rates.get(open) ?? 0} whole={whole} models={modelsOf(open)} />}
    </section>
  );
}

const Tally = () => {
  const rows = [...world.value!.targets.values()];
  const counts = new Map<TargetRow["state"], number>();
  for (const row of rows) counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
  return (
    <p class="tally">
      {(Object.keys(STATES) as TargetRow["state"][]).filter((state) => counts.has(state)).map((state) => (
        <span key={state} data-state={state}>
          <b>{counts.get(state)}</b> {STATES[state].word}
        </span>
      ))}
    </p>
  );
};

interface TableProps {
  readonly rows: readonly Item[];
  readonly rates: Rates;
  readonly whole: number;
  readonly grouped: boolean;
}

/** Of many rows only those in sight are in the page; two empty rows stand for the others, so that scrolling is as ever. */
function Table({ rows, rates, whole, grouped }: TableProps) {
  const body = useRef<HTMLTableSectionElement>(null);
  const from = useSignal(0);
  const shown = Math.ceil(window.innerHeight / ROW) + 2 * BEFORE;
  const all = rows.length <= WHOLE;
  useEffect(() => {
    if (all) return;
    const look = (): void => {
      const top = body.current ? -body.current.getBoundingClientRect().top : 0;
      from.value = Math.max(0, Math.floor(top / ROW) - BEFORE);
    };
    look();
    window.addEventListener("scroll", look, { passive: true });
    window.addEventListener("resize", look);
    return () => {
      window.removeEventListener("scroll", look);
      window.removeEventListener("resize", look);
    };
  }, [all, rows.length]);
  const start = all ? 0 : Math.min(from.value, Math.max(0, rows.length - shown));
  const some = all ? rows : rows.slice(start, start + shown);
  const tall = (part: readonly Item[]): number => part.reduce((sum, item) => sum + (item.row ? ROW : HEAD), 0);
  return (
    <div class="table-frame">
      <table class="targets" aria-rowcount={rows.length + 1}>
        <thead>
          <tr>
            <th scope="col">Target</th>
            <th scope="col">State</th>
            <th scope="col" class="at-wide">Why</th>
            <th scope="col" class="right">Answers</th>
            <th scope="col" class="at-middle">In flight</th>
            <th scope="col" class="right at-middle">First token</th>
            <th scope="col" class="at-wide">Keys</th>
            <th scope="col" class="right at-wider">Check</th>
            <th scope="col" class="right at-wider">Tokens out</th>
          </tr>
        </thead>
        <tbody ref={body}>
          {start > 0 && <tr class="spacer" aria-hidden="true"><td colSpan={COLUMNS[room.value]!} style={{ height: `${tall(rows.slice(0, start))}px` }} /></tr>}
          {some.map((item, index) =>
            item.row ? (
              <Row key={item.key} row={item.row} tier={item.tier} rate={rates.get(item.row.target) ?? 0} whole={whole} index={start + index + 2} grouped={grouped} />
            ) : (
              <Group key={item.key} model={item.model!} index={start + index + 2} />
            ),
          )}
          {start + some.length < rows.length && (
            <tr class="spacer" aria-hidden="true"><td colSpan={COLUMNS[room.value]!} style={{ height: `${tall(rows.slice(start + some.length))}px` }} /></tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

const Group = ({ model, index }: { readonly model: ModelRow; readonly index: number }) => (
  <tr class="group" aria-rowindex={index} data-model={model.model}>
    <th scope="rowgroup" colSpan={COLUMNS[room.value]!}>
      <b>{model.model}</b>
      <span class="status" data-status={model.status}>{model.status}</span>
      <span class="quiet-text">{word(model.strategy)}</span>
    </th>
  </tr>
);

interface RowProps {
  readonly row: TargetRow;
  readonly tier: number;
  readonly rate: number;
  readonly whole: number;
  readonly index: number;
  readonly grouped: boolean;
}

function Row({ row, tier, rate, whole, index, grouped }: RowProps) {
  const chosen = route.value.item === row.target;
  const full = row.ceiling ? row.in_flight / row.ceiling : 0;
  return (
    <tr
      class="row"
      aria-rowindex={index}
      aria-selected={chosen}
      data-testid="target-row"
      data-target={row.target}
      data-state={row.state}
      onClick={(event) => {
        if (!(event.target as HTMLElement).closest("a, button")) go("targets", chosen ? "" : row.target);
      }}
    >
      <td class="cell-name">
        <a href={link("targets", row.target)} class="row-link">
          <i class="swatch" style={{ background: colourOf(row.target) }} aria-hidden="true" />
          <Target name={row.target} />
        </a>
        {grouped && tier > 1 && <small class="tier">tier {tier}</small>}
      </td>
      <td class="cell-state">
        <Switch breaker={row.breaker} />
        <StatePill state={row.state} />
        {row.until != null && <Countdown until={row.until} />}
      </td>
      <td class="cell-why at-wide" title={row.reason}>
        {row.reason || (well(row) ? "" : STATES[row.state].means)}
        <small>
          breaker {word(row.breaker)}, health {word(row.health)}
        </small>
      </td>
      <td class="right">
        {amount(rate)} <small>/s</small>
        <small class="under">{portion(rate, whole)}</small>
      </td>
      <td class="at-middle cell-flight">
        {count(row.in_flight)}
        <small> {row.ceiling === null ? "no ceiling" : `of ${count(row.ceiling)}`}</small>
        {row.ceiling !== null && <Bar part={full} tone={full >= 1 ? "bad" : full > 0.8 ? "warn" : ""} />}
      </td>
      <td class="right at-middle">
        <Amount of={lasting(row.first_token_ms)} />
      </td>
      <td class="at-wide">
        <KeyDots row={row} />
      </td>
      <td class="right at-wider">
        {row.check ? (
          <span title={row.check.detail || "nothing went wrong"}>
            <span data-tone={row.check.ok ? "good" : "bad"} class="toned">{row.check.ok ? "✓" : "✕"}</span> {written(lasting(row.check.latency_ms))}
            <small class="under">{row.check.kind}</small>
          </span>
        ) : (
          <span class="quiet-text">none yet</span>
        )}
      </td>
      <td class="right at-wider">{amount(row.completion_tokens)}</td>
    </tr>
  );
}

const MOST_DOTS = 6;

/** One dot for each key: full is free, half is resting, crossed is in quarantine; below it what is left of its limits. */
export const KeyDots = ({ row }: { readonly row: TargetRow }) => (
  <span class="keys-dots">
    {row.keys.slice(0, MOST_DOTS).map((key) => {
      const left = key.limits.map((gauge) => (gauge.size > 0 ? gauge.left / gauge.size : 1));
      return (
        <span class="key" data-state={key.state} key={key.index} title={`key ${key.index + 1}: ${key.state}`}>
          <svg viewBox="0 0 12 12" width="11" height="11" role="img" aria-label={`key ${key.index + 1} ${key.state}`}>
            {key.state === "free" ? (
              <circle cx="6" cy="6" r="4.5" fill="currentColor" />
            ) : key.state === "resting" ? (
              <path d="M6 1.5a4.5 4.5 0 0 1 0 9zM6 1.5a4.5 4.5 0 0 0 0 9" fill="currentColor" stroke="currentColor" fill-opacity=".45" />
            ) : (
              <path d="M2 2l8 8M10 2l-8 8" stroke="currentColor" stroke-width="2" />
            )}
          </svg>
          {left.length > 0 && <Bar part={Math.min(...left)} tone={Math.min(...left) < 0.1 ? "bad" : ""} />}
        </span>
      );
    })}
    {row.keys.length > MOST_DOTS && <small>+{row.keys.length - MOST_DOTS}</small>}
    {row.keys.length === 0 && <small>none</small>}
  </span>
);
