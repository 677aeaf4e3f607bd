// Every target: how it is, why, and what it is doing.

import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { ModelRow, TargetRow } from "./messages.ts";
import { Choice, Empty, Filter, matches } from "./parts.tsx";
import { route } from "./route.ts";
import { since, total } from "./series.ts";
import { world } from "./store.ts";
import { TargetPanel } from "./target_panel.tsx";
import { columns, Group, Row } from "./target_row.tsx";
import { STATES } from "./tone.ts";

type Order = "configured" | "state" | "rate" | "slowest";

const filter = signal("");
const order = signal<Order>("configured");

const ROW = 54; // pixels; styles say the same
const HEAD = 46;
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
  world
    .value!.models.filter((model) => model.targets.some((placed) => placed.target === target))
    .map((model) => model.model);

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
          options={[
            ["configured", "by model"],
            ["state", "worst first"],
            ["rate", "busiest"],
            ["slowest", "slowest"],
          ]}
        />
        <Tally />
      </header>
      {rows.length === 0 ? (
        <Empty title={known.targets.size === 0 ? "No target is configured." : "No target is like that."}>
          <p>
            {known.targets.size === 0
              ? "Name providers and models in standfast.yaml and reload it."
              : "Take words out of the filter."}
          </p>
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
      {(Object.keys(STATES) as TargetRow["state"][])
        .filter((state) => counts.has(state))
        .map((state) => (
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
            <th scope="col" class="at-wide">
              Why
            </th>
            <th scope="col" class="right">
              Answers
            </th>
            <th scope="col" class="at-middle">
              In flight
            </th>
            <th scope="col" class="right at-middle">
              First token
            </th>
            <th scope="col" class="at-wide">
              Keys
            </th>
            <th scope="col" class="right at-wider">
              Check
            </th>
            <th scope="col" class="right at-wider">
              Tokens out
            </th>
          </tr>
        </thead>
        <tbody ref={body}>
          {start > 0 && (
            <tr class="spacer" aria-hidden="true">
              <td colSpan={columns()} style={{ height: `${tall(rows.slice(0, start))}px` }} />
            </tr>
          )}
          {some.map((item, index) =>
            item.row ? (
              <Row
                key={item.key}
                row={item.row}
                tier={item.tier}
                rate={rates.get(item.row.target) ?? 0}
                whole={whole}
                index={start + index + 2}
                grouped={grouped}
              />
            ) : (
              <Group key={item.key} model={item.model!} index={start + index + 2} />
            ),
          )}
          {start + some.length < rows.length && (
            <tr class="spacer" aria-hidden="true">
              <td colSpan={columns()} style={{ height: `${tall(rows.slice(start + some.length))}px` }} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}
