// Recognizes the beginning of JSON values that span several lines. It is pure.

/** Spaces, a bracket, a comma or a colon, a string, a number or a word. Each at the scanner's place. */
const TOKEN =
  /[ \t\r\n]+|[{}[\],:]|"(?:[^"\\\n\r]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
/** A last token that is cut off. */
const CUT = /^(?:"(?:[^"\\\n\r]|\\.)*\\?|-?\d*\.?\d*(?:[eE][+-]?)?|[a-z]{1,4})$/;

/**
 * Returns "array" or "object" if the text is the beginning of values of this kind, and the first of them goes over
 * several lines. Null for anything else, such as a value on each line.
 */
export function jsonAcrossLines(text: string): "array" | "object" | null {
  const body = text.replace(/^\ufeff/, "").trimStart();
  if (body[0] !== "[" && body[0] !== "{") return null;
  const [first = "", ...rest] = body.split("\n");
  const isWhole = scan(first) === "whole"; // A line that is a value is a record.
  const hasMore = rest.some((line) => line.trim() !== "");
  if (isWhole || !hasMore || scan(body) === "invalid") return null;
  return body[0] === "[" ? "array" : "object";
}

/** Says if the text is values, the beginning of values, or neither. */
function scan(text: string): "whole" | "cut" | "invalid" {
  const open: ("[" | "{")[] = [];
  // The next token. "more" is a comma or the end of what is open.
  let next: "value" | "first value" | "key" | "first key" | "colon" | "more" = "value";
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    if (token === undefined) {
      const isText = next !== "more" && next !== "colon";
      return isText && CUT.test(text.slice(at)) ? "cut" : "invalid";
    }
    at += token.length;
    if (token.trim() === "") continue;
    const inside = open.at(-1);
    if (token === "]" || token === "}") {
      const isEmpty = next === (token === "]" ? "first value" : "first key");
      if (inside !== (token === "]" ? "[" : "{") || !(isEmpty || next === "more")) return "invalid";
      open.pop();
      next = open.length === 0 ? "value" : "more";
    } else if (token === ",") {
      if (next !== "more") return "invalid";
      next = inside === "{" ? "key" : "value";
    } else if (token === ":") {
      if (next !== "colon") return "invalid";
      next = "value";
    } else if (next === "key" || next === "first key") {
      if (!token.startsWith('"')) return "invalid";
      next = "colon";
    } else if (next === "colon" || next === "more") {
      return "invalid";
    } else if (token === "[" || token === "{") {
      open.push(token);
      next = token === "[" ? "first value" : "first key";
    } else {
      next = open.length === 0 ? "value" : "more";
    }
  }
  return open.length === 0 ? "whole" : "cut";
}
