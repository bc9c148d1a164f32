// An answer as it came: its status, its headers and its body, laid out where it is JSON.
import { isJsonTree, laidOut } from "../../console/json-tokens.ts";
import { MAX_SHOWN_BYTES, type TriedAnswer } from "./send.ts";

export function Answer({ answer }: { answer: TriedAnswer }) {
  const { status, statusText, headers, text, bytes, isCut, ms } = answer;
  return (
    <section class="answer" aria-label="Answer">
      <p>
        <strong class={status < 400 ? "good" : "bad"}>
          {status} {statusText}
        </strong>{" "}
        <span class="muted">in {Math.max(1, Math.round(ms))} ms</span>
      </p>
      <details>
        <summary>Headers</summary>
        <dl>
          {headers.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </details>
      {text === "" && <p class="muted">No body.</p>}
      {text === null && <p class="muted">{bytes} bytes that are not text.</p>}
      {text !== null && text !== "" && <Body text={text} />}
      {isCut && (
        <p class="note">
          The answer is longer. The first {MAX_SHOWN_BYTES / 1_024} KiB are shown; the command above
          prints all of it.
        </p>
      )}
    </section>
  );
}

function Body({ text }: { text: string }) {
  const tokens = isJsonTree(text) ? laidOut(text) : null;
  return (
    <div class="code">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard. */}
      <pre tabIndex={0}>
        <code>
          {tokens === null
            ? text
            : tokens.map(({ kind, text: part }, i) =>
                kind === "space" || kind === "mark" ? (
                  part
                ) : (
                  <span key={i} class={`json-${kind}`}>
                    {part}
                  </span>
                ),
              )}
        </code>
      </pre>
    </div>
  );
}
