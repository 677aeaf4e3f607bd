// The configuration as the gateway reads it, without its secrets; and reading it again.

import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, told, type Configuration as Read } from "./api.ts";
import { Copy, Empty } from "./parts.tsx";
import { mayAct, world } from "./store.ts";
import { marks, type Kind } from "./yaml.ts";

const read = signal<Read | null>(null);
const problem = signal("");

async function load(): Promise<void> {
  try {
    read.value = await api.configuration();
    problem.value = "";
  } catch (thrown) {
    problem.value = told(thrown);
  }
}

export function Configuration() {
  useEffect(() => void load(), []);
  const known = read.value;
  return (
    <section class="sheet" aria-labelledby="configuration-title">
      <header class="sheet-head">
        <h1 id="configuration-title">Configuration</h1>
        <p class="quiet-text">
          {known && (known.path ? <code>{known.path}</code> : "made from the environment; there is no file")}
          {known && ", as it holds now, without secrets"}
        </p>
        {known && <Copy text={known.text} what="the configuration" />}
        <Reload />
      </header>
      {problem.value ? (
        <Empty title="It cannot be shown.">
          <p>{problem.value}</p>
        </Empty>
      ) : (
        known && <Text text={known.text} />
      )}
    </section>
  );
}

function Reload() {
  const said = useSignal<{ readonly text: string; readonly tone: "good" | "bad" | "" }>({ text: "", tone: "" });
  const busy = useSignal(false);
  const reload = async (): Promise<void> => {
    busy.value = true;
    try {
      const waiting = (await api.reload()).waiting_for_restart;
      const rest = waiting.length > 0 ? ` These wait for a restart: ${waiting.join(", ")}.` : "";
      said.value = { text: `Read again, and in force.${rest}`, tone: "good" };
      await load();
    } catch (thrown) {
      said.value = { text: `Refused, the old one stays in force: ${told(thrown)}`, tone: "bad" };
    }
    busy.value = false;
  };
  const operator = world.value!.session.role === "operator";
  return (
    <>
      {operator && (
        <button type="button" onClick={() => void reload()} disabled={busy.value || !mayAct.value} data-testid="reload">
          {busy.value ? "Reading…" : "Reload the file"}
        </button>
      )}
      <p class="said wide-said" data-tone={said.value.tone} role="status" data-testid="reload-result">
        {said.value.text}
      </p>
    </>
  );
}

const KINDS: readonly Kind[] = ["key", "text", "figure", "comment", "secret"];

/** One text node, coloured by ranges: a file of any length costs the page nothing. Browsers without them show it plain. */
function Text({ text }: { readonly text: string }) {
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    const node = box.current?.firstChild;
    if (!node || !("highlights" in CSS)) return;
    const found = marks(text);
    for (const kind of KINDS) {
      const ranges = found
        .filter((mark) => mark.kind === kind)
        .map((mark) => {
          const range = new StaticRange({
            startContainer: node,
            startOffset: mark.from,
            endContainer: node,
            endOffset: mark.to,
          });
          return range;
        });
      CSS.highlights.set(`yaml-${kind}`, new Highlight(...ranges));
    }
    return () => KINDS.forEach((kind) => CSS.highlights.delete(`yaml-${kind}`));
  }, [text]);
  const lines = text.replace(/\n$/, "").split("\n").length;
  return (
    <div class="yaml" data-testid="configuration-text">
      <pre class="line-numbers" aria-hidden="true">
        {Array.from({ length: lines }, (_, index) => index + 1).join("\n")}
      </pre>
      <pre tabIndex={0} aria-label="The configuration">
        <code ref={box}>{text}</code>
      </pre>
    </div>
  );
}
