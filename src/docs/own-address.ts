// Puts the address at which the reader reaches the broker into code. Pages are written for a broker on this machine. The start
// page is written for the address in the request, which a proxy in front of the broker may have changed.

const LOCAL = "http://127.0.0.1:8787";
/** An origin that is the same word in a shell. A host name may hold `$(…)`, and code is to be pasted. */
const PLAIN = /^https?:\/\/[\w.:[\]-]+$/;

/** Returns the text with this origin, or its WebSocket address, in place of the written one. */
export function withOrigin(text: string, origin: string, written = LOCAL): string {
  if (!PLAIN.test(origin)) return text;
  const [scheme = "", ...rest] = written.split(":");
  const place = rest.join(":").replace(/[.[\]$()*+?^{}|\\]/g, "\\$&");
  const found = new RegExp(`\\b(${scheme}|ws):${place}(?![\\w:])`, "g");
  return text.replace(found, (_, named: string) =>
    named === "ws" ? origin.replace(/^http/, "ws") : origin,
  );
}
