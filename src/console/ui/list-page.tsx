// The frame of a long list: its filter and its pages.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { navigate } from "../navigation.ts";

/** A field for the prefix of the names. */
export function PrefixFilter(props: {
  prefix: string;
  pathOf: (list: { prefix: string }) => string;
}) {
  const { prefix, pathOf } = props;
  const [typed, setTyped] = useState(prefix);
  return (
    <search>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          navigate(pathOf({ prefix: typed }));
        }}
      >
        <label for="prefix">Names that begin with</label>
        <input
          id="prefix"
          type="search"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
          autocomplete="off"
          spellcheck={false}
        />
        <button type="submit">Filter</button>
      </form>
    </search>
  );
}

/** Links to the first page and to the next one. */
export function Pager(props: {
  what: string;
  isFirst: boolean;
  first: string;
  next: string | undefined;
  children?: ComponentChildren;
}) {
  const { what, isFirst, first, next } = props;
  if (isFirst && next === undefined) return null;
  return (
    <nav class="row" aria-label={`Pages of ${what}`}>
      {!isFirst && <a href={first}>First page</a>}
      {next !== undefined && (
        <a href={next} rel="next">
          Next page
        </a>
      )}
    </nav>
  );
}
