// What stands for the page while there is nothing to look at, or nobody who may.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { BigDoor } from "./door.tsx";
import { connection, signIn } from "./store.ts";

export function SignIn({ message }: { readonly message: string }) {
  const key = useSignal("");
  const busy = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!key.value.trim() || busy.value) return;
    busy.value = true;
    await signIn(key.value.trim());
    busy.value = false;
    field.current?.select();
  };
  return (
    <form class="gate" onSubmit={(event) => void submit(event)} data-testid="signin">
      <BigDoor open={false} />
      <h1>Standfast console</h1>
      <label for="key">Console key</label>
      <input
        id="key"
        ref={field}
        type="password"
        name="password"
        autocomplete="current-password"
        spellcheck={false}
        required
        data-testid="signin-key"
        aria-invalid={message !== ""}
        aria-describedby="key-help key-error"
        value={key.value}
        onInput={(event) => (key.value = event.currentTarget.value)}
      />
      <p id="key-error" class="error" role="alert" data-testid="signin-error">
        {message}
      </p>
      <button type="submit" class="primary" data-testid="signin-submit" disabled={busy.value}>
        {busy.value ? "Looking…" : "Sign in"}
      </button>
      <p id="key-help" class="hint">
        One of the keys that the gateway's configuration names for the console. It is sent once; afterwards the browser
        keeps a cookie that this page cannot read.
      </p>
    </form>
  );
}

export const Closed = ({ message }: { readonly message: string }) => (
  <div class="gate" data-testid="closed">
    <BigDoor open={false} />
    <h1>The console is closed</h1>
    <p class="lead">{message.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</p>
    <button type="button" onClick={() => location.reload()}>
      Try again
    </button>
  </div>
);

export const Starting = () => (
  <div class="gate" data-testid="starting">
    <BigDoor open={connection.value !== "reconnecting"} />
    <p class="lead" role="status">
      {connection.value === "reconnecting" ? "The gateway does not answer. Trying again…" : "Opening…"}
    </p>
  </div>
);
