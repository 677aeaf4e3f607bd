// One request: its line, and all of its attempts.

import { useSignal } from "@preact/signals";
import { clock, count, exact, lasting, NONE, plural, word, written } from "./format.ts";
import type { AttemptRow, RequestRow } from "./messages.ts";
import { colourOf } from "./paint.ts";
import { Badge, Copy, Target } from "./parts.tsx";
import { link } from "./route.ts";
import { room } from "./theme.ts";
import { requestTone } from "./tone.ts";

const COLUMNS = [4, 6, 7, 8]; // by the room there is

export function Row({ row, scale }: { readonly row: RequestRow; readonly scale: number }) {
  const open = useSignal(false);
  const tone = requestTone(row);
  const turn = (): void => {
    open.value = !open.value;
  };
  const stumbles = row.attempts.filter((attempt) => attempt.outcome === "failure").length;
  return (
    <>
      <tr
        class="row"
        data-testid="request-row"
        data-request={row.id}
        data-tone={tone}
        onClick={(event) => {
          if (!(event.target as HTMLElement).closest("a, button")) turn();
        }}
      >
        <td class="cell-time">
          <button type="button" class="row-link clock" aria-expanded={open.value} onClick={turn} title={exact(row.at)}>
            {clock(row.at)}
          </button>
        </td>
        <td>
          <span class="http" data-tone={tone}>
            {row.status}
            {row.fallback && (
              <span class="http-mark" aria-hidden="true">
                ↷
              </span>
            )}
          </span>
        </td>
        <td class="cell-way">
          <span class="way">
            <span class="way-model">
              <bdi>{row.model}</bdi> <span aria-hidden="true">→ </span>
            </span>
            <span class="unseen"> answered by </span>
            {row.target ? (
              <>
                <i class="swatch" style={{ background: colourOf(row.target) }} aria-hidden="true" />
                <Target name={row.target} />
              </>
            ) : (
              <span class={row.source ? "quiet-text" : "bad-text"}>{row.source || word(row.code) || "nobody"}</span>
            )}
          </span>
          {row.fallback && <Badge tone="warn">fallback</Badge>}
          {row.source && row.target && <Badge>{row.source}</Badge>}
        </td>
        <td
          class="at-middle cell-waterfall"
          title={`${plural(row.attempts.length, "attempt")}${stumbles ? `, ${stumbles} failed` : ""}`}
        >
          <Waterfall attempts={row.attempts} scale={scale} />
        </td>
        <td class="right at-middle">{written(lasting(row.first_token_ms))}</td>
        <td class="right">{written(lasting(row.total_ms))}</td>
        <td class="right at-wide">
          {row.prompt_tokens === null && row.completion_tokens === null ? (
            NONE
          ) : (
            <>
              {count(row.prompt_tokens ?? 0)} <small>in</small> {count(row.completion_tokens ?? 0)} <small>out</small>
            </>
          )}
        </td>
        <td class="at-wider cell-caller">{row.caller || NONE}</td>
      </tr>
      {open.value && (
        <tr class="detail">
          <td colSpan={COLUMNS[room.value]!}>
            <Detail row={row} />
          </td>
        </tr>
      )}
    </>
  );
}

/** One line for each attempt, from its start to its end. */
function Waterfall({ attempts, scale }: { readonly attempts: readonly AttemptRow[]; readonly scale: number }) {
  const some = attempts.slice(0, 6);
  const at = (ms: number): number => (100 * Math.max(0, ms)) / Math.max(scale, 1);
  const step = some.length > 3 ? 5 : 7;
  return (
    <svg
      class="waterfall"
      viewBox={`0 0 100 ${Math.max(1, some.length) * step}`}
      preserveAspectRatio="none"
      height={Math.max(1, some.length) * step}
      aria-hidden="true"
    >
      {some.map((attempt, index) => {
        const [x, width] = [at(attempt.started_ms), Math.max(0.8, at(attempt.ended_ms) - at(attempt.started_ms))];
        return (
          <g key={index} data-outcome={attempt.outcome}>
            <rect class="lasted" x={x} y={index * step + 1} width={width} height={step - 2} rx="0.6" />
            {attempt.first_content_ms != null && (
              <rect class="content" x={at(attempt.first_content_ms)} y={index * step} width="0.9" height={step} />
            )}
          </g>
        );
      })}
    </svg>
  );
}

/** Words of others: a mark of direction in them turns nothing around that is not theirs. */
const Said = ({ what, words }: { readonly what: string; readonly words: readonly string[] }) => (
  <>
    {words.map((one, index) => (
      <>
        {index === 0 ? ` · ${what} ` : ", "}
        <bdi>{one}</bdi>
      </>
    ))}
  </>
);

function Detail({ row }: { readonly row: RequestRow }) {
  const end = Math.max(row.total_ms, 1);
  return (
    <div class="request-detail" data-testid="request-detail">
      <p class="request-id">
        <code>{row.id}</code> <Copy text={row.id} what="the request id" />
      </p>
      <p class="quiet-text">
        {row.operation}
        {row.fallback && ", by another than the first choice"}
        {row.stream ? ", streamed" : ", whole"} · priority {row.priority}
        <Said what="caller" words={row.caller ? [row.caller] : []} />
        <Said what="session" words={row.session ? [row.session] : []} />
        <Said what="tags" words={row.tags} />
        {row.code && ` · ${row.code}`}
        {row.source && ` · from ${row.source}`}
      </p>
      {row.attempts.length === 0 ? (
        <p>Nothing was sent upstream.</p>
      ) : (
        <ol class="attempts">
          {row.attempts.map((attempt, index) => (
            <li key={index} data-outcome={attempt.outcome}>
              <a href={link("targets", attempt.target)}>
                <Target name={attempt.target} />
              </a>
              <span class="attempt-outcome">
                <span
                  class="http"
                  data-tone={
                    attempt.outcome === "success" ? "answered" : attempt.outcome === "failure" ? "failed" : "gone"
                  }
                >
                  {attempt.outcome}
                </span>
                {attempt.purpose !== "answer" && <Badge>{attempt.purpose}</Badge>}
              </span>
              <svg class="waterfall" viewBox="0 0 100 8" preserveAspectRatio="none" height="8" aria-hidden="true">
                <g data-outcome={attempt.outcome}>
                  <rect
                    class="lasted"
                    x={(100 * attempt.started_ms) / end}
                    y="1"
                    width={Math.max(0.5, (100 * (attempt.ended_ms - attempt.started_ms)) / end)}
                    height="6"
                    rx="0.6"
                  />
                  {attempt.first_content_ms != null && (
                    <rect class="content" x={(100 * attempt.first_content_ms) / end} y="0" width="0.6" height="8" />
                  )}
                </g>
              </svg>
              <span class="attempt-time">
                {written(lasting(attempt.started_ms))} – {written(lasting(attempt.ended_ms))}
                {attempt.first_content_ms != null && (
                  <small> first content {written(lasting(attempt.first_content_ms))}</small>
                )}
              </span>
              {(attempt.kind || attempt.detail) && (
                <span class="attempt-why">
                  <b>{word(attempt.kind)}</b> <bdi>{attempt.detail}</bdi>
                </span>
              )}
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}
