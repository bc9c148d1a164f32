// Lays out JSON from its text. Numbers are never parsed, so a number beyond 2^53 is shown as written.

export type JsonTokenKind = "mark" | "name" | "string" | "number" | "word" | "space" | "other";

export interface JsonToken {
  readonly kind: JsonTokenKind;
  readonly text: string;
}

const TOKEN =
  /(?<space>\s+)|(?<string>"[^"\\]*(?:\\[\s\S][^"\\]*)*")|(?<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?<word>true|false|null)|(?<mark>[{}[\],:])/y;

/** Returns the tokens of a text. Invalid text and everything after it is one token of the kind `other`. */
export function jsonTokens(text: string): JsonToken[] {
  const tokens: JsonToken[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const { lastIndex } = TOKEN;
    const groups = TOKEN.exec(text)?.groups;
    const found = Object.entries(groups ?? {}).find(([, part]) => part !== undefined);
    if (found?.[1] === undefined) {
      tokens.push({ kind: "other", text: text.slice(lastIndex) });
      break;
    }
    tokens.push({ kind: found[0] as JsonTokenKind, text: found[1] });
  }
  return tokens;
}

/** Deeper levels are not indented further, so that a text of brackets alone does not grow quadratically. */
const MAX_INDENT = 40;

/** Returns the tokens with one line per value, whatever the spaces of the text. */
export function laidOut(text: string): JsonToken[] {
  const tokens = jsonTokens(text).filter(({ kind }) => kind !== "space");
  const lines: JsonToken[] = [];
  let depth = 0;
  const newLine = () => {
    lines.push({ kind: "space", text: `\n${"  ".repeat(Math.min(depth, MAX_INDENT))}` });
  };
  for (const [i, token] of tokens.entries()) {
    const next = tokens[i + 1];
    const isMark = token.kind === "mark";
    if (isMark && (token.text === "}" || token.text === "]")) {
      depth--;
      const before = tokens[i - 1];
      const isEmpty = before?.kind === "mark" && (before.text === "{" || before.text === "[");
      if (!isEmpty) newLine();
      lines.push(token);
      continue;
    }
    const isName = token.kind === "string" && next?.kind === "mark" && next.text === ":";
    lines.push(isName ? { ...token, kind: "name" } : token);
    if (!isMark) continue;
    if (token.text === ":") lines.push({ kind: "space", text: " " });
    if (token.text === ",") newLine();
    if (token.text !== "{" && token.text !== "[") continue;
    depth++;
    const isEmpty = next?.kind === "mark" && (next.text === "}" || next.text === "]");
    if (!isEmpty) newLine();
  }
  return lines;
}

/** True if the text is a JSON object or array. Other values are shown unchanged. */
export function isJsonTree(text: string): boolean {
  if (!/^\s*[{[]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
