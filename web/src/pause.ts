// Lists that run are held while somebody reads them: by the button (or `p`), or while the pointer is over them.

import { signal } from "@preact/signals";

export const paused = signal(false);
export const hovered = signal(false);

/** For mice alone: a finger that has left the glass does not say so. */
export const hover = (event: PointerEvent): void => {
  hovered.value = event.type === "pointerenter" && event.pointerType === "mouse";
};

export const togglePause = (): void => {
  paused.value = !paused.value;
};
