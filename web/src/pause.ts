// Lists that run are held while somebody reads them: by the button (or `p`), or while the pointer is over them.

import { signal } from "@preact/signals";

export const paused = signal(false);
export const hovered = signal(false);

export const togglePause = (): void => {
  paused.value = !paused.value;
};
