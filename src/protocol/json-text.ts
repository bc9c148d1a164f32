// Finds the text of the parts of a JSON text. Keys and values are stored as sent. Serializing the parsed values would
// change them (digits of numbers, one of two equal names).
import { endOfString } from "./parse.ts";

const QUOTE = 34;
const UTF8 = new TextEncoder();

/** Reads a valid JSON text from its beginning to its end. */
export class JsonCursor {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /**
   * Calls `item` for each member of an object, with its name, or each element of a list, with "". `item` must read past
   * the value with `items` or `skip`. Any other value is skipped.
   */
  items(item: (name: string) => void): void {
    const open = this.#next();
    if (open !== "{" && open !== "[") {
      this.skip();
      return;
    }
    this.#at++;
    for (let next = this.#next(); next !== "}" && next !== "]"; next = this.#next()) {
      if (next === ",") this.#at++;
      else item(open === "{" ? this.#name() : "");
    }
    this.#at++;
  }

  /** Skips a value. Returns its text. */
  skip(): string {
    this.#next();
    const start = this.#at;
    let depth = 0;
    do {
      const code = this.#text.charCodeAt(this.#at);
      if (code === QUOTE) this.#at = endOfString(this.#text, this.#at) + 1;
      else if (isDelimiter(code)) {
        if (code === 0x5b || code === 0x7b) depth++;
        else if (code === 0x5d || code === 0x7d) depth--;
        this.#at++;
      } else {
        while (this.#at < this.#text.length && !isDelimiter(this.#text.charCodeAt(this.#at)))
          this.#at++;
      }
    } while (depth > 0);
    return this.#text.slice(start, this.#at).trimEnd();
  }

  /** Reads the name of a member, and the colon. */
  #name(): string {
    const start = this.#at;
    const end = endOfString(this.#text, start);
    const name = this.#text.slice(start + 1, end);
    this.#at = end + 1;
    this.#next();
    this.#at++;
    return name.includes("\\") ? JSON.parse(`"${name}"`) : name;
  }

  /** Skips white space. Returns the character after it. */
  #next(): string | undefined {
    while (isSpace(this.#text.charCodeAt(this.#at))) this.#at++;
    return this.#text[this.#at];
  }
}

/** True for quotes, and for the characters that end a number or a word, except white space. */
function isDelimiter(code: number): boolean {
  return (
    code === QUOTE ||
    code === 0x2c ||
    code === 0x5b ||
    code === 0x5d ||
    code === 0x7b ||
    code === 0x7d
  );
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/**
 * [PRD-6] Replaces key and value of a record parsed from `text` with their bytes as sent. Strings and null stay,
 * because they have only one stored form.
 */
export function keepRecordText(text: string, record: unknown): void {
  if (isRewritten(record, "key") || isRewritten(record, "value"))
    keepFields(new JsonCursor(text), record);
}

/** [PRD-6] Does the same for each record of `{"records": […]}`. */
export function keepRecordTexts(text: string, body: unknown): void {
  const records = Object(body).records;
  if (!Array.isArray(records)) return;
  if (!records.some((each) => isRewritten(each, "key") || isRewritten(each, "value"))) return;
  const cursor = new JsonCursor(text);
  cursor.items((name) => {
    // If members share a name, the parser takes the last one. Here too, the last one overwrites the others.
    let index = 0;
    if (name === "records") cursor.items(() => keepFields(cursor, records[index++]));
    else cursor.skip();
  });
}

function keepFields(cursor: JsonCursor, record: unknown): void {
  cursor.items((name) => {
    const text = cursor.skip();
    if ((name === "key" || name === "value") && isRewritten(record, name))
      (record as Record<string, unknown>)[name] = UTF8.encode(text);
  });
}

/** True if JavaScript may write the field's value differently from how it was sent. */
function isRewritten(record: unknown, field: "key" | "value"): boolean {
  const value: unknown = Object(record)[field];
  return typeof value === "number" || (typeof value === "object" && value !== null);
}
