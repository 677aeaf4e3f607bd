// Colours for what is drawn rather than styled.

import { computed } from "@preact/signals";
import { palette, places } from "./colours.ts";
import { world } from "./store.ts";
import { dark } from "./theme.ts";

const names = computed(() => [...(world.value?.targets.keys() ?? [])].join("\n"));
const slots = computed(() => places(names.value.split("\n")));

export const colourOf = (target: string): string => {
  const colours = palette(dark.value);
  return colours[(slots.value.get(target) ?? 0) % colours.length]!;
};

export function paint(): { readonly colourOf: (target: string) => string; readonly css: (name: string) => string } {
  const style = getComputedStyle(document.documentElement);
  return { colourOf, css: (name) => style.getPropertyValue(name).trim() };
}
