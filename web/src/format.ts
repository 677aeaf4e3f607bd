// Numbers and instants as people read them. Every figure gets its unit here, and nowhere else.
//
// A figure is split into `value` and `unit`, because the two are set in different sizes. Absence is an en dash.

export interface Figure {
  readonly value: string;
  readonly unit: string;
}

export const NONE = "–";
const NARROW = "\u202f"; // a narrow space that does not break, between a number and its unit

const figure = (value: string, unit: string): Figure => ({ value, unit });

export const written = ({ value, unit }: Figure): string => (unit && value !== NONE ? value + NARROW + unit : value);

/** Three significant digits, no exponent, thousands as k, M, G. */
export function amount(number: number): string {
  const size = Math.abs(number);
  if (size < 0.005) return "0";
  if (size < 10) return trimmed(number.toFixed(size < 1 ? 2 : 1));
  if (size < 999.5) return number.toFixed(0);
  if (size < 9_995) return `${(number / 1e3).toFixed(1)}${NARROW}k`;
  if (size < 999_500) return `${(number / 1e3).toFixed(0)}${NARROW}k`;
  if (size < 999_500_000) return `${(number / 1e6).toFixed(size < 9_950_000 ? 1 : 0)}${NARROW}M`;
  return `${(number / 1e9).toFixed(1)}${NARROW}G`;
}

const trimmed = (text: string): string => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** Whole things: no fraction below a thousand. */
export const count = (number: number): string => (Math.abs(number) < 999.5 ? number.toFixed(0) : amount(number));

export const rate = (perSecond: number, what = "/s"): Figure => figure(amount(perSecond), what);

/** Milliseconds; from a second on in seconds, from two minutes on in minutes. */
export function lasting(ms: number | null | undefined): Figure {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return figure(NONE, "ms");
  if (ms < 9.95) return figure(ms.toFixed(1), "ms");
  if (ms < 999.5) return figure(ms.toFixed(0), "ms");
  if (ms < 9_995) return figure((ms / 1e3).toFixed(2), "s");
  if (ms < 119_500) return figure((ms / 1e3).toFixed(1), "s");
  return figure((ms / 60e3).toFixed(1), "min");
}

/**
 * A share as a percentage that never flatters: only a flawless share reads 100, and a share that is not nothing does
 * not read 0. It is rounded down, with as many nines as the number of cases can carry.
 */
export function share(part: number, whole: number): Figure {
  if (whole <= 0) return figure(NONE, "%");
  const percent = (100 * part) / whole;
  if (part >= whole) return figure("100", "%");
  const digits = percent >= 99.9 ? (whole >= 10_000 ? 3 : 2) : percent >= 90 ? 2 : 1;
  const down = Math.floor(percent * 10 ** digits + 1e-9) / 10 ** digits;
  return figure(down <= 0 && part > 0 ? (10 ** -digits).toFixed(digits) : down.toFixed(digits), "%");
}

/** Whole percents, for shares of traffic. */
export function portion(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return `0${NARROW}%`;
  const percent = (100 * part) / whole;
  return `${percent < 1 ? "<1" : percent > 99 && part < whole ? ">99" : percent.toFixed(0)}${NARROW}%`;
}

export const dollars = (usd: number | null | undefined): string =>
  usd === null || usd === undefined
    ? NONE
    : usd === 0
      ? "$0"
      : usd < 0.01
        ? `$${usd.toPrecision(2)}`
        : `$${usd.toFixed(2)}`;

const two = (number: number): string => String(number).padStart(2, "0");

/** Time of day, local. */
export function clock(at: number, seconds = true): string {
  const date = new Date(at * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
}

/** Date, time of day with milliseconds, and distance to UTC: for those who compare with a log. */
export function exact(at: number): string {
  const date = new Date(at * 1000);
  const zone = -date.getTimezoneOffset();
  const sign = zone < 0 ? "-" : "+";
  const offset = `${sign}${two(Math.floor(Math.abs(zone) / 60))}:${two(Math.abs(zone) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clock(at)}.${String(date.getMilliseconds()).padStart(3, "0")} ${offset}`;
}

/** A duration in seconds in its two largest units at most. */
export function span(seconds: number): string {
  const left = Math.max(0, seconds);
  if (left < 60) return `${Math.floor(left)}${NARROW}s`;
  if (left < 3_600) {
    const rest = Math.floor(left % 60);
    return `${Math.floor(left / 60)}${NARROW}min${rest && left < 600 ? ` ${rest}${NARROW}s` : ""}`;
  }
  if (left < 86_400) {
    const rest = Math.floor((left % 3_600) / 60);
    return `${Math.floor(left / 3_600)}${NARROW}h${rest ? ` ${rest}${NARROW}min` : ""}`;
  }
  const rest = Math.floor((left % 86_400) / 3_600);
  return `${Math.floor(left / 86_400)}${NARROW}d${rest ? ` ${rest}${NARROW}h` : ""}`;
}

export const ago = (at: number, now: number): string => (now - at < 1 ? "now" : `${span(now - at)} ago`);

/** What is left of a wait; ten seconds before its end with a tenth, so that it is seen to run. */
export function remaining(until: number, now: number): string {
  const left = until - now;
  if (left <= 0) return `0${NARROW}s`;
  return left < 10 ? `${left.toFixed(1)}${NARROW}s` : span(left);
}

/** `provider/model` in its two parts; a name without a stroke has no provider. */
export function parts(target: string): { readonly provider: string; readonly model: string } {
  const stroke = target.indexOf("/");
  return { provider: target.slice(0, Math.max(0, stroke)), model: target.slice(stroke + 1) };
}

/** Words that the gateway uses as identifiers: `half_open` reads `half-open`. */
export const word = (identifier: string): string =>
  identifier === "half_open" ? "half-open" : identifier.replaceAll("_", " ");

export const plural = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;
