// Where everything on the flow map stands: boxes in three columns, bands between them.
//
// A band's width is its rate times one factor for the whole map, chosen so that five minutes' peak fits. Boxes keep
// their order; they are as high as their bands need, at least as high as their words, and share what is left as gaps.

import { OTHERS, type Flow } from "./flow.ts";

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Band {
  readonly key: string;
  readonly target: string;
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
  readonly width: number;
  readonly failing: number;
}

export interface Plan {
  readonly width: number;
  readonly height: number;
  readonly door: Box;
  readonly models: ReadonlyMap<string, Box>;
  readonly targets: ReadonlyMap<string, Box>;
  /** From the door to a model (or, on a narrow page, straight to the targets). */
  readonly entering: readonly Band[];
  readonly leaving: readonly Band[];
}

export interface Rates {
  readonly rate: number;
  readonly failing: number;
}

export const NARROW = 700;
const WORDS = 40;
const GAP = 8;

/** Rooms for these names, from top to bottom. */
export function rooms(flow: Flow): { readonly models: readonly string[]; readonly targets: readonly string[] } {
  return {
    models: flow.moreModels > 0 ? [...flow.models, OTHERS] : flow.models,
    targets: flow.moreTargets.length > 0 ? [...flow.targets, OTHERS] : flow.targets,
  };
}

export function heightFor(flow: Flow): number {
  const { models, targets } = rooms(flow);
  return Math.max(200, Math.max(targets.length, models.length) * (WORDS + GAP) + 46);
}

function column(names: readonly string[], widths: readonly number[], x: number, width: number, height: number) {
  const tall = widths.map((band) => Math.max(WORDS, band + 8));
  const free = height - tall.reduce((sum, one) => sum + one, 0);
  const gap = Math.min(64, Math.max(2, free / names.length));
  let y = (height - tall.reduce((sum, one) => sum + one, 0) - gap * (names.length - 1)) / 2;
  const found = new Map<string, Box>();
  names.forEach((name, index) => {
    found.set(name, { x, y, width, height: tall[index]! });
    y += tall[index]! + gap;
  });
  return found;
}

/**
 * The plan for these links.
 *
 * @param links the rates to draw, by `model\ntarget`: those of the flow, or what eases towards them
 */
export function plan(flow: Flow, links: ReadonlyMap<string, Rates>, width: number): Plan {
  const height = heightFor(flow);
  const { models, targets } = rooms(flow);
  const narrow = width < NARROW;
  const scale = Math.min(height * 0.42, 150) / Math.max(flow.peak, 0.25);
  const thick = (rate: number): number => (rate < 0.004 ? 0 : Math.max(1.5, rate * scale));

  const entries = [...links].map(([key, rates]) => {
    const [model = "", target = ""] = key.split("\n");
    return { key, model, target, ...rates, width: thick(rates.rate) };
  });
  const of = (key: "model" | "target", name: string): typeof entries => entries.filter((entry) => entry[key] === name);
  const widthOf = (some: typeof entries): number => some.reduce((sum, entry) => sum + entry.width, 0);

  const doorWidth = narrow ? 74 : 132;
  const targetWidth = narrow ? Math.min(240, width - doorWidth - 44) : Math.min(350, Math.max(270, width * 0.25));
  const modelWidth = Math.min(200, Math.max(120, width * 0.15));
  const modelX = doorWidth + (width - doorWidth - targetWidth - modelWidth) * 0.42;
  const targetX = width - targetWidth;

  const targetBoxes = column(
    targets,
    targets.map((name) => widthOf(of("target", name))),
    targetX,
    targetWidth,
    height,
  );
  const modelBoxes = narrow
    ? new Map<string, Box>()
    : column(
        models,
        models.map((name) => widthOf(of("model", name))),
        modelX,
        modelWidth,
        height,
      );
  const doorHeight = Math.max(84, widthOf(entries) + 20);
  const door = { x: 0, y: (height - doorHeight) / 2, width: doorWidth, height: doorHeight };

  const middle = (box: Box): number => box.y + box.height / 2;
  const entering: Band[] = [];
  const leaving: Band[] = [];
  // Every side of a box gives its bands places from top to bottom, in the order of the boxes at their other ends.
  const arrivals = new Map(
    targets.map((name) => [name, middle(targetBoxes.get(name)!) - widthOf(of("target", name)) / 2]),
  );
  let fromDoor = middle(door) - widthOf(entries) / 2;
  if (narrow) {
    for (const name of targets) {
      const box = targetBoxes.get(name)!;
      const some = of("target", name);
      const band = widthOf(some);
      const failing = some.reduce((sum, entry) => sum + entry.failing, 0);
      leaving.push({
        key: `\n${name}`,
        target: name,
        x0: doorWidth,
        y0: fromDoor,
        x1: box.x,
        y1: arrivals.get(name)!,
        width: band,
        failing,
      });
      fromDoor += band;
    }
    return { width, height, door, models: modelBoxes, targets: targetBoxes, entering, leaving };
  }
  for (const model of models) {
    const box = modelBoxes.get(model)!;
    const mine = of("model", model);
    const whole = widthOf(mine);
    const failing = mine.reduce((sum, entry) => sum + entry.failing, 0);
    entering.push({
      key: model,
      target: "",
      x0: doorWidth,
      y0: fromDoor,
      x1: box.x,
      y1: middle(box) - whole / 2,
      width: whole,
      failing,
    });
    fromDoor += whole;
    let y0 = middle(box) - whole / 2;
    for (const target of targets) {
      const entry = mine.find((one) => one.target === target);
      if (!entry) continue;
      const end = targetBoxes.get(target)!;
      const y1 = arrivals.get(target)!;
      leaving.push({
        key: entry.key,
        target,
        x0: box.x + box.width,
        y0,
        x1: end.x,
        y1,
        width: entry.width,
        failing: entry.failing,
      });
      y0 += entry.width;
      arrivals.set(target, y1 + entry.width);
    }
  }
  return { width, height, door, models: modelBoxes, targets: targetBoxes, entering, leaving };
}

/** A point on a band: `part` of the way, `lane` from -0.5 (upper edge) to 0.5. */
export function along(band: Band, part: number, lane: number): { readonly x: number; readonly y: number } {
  const eased = part * part * (3 - 2 * part); // the height of a cubic whose handles lie level, halfway
  const y = band.y0 + (band.y1 - band.y0) * eased;
  return { x: band.x0 + (band.x1 - band.x0) * part, y: y + band.width * (0.5 + lane) };
}
