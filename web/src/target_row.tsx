// Lines of the table of targets.

import { amount, count, lasting, portion, word, written } from "./format.ts";
import type { ModelRow, TargetRow } from "./messages.ts";
import { colourOf } from "./paint.ts";
import { Amount, Bar, Countdown, StatePill, Switch, Target } from "./parts.tsx";
import { go, link, route } from "./route.ts";
import { room } from "./theme.ts";
import { STATES, well } from "./tone.ts";

const COLUMNS = [3, 5, 7, 9]; // by the room there is
export const columns = (): number => COLUMNS[room.value]!;

export const Group = ({ model, index }: { readonly model: ModelRow; readonly index: number }) => (
  <tr class="group" aria-rowindex={index} data-model={model.model}>
    <th scope="rowgroup" colSpan={columns()}>
      <b>{model.model}</b>
      <span class="status" data-status={model.status}>
        {model.status}
      </span>
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

export function Row({ row, tier, rate, whole, index, grouped }: RowProps) {
  const chosen = route.value.item === row.target;
  const full = row.ceiling ? row.in_flight / row.ceiling : 0;
  return (
    <tr
      class="row"
      aria-rowindex={index}
      data-chosen={chosen}
      data-testid="target-row"
      data-target={row.target}
      data-state={row.state}
      onClick={(event) => {
        if (!(event.target as HTMLElement).closest("a, button")) go("targets", chosen ? "" : row.target);
      }}
    >
      <td class="cell-name">
        <a href={link("targets", row.target)} class="row-link" aria-current={chosen ? "true" : undefined}>
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
            <span data-tone={row.check.ok ? "good" : "bad"} class="toned">
              {row.check.ok ? "✓" : "✕"}
            </span>{" "}
            {written(lasting(row.check.latency_ms))}
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
const KeyDots = ({ row }: { readonly row: TargetRow }) => (
  <span class="keys-dots">
    {row.keys.slice(0, MOST_DOTS).map((key) => {
      const left = key.limits.map((gauge) => (gauge.size > 0 ? gauge.left / gauge.size : 1));
      return (
        <span class="key" data-state={key.state} key={key.index} title={`key ${key.index + 1}: ${key.state}`}>
          <svg viewBox="0 0 12 12" width="11" height="11" role="img" aria-label={`key ${key.index + 1} ${key.state}`}>
            {key.state === "free" ? (
              <circle cx="6" cy="6" r="4.5" fill="currentColor" />
            ) : key.state === "resting" ? (
              <path
                d="M6 1.5a4.5 4.5 0 0 1 0 9zM6 1.5a4.5 4.5 0 0 0 0 9"
                fill="currentColor"
                stroke="currentColor"
                fill-opacity=".45"
              />
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
