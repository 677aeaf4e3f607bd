// Requests that got their outcome, newest first.

import { signal, useSignal } from "@preact/signals";
import { clock, count, exact, lasting, NONE, plural, word, written } from "./format.ts";
import type { AttemptRow, RequestRow } from "./messages.ts";
import { Badge, Choice, Copy, Empty, Filter, matches, Target } from "./parts.tsx";
import { colourOf } from "./paint.ts";
import { Pause } from "./events.tsx";
import { hovered, paused } from "./pause.ts";
import { link } from "./route.ts";
import { world } from "./store.ts";
import { room } from "./theme.ts";
import { requestTone } from "./tone.ts";

const SHOWN = 50;
const COLUMNS = [4, 6, 7, 8]; // by the room there is

const filter = signal("");
const which = signal<"all" | "troubled">("all");
let held: { readonly which: string; readonly rows: readonly RequestRow[] } | null = null;

export function Requests() {
  const { requests, troubled, skipped } = world.value!;
  const all = which.value === "troubled" ? troubled : requests;
  if (!(paused.value || hovered.value)) held = null;
  else if (held?.which !== which.value) held = { which: which.value, rows: all };
  const known = held?.rows ?? all;
  const rows = known.filter((row) =>
    matches(`${row.id} ${row.model} ${row.target} ${row.caller} ${row.status} ${row.code} ${row.source} ${row.session} ${row.tags.join(" ")} ${row.attempts.map((one) => `${one.target} ${one.kind}`).join(" ")}`, filter.value),
  );
  const shown = rows.slice(-SHOWN).reverse();
  // One scale for all, so that long ones look long; the longest tenth may end outside.
  const lengths = shown.map((row) => row.total_ms).sort((a, b) => a - b);
  const scale = 1.15 * (lengths[Math.floor(lengths.length * 0.9)] ?? 1);
  const old = new Set(known.map((row) => row.id));
  const news = held ? all.filter((row) => !old.has(row.id)).length : 0;
  return (
    <section class="sheet" aria-labelledby="requests-title">
      <header class="sheet-head">
        <h1 id="requests-title">Requests</h1>
        <Filter what="requests" value={filter.value} onChange={(text) => (filter.value = text)} />
        <Choice
          label="Which"
          value={which.value}
          onChange={(value) => (which.value = value)}
          options={[["all", "all"], ["troubled", "troubled only"]]}
        />
        <Pause news={news} />
      </header>
      {rows.length === 0 ? (
        <Nothing asked={requests.length > 0} troubled={troubled.length > 0} />
      ) : (
        <div class="table-frame" onPointerEnter={() => (hovered.value = true)} onPointerLeave={() => (hovered.value = false)}>
          <table class="requests">
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Status</th>
                <th scope="col">Model → target</th>
                <th scope="col" class="at-middle">Attempts</th>
                <th scope="col" class="right at-middle">First token</th>
                <th scope="col" class="right">Total</th>
                <th scope="col" class="right at-wide">Tokens</th>
                <th scope="col" class="at-wider">Caller</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((row) => (
                <Row key={row.id} row={row} scale={scale} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {(rows.length > SHOWN || (skipped > 0 && which.value === "all")) && (
        <p class="quiet-text">
          {rows.length > SHOWN && `The newest ${SHOWN} of ${rows.length} that are kept here; the filter finds the others. `}
          {skipped > 0 && which.value === "all" && `${plural(skipped, "request")} came too fast to be told one by one.`}
        </p>
      )}
    </section>
  );
}

function Nothing({ asked, troubled }: { readonly asked: boolean; readonly troubled: boolean }) {
  if (which.value === "troubled" && !troubled) {
    return (
      <Empty title="No trouble.">
        <p>Requests that met an error, a failed attempt or another target than their first choice will stand here.</p>
      </Empty>
    );
  }
  if (asked) {
    return (
      <Empty title="No request is like that.">
        <p>Take words out of the filter.</p>
      </Empty>
    );
  }
  const model = world.value!.models[0]?.model ?? "auto";
  const key = world.value!.session.open ? "" : " -H 'authorization: Bearer YOUR_KEY'";
  const command = `curl ${location.origin}/chat${key} -H 'content-type: application/json' -d '{"model": "${model}", "prompt": "hello"}'`;
  return (
    <Empty title="No request yet.">
      <p>Try one:</p>
      <pre class="try">{command}</pre>
      <Copy text={command} what="the command" />
    </Empty>
  );
}

function Row({ row, scale }: { readonly row: RequestRow; readonly scale: number }) {
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
          <span class="http" data-tone={tone}>{row.status}</span>
        </td>
        <td class="cell-way">
          <span class="way">
            {row.model} <span aria-label="answered by">→</span>{" "}
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
        <td class="at-middle cell-waterfall" title={`${plural(row.attempts.length, "attempt")}${stumbles ? `, ${stumbles} failed` : ""}`}>
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
    <svg class="waterfall" viewBox={`0 0 100 ${Math.max(1, some.length) * step}`} preserveAspectRatio="none" height={Math.max(1, some.length) * step} aria-hidden="true">
      {some.map((attempt, index) => {
        const [x, width] = [at(attempt.started_ms), Math.max(0.8, at(attempt.ended_ms) - at(attempt.started_ms))];
        return (
          <g key={index} data-outcome={attempt.outcome}>
            <rect class="lasted" x={x} y={index * step + 1} width={width} height={step - 2} rx="0.6" />
            {attempt.first_content_ms != null && <rect class="content" x={at(attempt.first_content_ms)} y={index * step} width="0.9" height={step} />}
          </g>
        );
      })}
    </svg>
  );
}

function Detail({ row }: { readonly row: RequestRow }) {
  const end = Math.max(row.total_ms, 1);
  return (
    <div class="request-detail" data-testid="request-detail">
      <p class="request-id">
        <code>{row.id}</code> <Copy text={row.id} what="the request id" />
      </p>
      <p class="quiet-text">
        {row.operation}
        {row.stream ? ", streamed" : ", whole"} · priority {row.priority}
        {row.caller && ` · caller ${row.caller}`}
        {row.session && ` · session ${row.session}`}
        {row.tags.length > 0 && ` · tags ${row.tags.join(", ")}`}
        {row.code && ` · ${row.code}`}
        {row.source && ` · from ${row.source}`}
      </p>
      {row.attempts.length === 0 ? (
        <p>Nothing was sent upstream.</p>
      ) : (
        <ol class="attempts">
          {row.attempts.map((attempt, index) => (
            <li key={index} data-outcome={attempt.outcome}>
              <a href={link("targets", attempt.target)}><Target name={attempt.target} /></a>
              <span class="attempt-outcome">
                <span class="http" data-tone={attempt.outcome === "success" ? "answered" : attempt.outcome === "failure" ? "failed" : "gone"}>
                  {attempt.outcome}
                </span>
                {attempt.purpose !== "answer" && <Badge>{attempt.purpose}</Badge>}
              </span>
              <svg class="waterfall" viewBox="0 0 100 8" preserveAspectRatio="none" height="8" aria-hidden="true">
                <g data-outcome={attempt.outcome}>
                  <rect class="lasted" x={(100 * attempt.started_ms) / end} y="1" width={Math.max(0.5, (100 * (attempt.ended_ms - attempt.started_ms)) / end)} height="6" rx="0.6" />
                  {attempt.first_content_ms != null && <rect class="content" x={(100 * attempt.first_content_ms) / end} y="0" width="0.6" height="8" />}
                </g>
              </svg>
              <span class="attempt-time">
                {written(lasting(attempt.started_ms))} – {written(lasting(attempt.ended_ms))}
                {attempt.first_content_ms != null && <small> first content {written(lasting(attempt.first_content_ms))}</small>}
              </span>
              {(attempt.kind || attempt.detail) && (
                <span class="attempt-why">
                  <b>{word(attempt.kind)}</b> {attempt.detail}
                </span>
              )}
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}
