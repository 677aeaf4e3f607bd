// The flow map: the door, the models, the targets, and what runs between them.

import { useEffect, useRef } from "preact/hooks";
import { amount, parts, plural, portion, word } from "./format.ts";
import { flow, OTHERS } from "./flow.ts";
import { rooms } from "./geometry.ts";
import type { TargetRow } from "./messages.ts";
import { Countdown, StateGlyph, Switch, Target } from "./parts.tsx";
import { link } from "./route.ts";
import { Scene } from "./scene.ts";
import { stale, world } from "./store.ts";
import { paint } from "./paint.ts";
import { dark, reduced } from "./theme.ts";
import { STATES, well } from "./tone.ts";

const MOST = { models: 8, targets: 12 };

export function FlowMap() {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const scene = useRef<Scene | null>(null);
  const known = world.value!;
  const map = flow(
    { models: known.models, targets: known.targets.keys(), seconds: known.seconds, requests: known.requests },
    known.at,
    MOST,
  );
  const { models, targets } = rooms(map);
  const rates = new Map<string, { rate: number; failing: number }>();
  for (const { target, rate, failing } of map.links) {
    const sum = rates.get(target) ?? { rate: 0, failing: 0 };
    rates.set(target, { rate: sum.rate + rate, failing: sum.failing + failing });
  }
  const whole = [...rates.values()].reduce((sum, one) => sum + one.rate, 0);
  const byModel = new Map<string, number>();
  for (const { model, rate } of map.links) byModel.set(model, (byModel.get(model) ?? 0) + rate);

  useEffect(() => {
    const made = new Scene(canvas.current!, frame.current!);
    scene.current = made;
    return () => {
      made.stop();
      scene.current = null;
    };
  }, []);
  const [isDark, isStill, isStale] = [dark.value, reduced.value, stale.value];
  useEffect(() => {
    const { colourOf, css } = paint();
    scene.current?.show(map, {
      colourOf: (target) => (target === OTHERS ? css("--muted") : colourOf(target)),
      broken: (target) => known.targets.get(target)?.state === "open",
      allowed: known.models.flatMap((row) => row.targets.map((placed) => [row.model, placed.target] as const)),
      bad: css("--bad"),
      faint: css("--line-strong"),
      neutral: css("--muted"),
      moving: !isStill && !isStale,
    });
  }, [known, isDark, isStill, isStale]);

  return (
    <section class="flow" aria-label="Who answers whom, now">
      <div class="flow-frame" ref={frame} data-testid="flow-map">
        <canvas ref={canvas} aria-hidden="true" />
        <div class="node door-node" data-node="door">
          <span class="node-figure">{amount(map.arriving)}</span>
          <span class="node-unit">requests/s</span>
        </div>
        {models.map((name) => (
          <div class="node model-node" data-node={`m:${name}`} key={`m:${name}`} data-idle={!byModel.get(name)}>
            <b title={name}>{name || `and ${plural(map.moreModels, "more", "more")}`}</b>
            <span>{amount(byModel.get(name) ?? 0)} /s</span>
          </div>
        ))}
        {targets.map((name) =>
          name === OTHERS ? (
            <Rest key="t:" names={map.moreTargets} rate={rates.get(name)?.rate ?? 0} />
          ) : (
            <TargetNode
              key={`t:${name}`}
              row={known.targets.get(name)}
              name={name}
              rate={rates.get(name)?.rate ?? 0}
              failing={rates.get(name)?.failing ?? 0}
              whole={whole}
            />
          ),
        )}
      </div>
    </section>
  );
}

interface NodeProps {
  readonly row: TargetRow | undefined;
  readonly name: string;
  readonly rate: number;
  readonly failing: number;
  readonly whole: number;
}

function TargetNode({ row, name, rate, failing, whole }: NodeProps) {
  const state = row?.state ?? "unknown";
  return (
    <a
      class="node target-node"
      data-node={`t:${name}`}
      data-state={state}
      data-idle={rate === 0}
      href={link("targets", name)}
    >
      <Switch breaker={row?.breaker ?? "closed"} />
      <span class="node-words">
        <Target name={name} />
        <span class="node-state" data-state={state} title={row?.reason || STATES[state].means}>
          <span class="node-provider">{parts(name).provider} </span>
          <StateGlyph state={state} /> {STATES[state].word}
          {row?.until != null && (
            <>
              {" "}
              · <Countdown until={row.until} />
            </>
          )}
          {failing > 0.02 && <em> {amount(failing)} failed/s</em>}
        </span>
      </span>
      <span class="node-rate">
        <b>{amount(rate)}</b> /s
        <small>{portion(rate, whole)}</small>
      </span>
    </a>
  );
}

function Rest({ names, rate }: { readonly names: readonly string[]; readonly rate: number }) {
  const ill = names.filter((name) => {
    const row = world.value!.targets.get(name);
    return row !== undefined && !well(row);
  });
  return (
    <a class="node target-node rest" data-node="t:" href={link("targets")}>
      <span class="node-words">
        <span class="target-name">and {names.length} more</span>
        <span class="node-state">
          {ill.length > 0 ? `${ill.length} not ${word("serving")} as usual` : "none in trouble"}
        </span>
      </span>
      <span class="node-rate">
        <b>{amount(rate)}</b> /s
      </span>
    </a>
  );
}
