// Requests that got their outcome, newest first.

import { signal } from "@preact/signals";
import { plural } from "./format.ts";
import type { RequestRow } from "./messages.ts";
import { Choice, Copy, Empty, Filter, matches } from "./parts.tsx";
import { Pause } from "./events.tsx";
import { hover, hovered, paused } from "./pause.ts";
import { Row } from "./request_row.tsx";
import { world } from "./store.ts";

const SHOWN = 50;

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
    matches(
      `${row.id} ${row.model} ${row.target} ${row.caller} ${row.status} ${row.code} ${row.source} ${row.session} ${row.tags.join(" ")} ${row.attempts.map((one) => `${one.target} ${one.kind}`).join(" ")}`,
      filter.value,
    ),
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
          options={[
            ["all", "all"],
            ["troubled", "troubled only"],
          ]}
        />
        <Pause news={news} />
      </header>
      {rows.length === 0 ? (
        <Nothing asked={requests.length > 0} troubled={troubled.length > 0} />
      ) : (
        <div class="table-frame" onPointerEnter={hover} onPointerLeave={hover}>
          <table class="requests">
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Status</th>
                <th scope="col">Model → target</th>
                <th scope="col" class="at-middle">
                  Attempts
                </th>
                <th scope="col" class="right at-middle">
                  First token
                </th>
                <th scope="col" class="right">
                  Total
                </th>
                <th scope="col" class="right at-wide">
                  Tokens
                </th>
                <th scope="col" class="at-wider">
                  Caller
                </th>
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
          {rows.length > SHOWN &&
            `The newest ${SHOWN} of ${rows.length} that are kept here; the filter finds the others. `}
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
