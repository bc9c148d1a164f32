// The placeholders for content: while it loads, after an error, and if there is none.
import type { ComponentChildren } from "preact";
import { ProblemError } from "../api.ts";
import type { Loading } from "../load.ts";

export function Busy({ what }: { what: string }) {
  return <p class="busy">Loading {what}…</p>;
}

/** The error is announced in place, because the live region of the shell is silent while a dialog is open. */
export function ErrorNote({ error, retry }: { error: unknown; retry?: (() => void) | undefined }) {
  const text = error instanceof Error ? error.message : String(error);
  return (
    <div class="note danger" role="alert">
      <p>
        <strong>{error instanceof ProblemError ? error.code : "Error"}</strong>{" "}
        <span class="data">{text}</span>
      </p>
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="note empty">{children}</p>;
}

/** Shows the loaded data, or why there is none. */
export function Loaded<T>(props: {
  what: string;
  loading: Loading<T>;
  children: (data: T) => ComponentChildren;
}) {
  const { what, loading, children } = props;
  const { data, error, reload } = loading;
  if (error !== undefined) return <ErrorNote error={error} retry={reload} />;
  if (data === undefined) return <Busy what={what} />;
  return <>{children(data)}</>;
}
