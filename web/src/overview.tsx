// Does the door stay open? One look.

import { EventLine } from "./events.tsx";
import { FlowMap } from "./flowmap.tsx";
import { Hero } from "./hero.tsx";
import { Charts } from "./over_time.tsx";
import { link } from "./route.ts";
import { world } from "./store.ts";

export function Overview() {
  return (
    <>
      <h1 class="unseen">Overview</h1>
      <Hero />
      <FlowMap />
      <Charts />
      <Latest />
    </>
  );
}

function Latest() {
  const rows = world.value!.events.slice(-5).reverse();
  return (
    <section class="latest" aria-label="Latest changes">
      <header>
        <h2>Latest changes of state</h2>
        <a href={link("events")}>all events</a>
      </header>
      {rows.length === 0 ? (
        <p class="quiet-text">Nothing has changed its state yet. Breakers, rests and recoveries will be told here.</p>
      ) : (
        <ol class="feed">
          {rows.map((event) => (
            <EventLine key={event.seq} event={event} />
          ))}
        </ol>
      )}
    </section>
  );
}
