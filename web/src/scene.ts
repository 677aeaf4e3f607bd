// The flow map's canvas: bands, strands of failures, and particles; and the boxes' places, which move with them.
//
// Rates ease towards what was told last. Nothing moves while the map is out of sight, while the page is stale, or for
// those who prefer less motion: then it is drawn once for each message.

import type { Flow } from "./flow.ts";
import { along, plan, type Band, type Box, type Plan, type Rates } from "./geometry.ts";

export interface Look {
  readonly colourOf: (target: string) => string;
  readonly broken: (target: string) => boolean;
  /** All `model\ntarget` that the configuration allows. */
  readonly allowed: readonly (readonly [string, string])[];
  readonly bad: string;
  readonly faint: string;
  readonly neutral: string;
  readonly moving: boolean;
}

interface Particle {
  readonly key: string;
  readonly lane: number;
  readonly speed: number;
  readonly lost: boolean;
  part: number;
}

const MOST = 170;
const FRAME = 1 / 32; // seconds; more pictures a second cost more than they show
const EASE = 1.6; // seconds until two thirds of a step are done, about

export class Scene {
  private readonly canvas: HTMLCanvasElement;
  private readonly frame: HTMLElement;
  private flow: Flow | null = null;
  private look: Look | null = null;
  private eased = new Map<string, Rates>();
  private particles: Particle[] = [];
  private owed = new Map<string, number>();
  private width = 0;
  private ratio = 1;
  private last = 0;
  private request = 0;
  private seen = true;
  private readonly watchers: { disconnect(): void }[];

  constructor(canvas: HTMLCanvasElement, frame: HTMLElement) {
    this.canvas = canvas;
    this.frame = frame;
    const size = new ResizeObserver(() => this.measure());
    size.observe(frame);
    const sight = new IntersectionObserver((entries) => {
      this.seen = entries.at(-1)!.isIntersecting;
      this.wake();
    });
    sight.observe(frame);
    this.watchers = [size, sight];
  }

  stop(): void {
    cancelAnimationFrame(this.request);
    this.request = 0;
    this.seen = false;
    for (const watcher of this.watchers) watcher.disconnect();
  }

  show(flow: Flow, look: Look): void {
    const first = this.flow === null;
    this.flow = flow;
    this.look = look;
    if (first || !look.moving) this.settle();
    if (this.width === 0) this.measure();
    this.draw(this.arrange());
    this.wake();
  }

  private measure(): void {
    this.width = this.frame.clientWidth;
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    if (this.flow) this.draw(this.arrange());
  }

  private settle(): void {
    this.eased = new Map(this.flow!.links.map((link) => [`${link.model}\n${link.target}`, link]));
    this.particles = [];
  }

  private wake(): void {
    if (this.request || !this.seen || !this.look?.moving) return;
    this.last = performance.now();
    this.request = requestAnimationFrame((at) => this.turn(at));
  }

  private turn(at: number): void {
    this.request = 0;
    if (!this.seen || !this.look?.moving) return;
    const passed = (at - this.last) / 1000;
    if (passed >= FRAME) {
      this.last = at;
      const step = Math.min(passed, 0.1);
      this.ease(step);
      const now = this.arrange();
      this.move(now, step);
      this.draw(now);
    }
    this.request = requestAnimationFrame((next) => this.turn(next));
  }

  private ease(step: number): void {
    const part = 1 - Math.exp(-step / (EASE / 2));
    const wanted = new Map(this.flow!.links.map((link) => [`${link.model}\n${link.target}`, link]));
    for (const key of new Set([...this.eased.keys(), ...wanted.keys()])) {
      const now = this.eased.get(key) ?? { rate: 0, failing: 0 };
      const then = wanted.get(key) ?? { rate: 0, failing: 0 };
      const rate = now.rate + (then.rate - now.rate) * part;
      const failing = now.failing + (then.failing - now.failing) * part;
      if (!wanted.has(key) && rate < 0.003 && failing < 0.003) this.eased.delete(key);
      else this.eased.set(key, { rate, failing });
    }
  }

  private arrange(): Plan {
    const found = plan(this.flow!, this.eased, Math.max(280, this.width));
    const place = (name: string, box: Box | undefined): void => {
      const node = this.frame.querySelector<HTMLElement>(`[data-node="${CSS.escape(name)}"]`);
      if (!node) return;
      node.hidden = box === undefined;
      if (!box) return;
      const key = `${box.x.toFixed(1)} ${box.y.toFixed(1)} ${box.width.toFixed(1)} ${box.height.toFixed(1)}`;
      if (node.dataset["at"] === key) return;
      node.dataset["at"] = key;
      node.style.transform = `translate(${box.x.toFixed(1)}px, ${box.y.toFixed(1)}px)`;
      node.style.width = `${box.width.toFixed(1)}px`;
      node.style.height = `${box.height.toFixed(1)}px`;
    };
    place("door", found.door);
    for (const node of this.frame.querySelectorAll<HTMLElement>('[data-node^="m:"]')) {
      place(node.dataset["node"]!, found.models.get(node.dataset["node"]!.slice(2)));
    }
    for (const [name, box] of found.targets) place(`t:${name}`, box);
    const height = `${found.height}px`;
    if (this.frame.style.height !== height) this.frame.style.height = height;
    return found;
  }

  private move(now: Plan, step: number): void {
    const ways = new Map(now.leaving.map((band) => [band.key, band]));
    this.particles = this.particles.filter((one) => {
      one.part += one.speed * step;
      return one.part < 1.12 && ways.has(one.key);
    });
    const perSecond = [...this.eased.values()].reduce((sum, link) => sum + link.rate, 0);
    const thin = Math.min(1, MOST / 3 / Math.max(perSecond, 0.1)); // of many requests, every second, third ... one
    for (const [key, link] of this.eased) {
      const way = ways.has(key) ? key : `\n${key.split("\n")[1] ?? ""}`;
      this.spawn(way, "+", link.rate * thin * step, false);
      this.spawn(way, "-", Math.min(4, link.failing) * step, true);
    }
  }

  private spawn(key: string, sign: string, more: number, lost: boolean): void {
    let owed = (this.owed.get(sign + key) ?? Math.random()) + more;
    while (owed >= 1) {
      owed -= 1;
      if (this.particles.length < MOST) {
        const lane = lost ? (Math.random() - 0.5) * 0.2 : (Math.random() - 0.5) * 0.8;
        this.particles.push({ key, lane, speed: 0.3 + Math.random() * 0.12, lost, part: 0 });
      }
    }
    this.owed.set(sign + key, owed);
    if (this.owed.size > 500) this.owed.clear();
  }

  private draw(now: Plan): void {
    const { canvas, look, ratio } = this;
    const pen = canvas.getContext("2d");
    if (!pen || !look) return;
    const [wide, tall] = [Math.round(now.width * ratio), Math.round(now.height * ratio)];
    if (canvas.width !== wide || canvas.height !== tall) {
      canvas.width = wide;
      canvas.height = tall;
      canvas.style.width = `${now.width}px`;
      canvas.style.height = `${now.height}px`;
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, now.width, now.height);
    this.hairlines(pen, now, look);
    for (const band of now.entering) ribbon(pen, band, look.neutral, 0.2);
    for (const band of now.leaving) ribbon(pen, band, look.colourOf(band.target), 0.42);
    for (const band of now.leaving) strand(pen, band, look.bad, this.last);
    this.dots(pen, now, look);
  }

  /** Ways that are open to requests and that none takes now. */
  private hairlines(pen: CanvasRenderingContext2D, now: Plan, look: Look): void {
    pen.lineWidth = 1;
    pen.strokeStyle = look.faint;
    const busy = new Set([...now.entering, ...now.leaving].filter((band) => band.width > 0).map((band) => band.key));
    for (const [name, box] of now.models) {
      if (name === "" || busy.has(name)) continue;
      line(pen, now.door.x + now.door.width, middle(now.door), box.x, middle(box));
    }
    for (const [model, target] of look.allowed) {
      const from = now.models.size > 0 ? now.models.get(model) : now.door;
      const to = now.targets.get(target);
      if (!from || !to || busy.has(`${model}\n${target}`) || busy.has(`\n${target}`)) continue;
      pen.setLineDash(look.broken(target) ? [2, 5] : []);
      line(pen, from.x + from.width, middle(from), to.x, middle(to));
    }
    pen.setLineDash([]);
  }

  private dots(pen: CanvasRenderingContext2D, now: Plan, look: Look): void {
    const leaving = new Map(now.leaving.map((band) => [band.key, band]));
    const entering = new Map(now.entering.map((band) => [band.key, band]));
    for (const one of this.particles) {
      const band = leaving.get(one.key);
      if (!band) continue; // the page has become narrow, or wide
      const first = entering.get(one.key.split("\n")[0] ?? "");
      const split = first ? 0.42 : 0; // the model stands at this part of the way
      const colour = one.lost ? look.bad : look.colourOf(band.target);
      const inside = first !== undefined && one.part < split;
      const at = inside ? one.part / split : (one.part - split) / (1 - split);
      if (one.lost && at >= 1 && !inside) {
        // It has met an obstacle: a ring that fades.
        const { x, y } = along(band, 1, one.lane);
        const over = Math.min(1, (one.part - 1) / 0.12);
        pen.globalAlpha = 1 - over;
        pen.strokeStyle = colour;
        pen.lineWidth = 1.5;
        pen.beginPath();
        pen.arc(x - 4, y, 2 + 7 * over, 0, Math.PI * 2);
        pen.stroke();
        continue;
      }
      if (at >= 1) continue;
      const { x, y } = along(inside ? first : band, at, one.lane);
      pen.globalAlpha = Math.min(1, at * 8 + (inside ? 0 : 0.4), (1 - at) * 8 + 0.2);
      pen.fillStyle = colour;
      pen.beginPath();
      pen.arc(x, y, one.lost ? 2.3 : 1.9, 0, Math.PI * 2);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }
}

const middle = (box: Box): number => box.y + box.height / 2;

function line(pen: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  const half = (x0 + x1) / 2;
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.bezierCurveTo(half, y0, half, y1, x1, y1);
  pen.stroke();
}

function ribbon(pen: CanvasRenderingContext2D, band: Band, colour: string, alpha: number): void {
  if (band.width <= 0) return;
  const { x0, x1, y0, y1, width } = band;
  const half = (x0 + x1) / 2;
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.bezierCurveTo(half, y0, half, y1, x1, y1);
  pen.lineTo(x1, y1 + width);
  pen.bezierCurveTo(half, y1 + width, half, y0 + width, x0, y0 + width);
  pen.closePath();
  pen.globalAlpha = alpha;
  pen.fillStyle = colour;
  pen.fill();
  pen.globalAlpha = 1;
}

function strand(pen: CanvasRenderingContext2D, band: Band, colour: string, at: number): void {
  if (band.failing < 0.02) return;
  pen.strokeStyle = colour;
  pen.lineWidth = 1 + Math.min(2, band.failing / 2);
  pen.setLineDash([5, 4]);
  pen.lineDashOffset = -((at / 40) % 9);
  line(pen, band.x0, band.y0 + band.width / 2, band.x1, band.y1 + band.width / 2);
  pen.setLineDash([]);
}
