// Where in the page we are: `#/targets/openai%2Fgpt-4.1` is the section `targets` with one target opened.

import { signal } from "@preact/signals";

export const SECTIONS = ["overview", "targets", "requests", "events", "explain", "configuration"] as const;
export type Section = (typeof SECTIONS)[number];

export interface Route {
  readonly section: Section;
  readonly item: string;
}

function read(hash: string): Route {
  const [, name = "", item = ""] = hash.split("/");
  const section = SECTIONS.find((one) => one === name) ?? "overview";
  try {
    return { section, item: decodeURIComponent(item) };
  } catch {
    return { section, item: "" };
  }
}

export const route = signal<Route>(read(location.hash));
window.addEventListener("hashchange", () => {
  route.value = read(location.hash);
});

export const link = (section: Section, item = ""): string =>
  `#/${section}${item ? `/${encodeURIComponent(item)}` : ""}`;

export const go = (section: Section, item = ""): void => {
  location.hash = link(section, item);
};
