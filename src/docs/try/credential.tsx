// The key or token that the forms send. It lives in this page's memory, and ends with it.
import { useEffect, useState } from "preact/hooks";

let current = "";
const watchers = new Set<() => void>();

/** Returns the credential, and has the component drawn again when it changes. */
export function useCredential(): string {
  const [, redraw] = useState({});
  useEffect(() => {
    const watcher = () => redraw({});
    watchers.add(watcher);
    return () => void watchers.delete(watcher);
  }, []);
  return current;
}

export function CredentialField() {
  const change = (value: string) => {
    current = value.trim();
    for (const watcher of watchers) watcher();
  };
  return (
    <div class="field credential">
      <label for="credential-input">Key or token for the forms on this page</label>
      <input
        id="credential-input"
        type="password"
        autocomplete="off"
        spellcheck={false}
        aria-describedby="credential-hint"
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
      <small id="credential-hint">
        Only a closed broker needs it. It stays in this page’s memory.
      </small>
    </div>
  );
}
