// The types of the fields of messages. Each is a reader and a writer that check the version as they go. A
// schema is interpreted, because the runtime does not allow generated code. Whether a message is flexible
// (KIP-482: compact lengths, tagged fields) is decided once for all of it.
import {
  nameInside,
  nameOutside,
  patternInside,
  patternOutside,
  textOutside,
  WHOLE,
} from "../../core/access/namespace.ts";
import { encodeText, MalformedError, type Reader, type Writer, ZERO_UUID } from "./wire.ts";

export interface Format {
  readonly version: number;
  readonly isFlexible: boolean;
  /** The namespace of the caller. Absent if it sees names unchanged. */
  readonly namespace?: string;
}

/**
 * A type of a message. `Out` is the value read. `In` is the value to write, and may omit fields that have a default.
 */
export interface Type<Out, In = Out> {
  /** The value of a field that this version lacks. */
  readonly absent: Out;
  read(from: Reader, format: Format): Out;
  write(to: Writer, value: In, format: Format): void;
}

/** A field that may be omitted when written, and that some versions lack. */
export interface Field<Out, In = Out> {
  readonly type: Type<Out, In>;
  readonly from: number;
  readonly to: number;
  readonly fallback: Out;
  /** The tag of a tagged field. Null for a field with a fixed place in the message. */
  readonly tag: number | null;
}

/** Makes a field that exists from this version on. */
export function since<Out, In>(from: number, type: Type<Out, In>, fallback = type.absent) {
  return field(from, Number.POSITIVE_INFINITY, type, fallback);
}

/** Makes a field that exists from one version to another, inclusive. */
export function between<Out, In>(
  from: number,
  to: number,
  type: Type<Out, In>,
  fallback = type.absent,
) {
  return field(from, to, type, fallback);
}

/** Makes a tagged field. It exists only in flexible versions, and only if its value is not the default. */
export function tagged<Out, In>(
  tag: number,
  from: number,
  type: Type<Out, In>,
  fallback = type.absent,
): Field<Out, In> {
  return { type, from, to: Number.POSITIVE_INFINITY, fallback, tag };
}

function field<Out, In>(
  from: number,
  to: number,
  type: Type<Out, In>,
  fallback: Out,
): Field<Out, In> {
  return { type, from, to, fallback, tag: null };
}

export const boolean: Type<boolean> = {
  absent: false,
  read: (from) => from.int8() !== 0,
  write: (to, value) => to.int8(value ? 1 : 0),
};
export const int8 = number("int8");
export const int16 = number("int16");
export const int32 = number("int32");
export const int64 = number("int64");

function number(name: "int8" | "int16" | "int32" | "int64"): Type<number> {
  return { absent: 0, read: (from) => from[name](), write: (to, value) => to[name](value) };
}

export const uuid: Type<string> = {
  absent: ZERO_UUID,
  read: (from) => from.uuid(),
  write: (to, value) => to.uuid(value),
};

export const nullableString: Type<string | null> = {
  absent: null,
  read: (from, { isFlexible }) => {
    const length = isFlexible ? from.unsignedVarint() - 1 : from.int16();
    return length < 0 ? null : from.text(length);
  },
  write: (to, value, { isFlexible }) => {
    const encoded = value === null ? null : encodeText(value);
    if (isFlexible) to.unsignedVarint(encoded === null ? 0 : encoded.length + 1);
    else to.int16(encoded === null ? -1 : encoded.length);
    if (encoded !== null) to.bytes(encoded);
  },
};
export const string: Type<string> = required("", nullableString, "a string");

/** Makes a type whose texts are translated when read and written. */
function translated<T extends string | null>(
  type: Type<T>,
  into: (namespace: string, text: string) => string,
  outOf: (namespace: string, text: string) => string,
): Type<T> {
  const change = (by: typeof into, value: T, namespace = WHOLE) =>
    (value === null || namespace === WHOLE ? value : by(namespace, value)) as T;
  return {
    absent: type.absent,
    read: (from, format) => change(into, type.read(from, format), format.namespace),
    write: (to, value, format) => type.write(to, change(outOf, value, format.namespace), format),
  };
}

// [TEN-2] The names of topics and groups. The fields' values are names of the whole deployment.
export const topicName = translated(string, nameInside, nameOutside);
export const nullableTopicName = translated(nullableString, nameInside, nameOutside);
export const groupName = translated(string, nameInside, nameOutside);
export const topicPattern = translated(nullableString, patternInside, patternOutside);
/** A text for people. It is only written. */
export const message = translated(nullableString, (_, text) => text, textOutside);

/** Reads bytes, which may be null. No answer sends null for bytes. */
function readBytes(from: Reader, { isFlexible }: Format): Uint8Array | null {
  const length = isFlexible ? from.unsignedVarint() - 1 : from.int32();
  return length < 0 ? null : from.bytes(length);
}

export const bytes: Type<Uint8Array> = {
  absent: new Uint8Array(),
  read: (from, format) => notNull(readBytes(from, format), "bytes"),
  write: (to, value, { isFlexible }) => {
    if (isFlexible) to.unsignedVarint(value.length + 1);
    else to.int32(value.length);
    to.bytes(value);
  },
};

/** Record batches. They are read unchanged, and written in the pieces that they consist of. */
export const records: Type<Uint8Array | null, readonly Uint8Array[] | null> = {
  absent: null,
  read: readBytes,
  write: (to, value, { isFlexible }) => {
    const length = value?.reduce((sum, piece) => sum + piece.length, 0) ?? -1;
    if (isFlexible) to.unsignedVarint(length + 1);
    else to.int32(length);
    for (const piece of value ?? []) to.bytes(piece);
  },
};

/** A collection that is written as an array. */
export interface Many<T> extends Iterable<T> {
  readonly length: number;
}

export function nullableArray<Out, In>(
  of: Type<Out, In>,
): Type<readonly Out[] | null, Many<In> | null> {
  return {
    absent: null,
    read: (from, format) => {
      const length = format.isFlexible ? from.unsignedVarint() - 1 : from.int32();
      if (length < 0) return null;
      from.expectElements(length);
      const items: Out[] = [];
      for (let i = 0; i < length; i++) items.push(of.read(from, format));
      return items;
    },
    write: (to, value, format) => {
      if (format.isFlexible) to.unsignedVarint(value === null ? 0 : value.length + 1);
      else to.int32(value === null ? -1 : value.length);
      for (const item of value ?? []) of.write(to, item, format);
    },
  };
}

export function array<Out, In>(of: Type<Out, In>): Type<readonly Out[], Many<In>> {
  return required([], nullableArray(of), "an array");
}

function required<Out, In>(
  absent: Out,
  type: Type<Out | null, In | null>,
  what: string,
): Type<Out, In> {
  return {
    absent,
    read: (from, format) => notNull(type.read(from, format), what),
    write: type.write,
  };
}

function notNull<T>(value: T | null, what: string): T {
  if (value === null) throw new MalformedError(`${what} is null, and must not be`);
  return value;
}

// biome-ignore lint/suspicious/noExplicitAny: the name of a field tells its type.
export type Fields = Readonly<Record<string, Type<any, any> | Field<any, any>>>;
type OutOf<F> = F extends Type<infer Out, infer _> | Field<infer Out, infer _> ? Out : never;
type InOf<F> = F extends Type<infer _, infer In> | Field<infer _, infer In> ? In : never;
type Omissible<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<infer _Out, infer _In> ? K : never;
}[keyof F];
export type StructOut<F extends Fields> = { readonly [K in keyof F]: OutOf<F[K]> };
export type StructIn<F extends Fields> = {
  readonly [K in Exclude<keyof F, Omissible<F>>]: InOf<F[K]>;
} & { readonly [K in Omissible<F>]?: InOf<F[K]> };

interface NamedField extends Field<unknown> {
  readonly name: string;
  readonly isOmissible: boolean;
}

/** Makes a type of the fields, one after another, in the given order. */
export function struct<F extends Fields>(fields: F): Type<StructOut<F>, StructIn<F>> {
  const all = Object.entries(fields).map(
    ([name, each]): NamedField =>
      "type" in each
        ? { name, isOmissible: true, ...each }
        : { name, isOmissible: false, ...since(0, each as Type<unknown>) },
  );
  const tagsOf = all.filter(({ tag }) => tag !== null);
  const placed = perVersion((version) =>
    all.filter((each) => each.tag === null && has(each, version)),
  );
  const absent = Object.fromEntries(all.map(({ name, fallback }) => [name, fallback]));
  return {
    absent: absent as StructOut<F>,
    read: (from, format) => {
      const value: Record<string, unknown> = { ...absent };
      for (const { name, type } of placed(format.version)) value[name] = type.read(from, format);
      if (format.isFlexible) readTagged(from, format, tagsOf, value);
      return value as StructOut<F>;
    },
    write: (to, value, format) => {
      const given = value as Readonly<Record<string, unknown>>;
      for (const { name, type, fallback, isOmissible } of placed(format.version)) {
        const own = given[name];
        type.write(to, isOmissible && own === undefined ? fallback : own, format);
      }
      // No message written here has a tagged field that matters to a client.
      if (format.isFlexible) to.unsignedVarint(0);
    },
  };
}

function has({ from, to }: NamedField, version: number): boolean {
  return version >= from && version <= to;
}

function perVersion<T>(make: (version: number) => T): (version: number) => T {
  const made: T[] = [];
  return (version) => {
    made[version] ??= make(version);
    return made[version] as T;
  };
}

/** Reads the tagged fields. Unknown tags are skipped, as KIP-482 requires. */
function readTagged(
  from: Reader,
  format: Format,
  known: readonly NamedField[],
  value: Record<string, unknown>,
): void {
  const count = from.unsignedVarint();
  from.expectElements(count);
  for (let i = 0; i < count; i++) {
    const tag = from.unsignedVarint();
    const size = from.unsignedVarint();
    const field = known.find((each) => each.tag === tag && has(each, format.version));
    const end = from.left - size;
    if (field === undefined) from.bytes(size);
    else value[field.name] = field.type.read(from, format);
    if (from.left !== end)
      throw new MalformedError(`tag ${tag} does not have the ${size} bytes that it announces`);
  }
}

/** A struct that may be absent. */
export function nullableStruct<Out, In>(of: Type<Out, In>): Type<Out | null, In | null> {
  return {
    absent: null,
    read: (from, format) => (from.int8() < 0 ? null : of.read(from, format)),
    write: (to, value, format) => {
      to.int8(value === null ? -1 : 1);
      if (value !== null) of.write(to, value, format);
    },
  };
}
