// Light, dark, or as the system has it: remembered in this browser.

import { computed, effect, signal } from "@preact/signals";

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const SHELF = "standfast.theme";

function remembered(): Theme {
  try {
    return THEMES.find((one) => one === localStorage.getItem(SHELF)) ?? "auto";
  } catch {
    return "auto"; // storage is forbidden: then it is not remembered
  }
}

const system = window.matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(system.matches);
system.addEventListener("change", () => {
  systemDark.value = system.matches;
});

export const theme = signal<Theme>(remembered());
export const dark = computed(() => (theme.value === "auto" ? systemDark.value : theme.value === "dark"));

/** How many of the columns that a table may do without there is room for: styles/narrow.css hides them at the same widths. */
const STEPS = [760, 1180, 1500].map((width) => window.matchMedia(`(width >= ${width}px)`));
const roomy = (): number => STEPS.filter((step) => step.matches).length;
export const room = signal(roomy());
for (const step of STEPS) step.addEventListener("change", () => (room.value = roomy()));

const still = window.matchMedia("(prefers-reduced-motion: reduce)");
export const reduced = signal(still.matches);
still.addEventListener("change", () => {
  reduced.value = still.matches;
});

export function turnTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!;
  try {
    localStorage.setItem(SHELF, theme.value);
  } catch {
    // as above
  }
}

effect(() => {
  document.documentElement.dataset["theme"] = dark.value ? "dark" : "light";
});
