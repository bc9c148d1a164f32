// Kafka's serializers and deserializers. They convert keys and values between the application's form and bytes.
import { BrokerError, type FailureData, preview } from "../core/errors.ts";
import type { ConsumerRecord } from "../core/record.ts";
import { jsonText } from "../protocol/json-value.ts";

/**
 * A producer is given `In`, and a consumer gets `Out`. Null stays null on either side and is never passed to a serde.
 */
export interface Serde<In, Out = In> {
  /** @throws an error for a wrong value, which is then not sent. */
  serialize(value: In): Uint8Array | string | Promise<Uint8Array | string>;
  /** @throws an error for wrong bytes. */
  deserialize(bytes: Uint8Array): Out | Promise<Out>;
}

/** The serdes of a topic. */
export interface Serdes<KeyIn, KeyOut, ValueIn, ValueOut> {
  readonly keySerde?: Serde<KeyIn, KeyOut>;
  readonly valueSerde?: Serde<ValueIn, ValueOut>;
}

/** The serdes of a producer, at least one. */
export type SomeSerdes<Key, Value> =
  | { readonly keySerde: Serde<Key, unknown>; readonly valueSerde?: Serde<Value, unknown> }
  | { readonly keySerde?: Serde<Key, unknown>; readonly valueSerde: Serde<Value, unknown> };

export type AnySerdes = Serdes<never, unknown, never, unknown>;

/** A consumer's record, with key and value as its serdes made them. */
export type TypedRecord<Key, Value> = Omit<ConsumerRecord, "key" | "value"> & {
  readonly key: Key | null;
  readonly value: Value | null;
};

// A bundle that uses none of the serdes leaves it out.
const FROM_UTF8 = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const bytesSerde: Serde<Uint8Array> = {
  serialize: (bytes) => bytes,
  deserialize: (bytes) => bytes,
};

/** UTF-8. Bytes that are not UTF-8 are refused. */
export const stringSerde: Serde<string> = {
  serialize: (text) => {
    if (typeof text !== "string") throw new TypeError(`must be a string, is a ${typeof text}`);
    return text;
  },
  deserialize: (bytes) => FROM_UTF8.decode(bytes),
};

/** The needed part of the interface of zod, valibot, arktype and others: https://standardschema.dev. */
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

/** JSON of the type `T`, which is not checked. */
export function jsonSerde<T = unknown>(): Serde<T>;
/**
 * JSON that the schema accepts. The consumer gets the schema's output
 * (defaults, dates). The producer sends the value as given.
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
 * Returns the record with key and value as their serdes make them. @throws BrokerError INVALID_RECORD, with `place` and
 * `data`
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
