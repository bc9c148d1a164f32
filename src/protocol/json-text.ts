// Finds the text of the parts of a JSON text. Keys and values are stored as they were sent, so what the parser makes of
// them (numbers without their digits, one of two equal names) must not be written again.
import { endOfString } from "./parse.ts";

const QUOTE = 34;
const UTF8 = new TextEncoder();

/** Reads a text that is known to be JSON, from its beginning to its end. */
export class JsonCursor {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /**
   * Calls `item` for each member of the object, with its name, or each element of the list, with "". `item` reads on
   * behind the value by `items` or `skip`. Anything else than an object or a list is skipped.
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

  /** Passes over a value. Returns its text. */
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

  /** Passes over white space. Returns the character behind it. */
  #next(): string | undefined {
    while (isSpace(this.#text.charCodeAt(this.#at))) this.#at++;
    return this.#text[this.#at];
  }
}

/** True for the characters that end a number or a word, but for white space, and quotes. */
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
 * [PRD-6] Replaces key and value of a record that was parsed from `text` by their bytes, as they were sent. Strings and
 * null stay, because they are written in one way only.
 */
export function keepRecordText(text: string, record: unknown): void {
  if (isRewritten(record, "key") || isRewritten(record, "value"))
    keepFields(new JsonCursor(text), record);
}

/** [PRD-6] Does the same with each record of `{"records": […]}`. */
export function keepRecordTexts(text: string, body: unknown): void {
  const records = Object(body).records;
  if (!Array.isArray(records)) return;
  if (!records.some((each) => isRewritten(each, "key") || isRewritten(each, "value"))) return;
  const cursor = new JsonCursor(text);
  cursor.items((name) => {
    // If members share a name, the parser takes the last. Here too, the last one overwrites the earlier ones.
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

/** True if the field is something that JavaScript may write differently from how it was sent. */
function isRewritten(record: unknown, field: "key" | "value"): boolean {
  const value: unknown = Object(record)[field];
  return typeof value === "number" || (typeof value === "object" && value !== null);
}
