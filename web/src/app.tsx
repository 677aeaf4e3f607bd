// The frame: top bar, navigation, banners, keyboard, and what stands for the page while nobody may look.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Configuration } from "./configuration.tsx";
import { EventsView } from "./events.tsx";
import { Explain } from "./explain.tsx";
import { clock, ago, share, written } from "./format.ts";
import { Door } from "./door.tsx";
import { Closed, SignIn, Starting } from "./gate.tsx";
import { Help } from "./help.tsx";
import bad from "./icons/bad.svg?no-inline";
import good from "./icons/good.svg?no-inline";
import idle from "./icons/idle.svg?no-inline";
import warn from "./icons/warn.svg?no-inline";
import { Overview } from "./overview.tsx";
import { Requests } from "./requests.tsx";
import { hovered, togglePause } from "./pause.ts";
import { go, link, route, SECTIONS, type Section } from "./route.ts";
import { judged } from "./series.ts";
import { connection, gate, heardAt, lately, now, signOut, sky, stale, world } from "./store.ts";
import { Targets } from "./targets.tsx";
import { theme, turnTheme } from "./theme.ts";
import { well } from "./tone.ts";

const NAMES: Readonly<Record<Section, string>> = {
  overview: "Overview",
  targets: "Targets",
  requests: "Requests",
  events: "Events",
  explain: "Explain",
  configuration: "Configuration",
};

const ICONS = { idle, good, warn, bad } as const;

export function App() {
  const help = useSignal(false);
  useKeys(() => (help.value = !help.value));
  useTitle();
  useSection();
  const now = gate.value;
  if (now.kind === "signin")
    return (
      <Outside>
        <SignIn message={now.message} />
      </Outside>
    );
  if (now.kind === "shut")
    return (
      <Outside>
        <Closed message={now.message} />
      </Outside>
    );
  if (world.value === null)
    return (
      <Outside>
        <Starting />
      </Outside>
    );
  return (
    <>
      <TopBar onHelp={() => (help.value = true)} />
      <Banners />
      <main id="content" class={stale.value ? "stale" : ""} tabIndex={-1}>
        <View section={route.value.section} />
      </main>
      <Foot />
      {help.value && <Help onClose={() => (help.value = false)} />}
    </>
  );
}

function View({ section }: { readonly section: Section }) {
  switch (section) {
    case "overview":
      return <Overview />;
    case "targets":
      return <Targets />;
    case "requests":
      return <Requests />;
    case "events":
      return <EventsView />;
    case "explain":
      return <Explain />;
    case "configuration":
      return <Configuration />;
  }
}

const Outside = ({ children }: { readonly children: ComponentChildren }) => (
  <main class="outside" id="content">
    {children}
    <span hidden data-testid="connection" data-state={connection.value} />
  </main>
);

function TopBar({ onHelp }: { readonly onHelp: () => void }) {
  const { session, targets } = world.value!;
  const ill = [...targets.values()].filter((row) => !well(row)).length;
  return (
    <header class="top">
      <a
        class="skip"
        href="#content"
        onClick={(event) => (event.preventDefault(), document.getElementById("content")?.focus())}
      >
        Skip to the content
      </a>
      <a class="brand" href={link("overview")} aria-label="Standfast console, overview">
        <Door mood={stale.value ? "idle" : sky.value} />
        <span>Standfast</span>
      </a>
      <nav aria-label="Sections">
        {SECTIONS.map((section) => (
          <a
            key={section}
            href={link(section)}
            data-testid={`nav-${section}`}
            aria-current={route.value.section === section ? "page" : undefined}
          >
            {NAMES[section]}
            {section === "targets" && ill > 0 && (
              <span class="count" title={`${ill} not serving as usual`}>
                {ill}
                <span class="unseen"> not serving as usual</span>
              </span>
            )}
          </a>
        ))}
      </nav>
      <div class="tools">
        <Connection />
        <button
          type="button"
          class="quiet"
          onClick={turnTheme}
          data-testid="theme"
          title="Colours: auto, light or dark"
        >
          <ThemeGlyph /> <span class="wide">{theme.value}</span>
          <span class="unseen">colours</span>
        </button>
        <button type="button" class="quiet" onClick={onHelp} aria-label="Keyboard and help" data-testid="help">
          ?
        </button>
        {!session.open && (
          <button
            type="button"
            class="quiet"
            onClick={() => void signOut()}
            title={`${session.name}, ${session.role}`}
            data-testid="signout"
          >
            Sign out
          </button>
        )}
      </div>
    </header>
  );
}

const ThemeGlyph = () => (
  <svg class="glyph" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
    <circle cx="6" cy="6" r="4.6" fill="none" stroke="currentColor" stroke-width="1.3" />
    {theme.value !== "light" && (
      <path
        d={theme.value === "dark" ? "M6 1.4a4.6 4.6 0 0 1 0 9.2 4.6 4.6 0 0 1 0-9.2z" : "M6 1.4a4.6 4.6 0 0 1 0 9.2z"}
        fill="currentColor"
      />
    )}
  </svg>
);

const WORDS = { live: "live", reconnecting: "reconnecting", closed: "closed" } as const;

const Connection = () => (
  <span class="connection" data-testid="connection" data-state={connection.value} role="status" aria-live="polite">
    <i aria-hidden="true" />
    {WORDS[connection.value]}
  </span>
);

function Banners() {
  const { draining, seen, session } = world.value!;
  return (
    <>
      {stale.value && (
        <p class="banner" data-tone="warn" data-testid="stale">
          <b>The connection is lost.</b> What you see is of {clock(heardAt.value)}
          {now.value - heardAt.value >= 1 && `, ${ago(heardAt.value, now.value)}`}; it comes back by itself when the
          gateway does.
        </p>
      )}
      {draining && (
        <p class="banner" data-tone="warn" data-testid="draining">
          <b>This gateway is about to end.</b> It finishes what is under way and takes nothing new.
        </p>
      )}
      {seen < session.workers && (
        <p class="banner" data-tone="warn" data-testid="workers">
          <b>
            {seen} of {session.workers} processes.
          </b>{" "}
          What you see is of these together; the others are being started or do not answer, and come back by themselves.
        </p>
      )}
    </>
  );
}

const Foot = () => {
  const { seen, session, started } = world.value!;
  return (
    <footer class="foot">
      <span>Standfast {session.version}</span>
      {session.workers > 1 && seen === session.workers && <span data-testid="workers">{seen} processes together</span>}
      <span>
        up since {clock(started, false)}, {ago(started, now.value).replace(" ago", "")}
      </span>
      <span>{session.open ? "open on this machine, no key needed" : `${session.name}, ${session.role}`}</span>
    </footer>
  );
};

function useKeys(help: () => void): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || world.value === null) return;
      const at = event.target as HTMLElement;
      const typing = at.matches("input:not([type=checkbox]):not([type=range]), textarea, select");
      if (event.key === "Escape" && typing) at.blur();
      else if (event.key === "Escape" && route.value.item) go(route.value.section);
      if (typing || document.querySelector("dialog[open]")) return;
      const section = SECTIONS[Number(event.key) - 1];
      if (section) go(section);
      else if (event.key === "/") {
        event.preventDefault();
        document.querySelector<HTMLInputElement>("[data-filter]")?.focus();
      } else if (event.key === "p") togglePause();
      else if (event.key === "t") turnTheme();
      else if (event.key === "?") help();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}

/** Another section begins at its top, and its name in the navigation is in sight. */
function useSection(): void {
  const { section } = route.value;
  useEffect(() => {
    window.scrollTo(0, 0);
    hovered.value = false; // what was under the pointer is gone, and will not tell that it was left
    document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [section]);
}

function useTitle(): void {
  useSignalEffect(() => {
    const sum = lately.value;
    const mood = stale.value || sum === null ? "idle" : sky.value;
    const asked = sum ? judged(sum) : 0;
    const figure = stale.value ? "reconnecting" : sum && asked > 0 ? written(share(sum.answered, asked)) : "";
    const mark = mood === "bad" ? "✕ " : mood === "warn" ? "△ " : "";
    document.title = `${mark}${figure ? `${figure} · ` : ""}Standfast`;
    const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (icon && !icon.href.endsWith(ICONS[mood])) icon.href = ICONS[mood];
  });
}
