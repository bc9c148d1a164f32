// Parts of the pages that the Worker makes itself. They look as those that come from Markdown: see src/self-host/docs-markdown.ts.
import { html } from "hono/html";

/** A heading of a page, with a link to itself. */
export function heading(id: string, name: string) {
  return html`<div class="heading"><h2 id="${id}">${name}</h2><a class="anchor" href="#${id}" aria-label="Link to “${name}”">#</a></div>`;
}

/** A block of code. The site's script adds a button that copies it. */
export function codeBlock(text: string) {
  return html`<div class="code"><pre tabindex="0"><code>${text}\n</code></pre></div>`;
}

/** Quotes a text for a POSIX shell, if it needs quotes. */
export function shellWord(text: string): string {
  return /^[\w./:@=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
