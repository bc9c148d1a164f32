// The bytes of a key, a value or a header. An attacker may have chosen them, so they are text nodes and nothing
// else. 64 KiB are shown until the user asks for more.
import { useMemo, useState } from "preact/hooks";
import { bytesText } from "../format.ts";
import { hexDump } from "../hex-dump.ts";
import { isJsonTree, laidOut } from "../json-tokens.ts";
import type { Bytes } from "../record-bytes.ts";
import { CopyButton } from "./copy-button.tsx";
import { Scroll } from "./scroll.tsx";

const SHOWN_CHARS = 65_536;
const SHOWN_BYTES = 4_096;

/** A key or a header up to this length is shown in one line. */
const BRIEF_CHARS = 200;

export function ValueView(props: { bytes: Bytes; label: string; mayBeBrief?: boolean }) {
  const { bytes, label, mayBeBrief = false } = props;
  const [isAll, setAll] = useState(false);
  const [isPlain, setPlain] = useState(false);
  const { text, base64 } = bytes;
  if (base64 !== null) return <Binary base64={base64} isAll={isAll} showAll={() => setAll(true)} />;
  if (text === null) return <p class="muted">null</p>;
  if (text === "") return <p class="muted">empty</p>;
  if (mayBeBrief && text.length <= BRIEF_CHARS && !isJsonTree(text))
    return (
      <p>
        <code class="data">{text}</code>
      </p>
    );
  const isCut = !isAll && text.length > SHOWN_CHARS;
  const shown = isCut ? text.slice(0, SHOWN_CHARS) : text;
  // A text of megabytes would become hundreds of thousands of elements.
  const mayBeLaidOut = shown.length <= SHOWN_CHARS;
  return (
    <>
      {mayBeLaidOut && !isPlain ? (
        <JsonOrText text={shown} whole={text} label={label} />
      ) : (
        <Text text={shown} label={label} />
      )}
      <div class="buttons">
        {isCut && (
          <button type="button" onClick={() => setAll(true)}>
            Show all {bytesText(new TextEncoder().encode(text).length)}
          </button>
        )}
        {mayBeLaidOut && isJsonTree(text) && (
          <button type="button" onClick={() => setPlain(!isPlain)} aria-pressed={isPlain}>
            As written
          </button>
        )}
        <CopyButton label={`Copy ${label}`} text={() => text} />
      </div>
    </>
  );
}

function Text({ text, label }: { text: string; label: string }) {
  return (
    <Scroll label={label} class="bytes">
      <pre class="data">{text}</pre>
    </Scroll>
  );
}

function JsonOrText({ text, whole, label }: { text: string; whole: string; label: string }) {
  const tokens = useMemo(() => (isJsonTree(whole) ? laidOut(text) : null), [text, whole]);
  if (tokens === null) return <Text text={text} label={label} />;
  return (
    <Scroll label={label} class="bytes">
      <pre class="data">
        {tokens.map(({ kind, text: part }, i) =>
          kind === "space" || kind === "mark" ? (
            part
          ) : (
            <span key={i} class={`json-${kind}`}>
              {part}
            </span>
          ),
        )}
      </pre>
    </Scroll>
  );
}

function Binary(props: { base64: string; isAll: boolean; showAll: () => void }) {
  const { base64, isAll, showAll } = props;
  const bytes = useMemo(
    () => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)),
    [base64],
  );
  const shown = isAll ? SHOWN_CHARS : SHOWN_BYTES;
  return (
    <>
      <p class="muted">{bytesText(bytes.length)} that are not UTF-8.</p>
      <Scroll label="Bytes in hexadecimal" class="bytes">
        <pre class="data">{hexDump(bytes.subarray(0, shown))}</pre>
      </Scroll>
      <div class="buttons">
        {bytes.length > shown && !isAll && (
          <button type="button" onClick={showAll}>
            Show {bytesText(Math.min(bytes.length, SHOWN_CHARS))}
          </button>
        )}
        <CopyButton label="Copy as base64" text={() => base64} />
      </div>
    </>
  );
}
