// Ties a schema to a type. The type of an answer or a message is defined once. Its schema describes the same
// thing to others, and the compiler rejects a schema that differs.
import type * as z from "zod";

type Mutable<T> = T extends readonly (infer Item)[]
  ? Mutable<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Mutable<T[Key]> }
    : T;

/** Returns the schema. It does not compile unless its output is exactly a `Shape`, apart from `readonly`. */
export function exactly<Shape>() {
  return <Schema extends z.ZodType>(
    schema: Mutable<z.output<Schema>> extends Mutable<Shape>
      ? Mutable<Shape> extends Mutable<z.output<Schema>>
        ? Schema
        : never
      : never,
  ): Schema => schema;
}
