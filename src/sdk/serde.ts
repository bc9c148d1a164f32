// Kafka's serializers and deserializers. They convert keys and values between the application's form and bytes.
import { BrokerError, type FailureData, preview } from "../core/errors.ts";
import type { ConsumerRecord } from "../core/record.ts";
import { jsonText } from "../protocol/json-value.ts";

/**
 * Converts keys or values. A producer takes `In`, and a consumer returns `Out`. Null stays null and is never passed to
 * a serde.
 */
export interface Serde<In, Out = In> {
  /**
   * Returns the bytes to store, or a string for its UTF-8 bytes. @throws any error for a wrong value. It is then not
   * sent, and `send` throws INVALID_RECORD.
   */
  serialize(value: In): Uint8Array | string | Promise<Uint8Array | string>;
  /**
   * Returns the application's value. @throws any error for wrong bytes. The consumer then ends with INVALID_RECORD,
   * whose `data` has topic, partition and offset.
   */
  deserialize(bytes: Uint8Array): Out | Promise<Out>;
}

/** The serdes for the keys and values of a topic. Without one, keys or values are bytes. */
export interface Serdes<KeyIn, KeyOut, ValueIn, ValueOut> {
  readonly keySerde?: Serde<KeyIn, KeyOut>;
  readonly valueSerde?: Serde<ValueIn, ValueOut>;
}

/** The serdes of a producer, at least one. */
export type SomeSerdes<Key, Value> =
  | { readonly keySerde: Serde<Key, unknown>; readonly valueSerde?: Serde<Value, unknown> }
  | { readonly keySerde?: Serde<Key, unknown>; readonly valueSerde: Serde<Value, unknown> };

export type AnySerdes = Serdes<never, unknown, never, unknown>;

/** A consumer's record, with the key and value that its serdes returned. */
export type TypedRecord<Key, Value> = Omit<ConsumerRecord, "key" | "value"> & {
  readonly key: Key | null;
  readonly value: Value | null;
};

// A bundle that uses none of the serdes omits it.
const FROM_UTF8 = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes, unchanged. */
export const bytesSerde: Serde<Uint8Array> = {
  serialize: (bytes) => bytes,
  deserialize: (bytes) => bytes,
};

/** Strings as UTF-8. Bytes that are not UTF-8 are rejected. */
export const stringSerde: Serde<string> = {
  serialize: (text) => {
    if (typeof text !== "string") throw new TypeError(`must be a string, is a ${typeof text}`);
    return text;
  },
  deserialize: (bytes) => FROM_UTF8.decode(bytes),
};

/**
 * The part of the Standard Schema interface that is needed. zod, valibot, arktype and others implement it:
 * https://standardschema.dev.
 */
export interface StandardSchema<In, Out> {
  readonly "~standard": {
    readonly validate: (value: unknown) => Validated<Out> | Promise<Validated<Out>>;
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
  };
}

type Validated<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] };

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** JSON of the type `T`, without a check. */
export function jsonSerde<T = unknown>(): Serde<T>;
/**
 * JSON that the schema accepts. The consumer gets the schema's output (defaults, dates). The producer sends the value
 * unchanged.
 */
export function jsonSerde<In, Out>(schema: StandardSchema<In, Out>): Serde<In, Out>;
export function jsonSerde(schema?: StandardSchema<unknown, unknown>): Serde<unknown> {
  if (schema === undefined)
    return {
      serialize: jsonText,
      deserialize: (bytes) => JSON.parse(FROM_UTF8.decode(bytes)),
    };
  return {
    serialize: async (value) => {
      await parsed(schema, value);
      return jsonText(value);
    },
    deserialize: (bytes) => parsed(schema, JSON.parse(FROM_UTF8.decode(bytes))),
  };
}

async function parsed<Out>(schema: StandardSchema<unknown, Out>, value: unknown): Promise<Out> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  throw new Error(result.issues.map(described).join("; "));
}

function described({ message, path = [] }: Issue): string {
  const keys = path.map((part) => String(typeof part === "object" ? part.key : part));
  return keys.length === 0 ? message : `${keys.join(".")}: ${message}`;
}

export function hasSerdes({ keySerde, valueSerde }: AnySerdes): boolean {
  return keySerde !== undefined || valueSerde !== undefined;
}

/**
 * Returns the record with the key and value that its serdes return. @throws BrokerError INVALID_RECORD, with `place`
 * and `data`
 */
export async function convert<R extends object>(
  direction: "serialize" | "deserialize",
  { keySerde, valueSerde }: AnySerdes,
  record: R,
  place: string,
  data?: FailureData,
): Promise<R> {
  const fields = { ...record } as Record<string, unknown>;
  for (const [field, serde] of Object.entries({ key: keySerde, value: valueSerde })) {
    if (serde === undefined || (fields[field] ?? null) === null) continue;
    try {
      const made: unknown = await serde[direction](fields[field] as never);
      // It would be stored as a tombstone.
      if (direction === "serialize" && (made ?? null) === null) throw new Error("is nothing");
      fields[field] = made;
    } catch (error) {
      const reason = error instanceof Error ? error.message : preview(error);
      const detail = `${place}: ${field}: ${reason}`;
      throw new BrokerError("INVALID_RECORD", detail, { cause: error, data });
    }
  }
  return fields as R;
}
