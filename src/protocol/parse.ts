// Parses all input from clients. An error names the field, the value and the bound.
import * as z from "zod";
import { BrokerError, type ErrorName, preview } from "../core/errors.ts";
import { MAX_CONTROL_FRAME_CHARS, MAX_JSON_DEPTH, MAX_JSON_VALUES } from "../core/limits.ts";

/** Parses `value` by the schema. @throws BrokerError with `code` and a detail that names the error and its place */
export function parse<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  code: ErrorName = "INVALID_REQUEST",
): z.output<Schema> {
  const result = resultOf(schema, value);
  if (result === null) throw new BrokerError(code, "the request has too many errors to list");
  if (result.success) return result.data;
  throw new BrokerError(code, describe(result.error, value));
}

/** The number of items of each list that are searched for an error if there are too many errors for the library. */
const MAX_LISTED_ITEMS = 1_000;

/** Returns null if there are too many errors, but none among the first items of each list. */
function resultOf<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.ZodSafeParseResult<z.output<Schema>> | null {
  try {
    return schema.safeParse(value);
  } catch (error) {
    // The library passes its list of errors as arguments of a call, and a call cannot take a hundred thousand.
    if (!(error instanceof RangeError)) throw error;
  }
  const fields = Object.entries(Object(value)).map(([name, field]) => [
    name,
    Array.isArray(field) ? field.slice(0, MAX_LISTED_ITEMS) : field,
  ]);
  const result = schema.safeParse(Object.fromEntries(fields));
  return result.success ? null : result;
}

type Messages = z.ZodDiscriminatedUnion<
  readonly z.ZodObject<{ readonly type: z.ZodLiteral<string> }>[]
>;

/** The message types of each schema. */
const known = new WeakMap<Messages, ReadonlySet<string>>();

function typesOf(schema: Messages): ReadonlySet<string> {
  const types = known.get(schema) ?? new Set(schema.options.map(({ shape }) => shape.type.value));
  known.set(schema, types);
  return types;
}

/**
 * Parses a control frame of any socket: JSON text of bounded length that fits the schema. Unknown fields are ignored
 * [VER-8].
 * @throws BrokerError UNSUPPORTED_VERSION for a message of an unknown type. Answer it, and keep the socket open.
 * @throws BrokerError INVALID_REQUEST for anything else that is not a valid message
 */
export function parseFrame<Schema extends Messages>(
  schema: Schema,
  data: unknown,
): z.output<Schema> {
  if (typeof data !== "string") throw new BrokerError("INVALID_REQUEST", "frames must be text");
  if (data.length > MAX_CONTROL_FRAME_CHARS) {
    throw new BrokerError(
      "INVALID_REQUEST",
      `frame has ${data.length} characters, the bound is ${MAX_CONTROL_FRAME_CHARS}`,
    );
  }
  const message = parseJson(data, "the frame");
  const { type } = (message ?? {}) as { type?: unknown };
  const types = typesOf(schema);
  if (typeof type === "string" && !types.has(type))
    throw new BrokerError(
      "UNSUPPORTED_VERSION",
      `type: must be one of ${[...types].join(", ")}; got ${preview(type)}`,
    );
  return parse(schema, message);
}

/** True if the error means an unknown message type. The message had no effect, and the socket may continue. */
export function isUnknownType(error: unknown): error is BrokerError {
  return error instanceof BrokerError && error.code === "UNSUPPORTED_VERSION";
}

/** [BND-4] Parses JSON from a client, with bounded depth and number of values. @throws BrokerError INVALID_REQUEST */
export function parseJson(text: string, what: string): unknown {
  countJsonValues(text, what);
  return parseShaped(text, what);
}

/** Parses a text that `countJsonValues` has checked. @throws BrokerError INVALID_REQUEST */
export function parseShaped(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BrokerError("INVALID_REQUEST", `${what} is not JSON: ${reason}`);
  }
}

const QUOTE = 34;
const COMMA = 44;
const BACKSLASH = 92;

/**
 * [BND-4] Scans the text once, before it is parsed. Rejects a text that is nested beyond MAX_JSON_DEPTH or has too many
 * values. The parser checks whether it is JSON.
 * @returns the approximate number of its values
 * @throws BrokerError INVALID_REQUEST
 */
export function countJsonValues(text: string, what: string, maxValues = MAX_JSON_VALUES): number {
  let depth = 0;
  let values = 1;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = endOfString(text, i);
        break;
      case COMMA:
        values++;
        break;
      case 0x5b: // [
      case 0x7b: // {
        values++;
        depth++;
        if (depth > MAX_JSON_DEPTH)
          throw new BrokerError(
            "INVALID_REQUEST",
            `${what} is nested more than ${MAX_JSON_DEPTH} levels deep, the bound`,
          );
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
    }
  }
  if (values > maxValues)
    throw new BrokerError(
      "INVALID_REQUEST",
      `${what} has ${values} JSON values, the bound is ${maxValues}`,
    );
  return values;
}

/** Returns the index of the quote that ends the string starting at `start`, or the end of the text if there is none. */
export function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let first = end;
    while (text.charCodeAt(first - 1) === BACKSLASH) first--;
    if ((end - first) % 2 === 0) return end;
  }
  return text.length;
}

/** The most unknown fields that an error names. */
const MAX_NAMED_KEYS = 10;

function describe(error: z.ZodError, value: unknown): string {
  // If a field is missing, an unknown field is the most likely reason.
  const first = error.issues.find(({ code }) => code === "unrecognized_keys") ?? error.issues[0];
  if (first === undefined) return "the request is malformed";
  const issue = specificIssue(first, value);
  const place = issue.path.length === 0 ? "the request" : pathText(issue.path);
  if (issue.code === "unrecognized_keys") {
    const named = issue.keys.slice(0, MAX_NAMED_KEYS).map(preview).join(", ");
    const others = issue.keys.length - MAX_NAMED_KEYS;
    return `${place}: unknown field ${named}${others > 0 ? ` and ${others} more` : ""}`;
  }
  const got = valueAt(value, issue.path);
  if (got === undefined && isGeneric(issue)) return `${place}: is required`;
  return `${place}: ${messageOf(issue)}; got ${preview(got)}`;
}

/** True if the message comes from the library, because the schema has none. */
function isGeneric(issue: z.core.$ZodIssue): boolean {
  return issue.code === "invalid_type" && issue.message.startsWith("Invalid input");
}

function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "too_small" && issue.message.startsWith("Too small"))
    return `must have at least ${issue.minimum} ${itemsOf(issue.origin, Number(issue.minimum))}`;
  if (issue.code === "too_big" && issue.message.startsWith("Too big"))
    return `must have at most ${issue.maximum} ${itemsOf(issue.origin, Number(issue.maximum))}`;
  if (issue.code === "invalid_value" && issue.message.startsWith("Invalid option"))
    return `must be one of ${issue.values.join(", ")}`;
  if (issue.code === "invalid_union" && issue.message.startsWith("Invalid discriminator"))
    return "must be a known message type";
  if (issue.code !== "invalid_type" || !isGeneric(issue)) return issue.message;
  const expected = issue.expected === "record" ? "object" : issue.expected;
  return `must be ${/^[aeiou]/.test(expected) ? "an" : "a"} ${expected}`;
}

function itemsOf(origin: string, count: number): string {
  const item = origin === "string" ? "character" : "item";
  return count === 1 ? item : `${item}s`;
}

/**
 * Returns the most specific issue. For a value of several possible forms, it finds the intended one: its fields fit,
 * and one of its values is wrong. If there is none, the general message stays.
 */
function specificIssue(issue: z.core.$ZodIssue, value: unknown): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  for (const [inner, ...more] of issue.errors) {
    if (inner === undefined || more.length > 0 || inner.path.length === 0) continue;
    const path = [...issue.path, ...inner.path];
    if (valueAt(value, path) !== undefined) return specificIssue({ ...inner, path }, value);
  }
  return issue;
}

function pathText(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? String(part) : `.${String(part)}`;
  }
  return text;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let current: unknown = value;
  for (const part of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<PropertyKey, unknown>)[part];
  }
  return current;
}

/** Parses a whole number in a query string. */
export function queryInteger(minimum: number, maximum: number) {
  const message = `must be a whole number from ${minimum} to ${maximum}`;
  return z
    .string()
    .regex(/^\d{1,16}$/, message)
    .meta({ type: "integer", minimum, maximum, pattern: undefined }) // For the description of the API.
    .transform(Number)
    .pipe(z.number().int(message).min(minimum, message).max(maximum, message));
}

export function integer(minimum: number, maximum: number) {
  const message = `must be a whole number from ${minimum} to ${maximum}`;
  return z.number(message).int(message).min(minimum, message).max(maximum, message);
}
