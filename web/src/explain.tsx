// Where a request would go and why; nothing is sent.

import { signal } from "@preact/signals";
import { api, told, type Explanation, type Place, type Question } from "./api.ts";
import { count, plural } from "./format.ts";
import { Choice, Empty, StateGlyph, Target } from "./parts.tsx";
import { colourOf } from "./paint.ts";
import { link } from "./route.ts";
import { world } from "./store.ts";
import { STATES } from "./tone.ts";

const KINDS = ["chat", "code", "analysis", "math", "writing", "translation", "summary", "extraction"];

const question = signal<Question>({
  model: "auto",
  prompt: "",
  stream: false,
  priority: 3,
  prefer: null,
  kind: null,
  session: "",
});
const answer = signal<Explanation | null>(null);
const problem = signal("");
const busy = signal(false);

const change = (part: Partial<Question>): void => {
  question.value = { ...question.value, ...part };
};

async function ask(event: Event): Promise<void> {
  event.preventDefault();
  if (busy.value) return;
  busy.value = true;
  problem.value = "";
  try {
    answer.value = await api.explain(question.value);
  } catch (thrown) {
    answer.value = null;
    problem.value = told(thrown);
  }
  busy.value = false;
}

export function Explain() {
  const { model, prompt, stream, priority, prefer, kind, session } = question.value;
  const models = [...new Set(["auto", ...world.value!.models.map((row) => row.model)])];
  return (
    <section class="sheet" aria-labelledby="explain-title">
      <header class="sheet-head">
        <h1 id="explain-title">Explain</h1>
        <p class="quiet-text">Where a request would go this very moment, and why. Nothing is sent.</p>
      </header>
      <div class="explain">
        <form class="question" onSubmit={(event) => void ask(event)}>
          <label class="field">
            <span>Prompt</span>
            <textarea
              rows={5}
              required
              data-testid="explain-prompt"
              placeholder="Refactor this function and explain what you changed"
              value={prompt}
              onInput={(event) => change({ prompt: event.currentTarget.value })}
              onKeyDown={(event) => {
                if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void ask(event);
              }}
            />
          </label>
          <div class="field-row">
            <label class="field">
              <span>Model</span>
              <input
                list="models"
                value={model}
                required
                data-testid="explain-model"
                onInput={(event) => change({ model: event.currentTarget.value })}
              />
              <datalist id="models">
                {models.map((name) => (
                  <option key={name} value={name} />
                ))}
              </datalist>
            </label>
            <label class="field">
              <span>Kind</span>
              <select value={kind ?? ""} onChange={(event) => change({ kind: event.currentTarget.value || null })}>
                <option value="">as the text says</option>
                {KINDS.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </label>
          </div>
          <div class="field">
            <span id="prefer">Prefer</span>
            <Choice
              label="Prefer"
              value={prefer ?? "none"}
              onChange={(value) => change({ prefer: value === "none" ? null : value })}
              options={[
                ["none", "balance"],
                ["cost", "cost"],
                ["speed", "speed"],
                ["quality", "quality"],
              ]}
            />
          </div>
          <div class="field-row">
            <label class="field">
              <span>
                Priority <b>{priority}</b> <small>of 5</small>
              </span>
              <input
                type="range"
                min="1"
                max="5"
                value={priority}
                onInput={(event) => change({ priority: Number(event.currentTarget.value) })}
              />
            </label>
            <label class="field">
              <span>Session</span>
              <input
                value={session}
                placeholder="none"
                onInput={(event) => change({ session: event.currentTarget.value })}
              />
            </label>
          </div>
          <label class="check">
            <input
              type="checkbox"
              checked={stream}
              onChange={(event) => change({ stream: event.currentTarget.checked })}
            />
            <span>as a stream</span>
          </label>
          <button type="submit" class="primary" disabled={busy.value} data-testid="explain-submit">
            {busy.value ? "Thinking…" : "Explain"}
          </button>
          <p class="error" role="alert">
            {problem.value}
          </p>
        </form>
        <div class="answer">
          {answer.value ? (
            <Answer of={answer.value} />
          ) : (
            <Empty title="Ask first.">
              <p>
                Write a prompt and see who would be asked first, who comes after, who cannot be asked, and what decided
                it.
              </p>
            </Empty>
          )}
        </div>
      </div>
    </section>
  );
}

const Answer = ({ of }: { readonly of: Explanation }) => {
  const best = Math.max(...of.rows.map((row) => Math.abs(row.score ?? 0)), 1e-9);
  return (
    <>
      <p class="answer-head">
        <b>{of.model}</b>, strategy <b>{of.strategy}</b>
        {of.measure && ` (${of.measure})`}
        {of.kind && (
          <>
            , taken for <b>{of.kind}</b>
          </>
        )}
        {of.needs.length > 0 && `, needs ${of.needs.join(", ")}`}, priority {of.priority}, about{" "}
        {plural(of.prompt_tokens, "token")} in and {count(of.answer_tokens)} out.
      </p>
      <ol class="places">
        {of.rows.map((row) => (
          <Ranked key={`${row.place} ${row.target}`} row={row} best={best} />
        ))}
      </ol>
    </>
  );
};

function Ranked({ row, best }: { readonly row: Place; readonly best: number }) {
  const state = world.value!.targets.get(row.target)?.state ?? "unknown";
  return (
    <li
      class="place"
      data-testid="explain-row"
      data-target={row.target}
      data-place={row.place}
      data-kind={row.dropped ? "dropped" : row.passed_over ? "passed" : "asked"}
    >
      <span class="place-number">{row.place || "–"}</span>
      <span class="place-target">
        <a href={link("targets", row.target)}>
          <i class="swatch" style={{ background: colourOf(row.target) }} aria-hidden="true" />
          <Target name={row.target} />
        </a>
        <span class="node-state" data-state={state}>
          <StateGlyph state={state} /> {STATES[state].word}
          {row.tier > 1 && ` · tier ${row.tier}`}
        </span>
      </span>
      <span class="place-score">
        {row.score !== null && (
          <>
            <b>{Number(row.score.toPrecision(4))}</b>
            <span class="bar" aria-hidden="true">
              <i style={{ transform: `scaleX(${Math.abs(row.score) / best})` }} />
            </span>
          </>
        )}
      </span>
      <span class="place-why">
        {row.dropped && <span class="bad-text">Cannot be asked: {row.dropped}. </span>}
        {row.passed_over && <span class="warn-text">Passed over: {row.passed_over}. </span>}
        {Object.entries(row.factors).map(([name, value]) => (
          <span class="chip" key={name}>
            {name.replaceAll("_", " ")} <b>{Number(value.toPrecision(3))}</b>
          </span>
        ))}
      </span>
    </li>
  );
}
