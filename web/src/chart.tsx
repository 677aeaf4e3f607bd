// A chart over time: layers upon each other, or lines; with the marks of events on its axis.

import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock } from "./format.ts";
import type { EventRow } from "./messages.ts";
import { Target } from "./parts.tsx";
import { stacked } from "./series.ts";
import { toneOf } from "./tone.ts";
import { paint } from "./paint.ts";
import { dark } from "./theme.ts";

export interface Layer {
  readonly name: string;
  readonly colour: string;
  readonly values: readonly (number | null)[];
  readonly target?: boolean;
}

export interface ChartProps {
  readonly title: string;
  readonly unit: string;
  readonly stack: boolean;
  readonly times: readonly number[];
  readonly layers: readonly Layer[];
  readonly from: number;
  readonly to: number;
  readonly events: readonly EventRow[];
  readonly format: (value: number) => string;
  readonly testid: string;
  readonly empty: string;
}

/** The instant under the pointer, in all charts; null while it is elsewhere. */
export const pointed = signal<number | null>(null);

const HEIGHT = 176;

export function Chart(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const index = useSignal<number | null>(null);
  const shape = `${props.stack} ${dark.value} ${props.layers.map((layer) => layer.name + layer.colour).join()}`;

  useEffect(() => {
    const frame = box.current!;
    const made = new uPlot(
      options(latest, (at) => (index.value = at), frame.clientWidth),
      data(latest.current),
      frame,
    );
    plot.current = made;
    const size = new ResizeObserver(() => made.setSize({ width: frame.clientWidth, height: HEIGHT }));
    size.observe(frame);
    return () => {
      size.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data(props)), [props.times, props.layers, props.from, props.to]);

  const at = index.value !== null && index.value < props.times.length ? index.value : props.times.length - 1;
  const quiet = props.layers.every((layer) => layer.values.every((value) => !value));
  return (
    <figure class="chart" data-testid={props.testid}>
      <figcaption>
        <h3>
          {props.title} <small>{props.unit}</small>
        </h3>
        <ul class="legend">
          {(props.stack ? [...props.layers].reverse() : props.layers).map((layer) => {
            const value = layer.values[at];
            return (
              <li key={layer.name}>
                <i style={{ background: layer.colour }} aria-hidden="true" />
                {layer.target ? <Target name={layer.name} /> : layer.name}
                <b>{value === null || value === undefined ? "–" : props.format(value)}</b>
              </li>
            );
          })}
        </ul>
      </figcaption>
      <div class="plot" ref={box} aria-hidden="true" />
      {quiet && <p class="plot-empty">{props.empty}</p>}
    </figure>
  );
}

function data({ stack, times, layers }: ChartProps): uPlot.AlignedData {
  const rows = layers.map((layer) => layer.values);
  return [[...times], ...(stack ? stacked(rows) : rows.map((row) => [...row]))];
}

function options(latest: { current: ChartProps }, point: (index: number | null) => void, width: number): uPlot.Options {
  const { css } = paint();
  const { stack, layers } = latest.current;
  const stepped = uPlot.paths.stepped!({ align: -1 });
  const axis = { stroke: css("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, sync: { key: "console" } },
    scales: {
      x: { time: true, range: () => [latest.current.from, latest.current.to] },
      y: { range: (_plot, _low, high) => [0, Math.max(stack ? 0.5 : 50, (high || 0) * 1.12)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 70,
        size: 34,
        gap: 12,
        values: (_plot, splits) => splits.map((at) => clock(at, false)),
      },
      {
        ...axis,
        size: 46,
        space: 44,
        grid: { stroke: css("--line"), width: 1 },
        values: (_plot, splits) => splits.map((value) => (value ? latest.current.format(value) : "0")),
      },
    ],
    series: [
      {},
      ...layers.map((layer, index) => ({
        label: layer.name,
        stroke: layer.colour,
        width: stack ? 0 : index === 0 ? 2 : 1.25,
        paths: stepped,
        points: { show: false },
        ...(stack ? { fill: layer.colour + "cc" } : {}),
      })),
    ],
    bands: stack
      ? layers
          .slice(1)
          .map((layer, index) => ({ series: [index + 2, index + 1] as [number, number], fill: layer.colour + "cc" }))
      : [],
    hooks: {
      draw: [(plot) => marks(plot, latest.current.events, css)],
      setCursor: [
        (plot) => {
          const index = plot.cursor.idx ?? null;
          const left = plot.cursor.left ?? -1;
          point(left < 0 ? null : index);
          pointed.value = left < 0 ? null : plot.posToVal(left, "x");
        },
      ],
    },
  };
}

/** A small mark on the axis for each event: up for what got better, down for what got worse. */
function marks(plot: uPlot, events: readonly EventRow[], css: (name: string) => string): void {
  const pen = plot.ctx;
  const unit = devicePixelRatio || 1;
  const floor = plot.bbox.top + plot.bbox.height;
  pen.save();
  for (const event of events) {
    const x = plot.valToPos(event.at, "x", true);
    if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) continue;
    const tone = toneOf(event);
    const [up, size] = [tone === "bad" ? -1 : 1, 4 * unit];
    pen.fillStyle = css(tone === "bad" ? "--bad" : tone === "good" ? "--good" : "--muted");
    pen.globalAlpha = tone === "neutral" ? 0.7 : 1;
    pen.beginPath();
    if (tone === "neutral") pen.arc(x, floor + 5 * unit, 2 * unit, 0, Math.PI * 2);
    else {
      const y = floor + 5 * unit + (up * size) / 2;
      pen.moveTo(x - size, y);
      pen.lineTo(x + size, y);
      pen.lineTo(x, y - up * size * 1.4);
    }
    pen.fill();
    if (tone !== "neutral") {
      pen.globalAlpha = 0.35;
      pen.fillRect(x - unit / 2, plot.bbox.top, unit, plot.bbox.height);
    }
  }
  pen.restore();
}
