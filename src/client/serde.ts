// Keys and values as the application has them, and as bytes: Kafka's serializers and deserializers.
import { BrokerError, preview } from "../core/errors.ts";
import type { ConsumerRecord } from "../core/record.ts";

/** `In` is what a producer is given, `Out` what a consumer gets. Null is null on either side, and never comes here. */
export interface Serde<In, Out = In> {
  /** @throws what is wrong with the value; it is then not sent. */
  serialize(value: In): Uint8Array | string | Promise<Uint8Array | string>;
  /** @throws what is wrong with the bytes. */
  deserialize(bytes: Uint8Array): Out | Promise<Out>;
}

/** The serdes of a topic. */
export interface Serdes<KeyIn, KeyOut, ValueIn, ValueOut> {
  readonly keySerde?: Serde<KeyIn, KeyOut>;
  readonly valueSerde?: Serde<ValueIn, ValueOut>;
}

/** At least one, of a producer. */
export type SomeSerdes<Key, Value> =
  | { readonly keySerde: Serde<Key, unknown>; readonly valueSerde?: Serde<Value, unknown> }
  | { readonly keySerde?: Serde<Key, unknown>; readonly valueSerde: Serde<Value, unknown> };

export type AnySerdes = Serdes<never, unknown, never, unknown>;

/** A consumer's record with what its serdes made of key and value. */
export type TypedRecord<Key, Value> = Omit<ConsumerRecord, "key" | "value"> & {
  readonly key: Key | null;
  readonly value: Value | null;
};

const FROM_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const bytesSerde: Serde<Uint8Array> = {
  serialize: (bytes) => bytes,
  deserialize: (bytes) => bytes,
};

/** UTF-8; bytes that are none are refused. */
export const stringSerde: Serde<string> = {
  serialize: (text) => {
    if (typeof text !== "string") throw new TypeError(`must be a string, is a ${typeof text}`);
    return text;
  },
  deserialize: (bytes) => FROM_UTF8.decode(bytes),
};

/** What zod, valibot, arktype and others are, as far as it is needed here: https://standardschema.dev. */
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

/** JSON, of a type that is believed. */
export function jsonSerde<T = unknown>(): Serde<T>;
/** JSON that the schema accepts. What it makes of a value (defaults, dates) the consumer gets; what is sent is the value as given. */
export function jsonSerde<In, Out>(schema: StandardSchema<In, Out>): Serde<In, Out>;
export function jsonSerde(schema?: StandardSchema<unknown, unknown>): Serde<unknown> {
  if (schema === undefined)
    return {
      serialize: (value) => JSON.stringify(value),
      deserialize: (bytes) => JSON.parse(FROM_UTF8.decode(bytes)),
    };
  return {
    serialize: async (value) => {
      await validate(schema, value);
      return JSON.stringify(value);
    },
    deserialize: (bytes) => validate(schema, JSON.parse(FROM_UTF8.decode(bytes))),
  };
}

async function validate<Out>(schema: StandardSchema<unknown, Out>, value: unknown): Promise<Out> {
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

/** The record with key and value as their serdes make them. @throws BrokerError INVALID_RECORD, with `place` */
export async function through<R extends object>(
  direction: "serialize" | "deserialize",
  { keySerde, valueSerde }: AnySerdes,
  record: R,
  place: string,
): Promise<R> {
  const fields = { ...record } as Record<string, unknown>;
  for (const [field, serde] of Object.entries({ key: keySerde, value: valueSerde })) {
    if (serde === undefined || (fields[field] ?? null) === null) continue;
    try {
      fields[field] = await serde[direction](fields[field] as never);
    } catch (error) {
      const reason = error instanceof Error ? error.message : preview(error);
      throw new BrokerError("INVALID_RECORD", `${place}: ${field}: ${reason}`, { cause: error });
    }
  }
  return fields as R;
}
