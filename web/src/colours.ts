// One colour for each target, the same in every chart, and the same again tomorrow.

const SLOTS = 12;

/** FNV-1a: short, and it spreads names that differ in one letter. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value >>> 0;
}

/**
 * The place of each name in the palette. A name has its place by itself; only where two would share one, the later in
 * the alphabet takes the next that is free. So a target that is added rarely changes the colours of the others.
 */
export function places(names: Iterable<string>): Map<string, number> {
  const found = new Map<string, number>();
  const taken = new Array<number>(SLOTS).fill(0);
  for (const name of [...new Set(names)].sort()) {
    const least = Math.min(...taken);
    let slot = hash(name) % SLOTS;
    while (taken[slot]! > least) slot = (slot + 1) % SLOTS;
    taken[slot]! += 1;
    found.set(name, slot);
  }
  return found;
}

// Hues a step apart in neither scheme are neighbours in the palette, so that two taken side by side differ. None is the
// red of failures.
const DARK = [
  "#45b8ac",
  "#e0a03e",
  "#6c9cf2",
  "#d478a8",
  "#9bbf4d",
  "#a88bef",
  "#e58652",
  "#55bde0",
  "#c9b26a",
  "#c583d8",
  "#69cc8d",
  "#93a4bd",
];
const LIGHT = [
  "#128478",
  "#b06f08",
  "#2f66cf",
  "#b03f7c",
  "#5c7f10",
  "#6f4fc9",
  "#b9551d",
  "#14799f",
  "#8a7220",
  "#9140a8",
  "#278a4b",
  "#586b86",
];

export const palette = (dark: boolean): readonly string[] => (dark ? DARK : LIGHT);
