// What there is to say, in words: the headline, and one sentence about targets.

import type { TargetRow } from "./messages.ts";
import { judged, type Bin } from "./series.ts";
import { well, type Weather } from "./tone.ts";

/** Does the door stay open? By what became of the requests of the last five minutes, and by nothing else. */
export function headline(five: Pick<Bin, "answered" | "failed">, sky: Weather): string {
  const asked = judged(five);
  if (asked === 0) return sky === "idle" ? "The door is open." : "The door is open, with trouble behind it.";
  const lost = five.failed / asked;
  if (lost === 0) return "The door stays open.";
  if (lost < 0.01) return "The door stays open, nearly for all.";
  if (lost < 0.2) return "Requests are failing.";
  return lost < 0.999 ? "The door is closing." : "The door is closed.";
}

/** Who is not well and why, and who answers instead; the first two by name. */
export function story(rows: readonly TargetRow[], recent: Pick<Bin, "answers">): string {
  if (rows.length === 0) return "No target is configured.";
  const ill = rows.filter((row) => !well(row));
  const heard = [...recent.answers].sort(([, left], [, right]) => right - left)[0]?.[0];
  if (ill.length === 0) {
    const [one, all] = heard ? ["serves as usual", "serve as usual"] : ["is ready", "are ready"];
    return rows.length === 1 ? `Its target ${one}.` : `All ${rows.length} targets ${all}.`;
  }
  const names = ill.slice(0, 2).map((row) => {
    const state = row.state === "open" ? "out" : row.state;
    return `${row.target} is ${state}${row.reason ? `: ${row.reason}` : ""}`;
  });
  const rest = ill.length - names.length;
  const more =
    rest > 0 ? `; ${rest} more ${rest === 1 ? "is" : "are"} not as ${rest === 1 ? "it" : "they"} should be` : "";
  const instead = heard && ill.some((row) => row.state === "open") ? ` Most is answered by ${heard}.` : "";
  return `${names.join("; ")}${more}.${instead}`;
}
