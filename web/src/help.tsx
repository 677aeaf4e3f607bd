// What the keys do, and how to read the map.

import { useEffect, useRef } from "preact/hooks";

const KEYS: readonly (readonly [string, string])[] = [
  ["1 – 6", "overview, targets, requests, events, explain, configuration"],
  ["/", "go to the filter"],
  ["p", "pause and go on (requests, events)"],
  ["Esc", "close what is open"],
  ["t", "colours: auto, light, dark"],
  ["?", "this help"],
];

export function Help({ onClose }: { readonly onClose: () => void }) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => box.current?.showModal(), []);
  return (
    <dialog ref={box} class="help" onClose={onClose} aria-labelledby="help-title" data-testid="help-dialog">
      <h2 id="help-title">Keyboard</h2>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <h2>Reading the map</h2>
      <p>
        Requests come through the door on the left, name a model, and are answered by a target. The width of a band is
        the rate of answers, now. Thin red strands are attempts that failed. The switch at each target is its circuit
        breaker: while its lever is up, nobody is sent there.
      </p>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
