// A JSON schema as people read it: the shape of the JSON, with the bounds beside it.
import type { JsonSchema } from "./openapi-document.ts";

/** Returns the shape: names in braces, one on each line, with the values that they may have. */
export function schemaText(schema: JsonSchema, indent = ""): string {
  const { type, properties, items, additionalProperties } = schema;
  const choices = (schema.anyOf ?? schema.oneOf) as readonly JsonSchema[] | undefined;
  if (choices !== undefined) return choicesText(choices, indent);
  if (Array.isArray(schema.enum))
    return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (type === "array") {
    const inner = schemaText((items ?? {}) as JsonSchema, indent);
    return inner.includes(" | ") && !inner.startsWith("{") ? `(${inner})[]` : `${inner}[]`;
  }
  if (properties !== undefined) return objectText(schema, indent);
  if (type === "object")
    return `{ [name]: ${schemaText((additionalProperties ?? {}) as JsonSchema, indent)} }`;
  if (Array.isArray(type)) return type.join(" | ");
  return typeof type === "string" ? type : "any";
}

function choicesText(choices: readonly JsonSchema[], indent: string): string {
  return [...new Set(choices.map((each) => schemaText(each, indent)))].join(" | ");
}

function objectText(schema: JsonSchema, indent: string): string {
  const properties = schema.properties as Readonly<Record<string, JsonSchema>>;
  const required = (schema.required ?? []) as readonly string[];
  const inner = `${indent}  `;
  const lines = Object.entries(properties).flatMap(([name, each]) => {
    const isOptional = !required.includes(name) || each.default !== undefined;
    const bounds = boundsOf(each);
    const line = `${inner}${name}${isOptional ? "?" : ""}: ${schemaText(each, inner)}`;
    return [
      ...(typeof each.description === "string" ? [`${inner}// ${each.description}`] : []),
      bounds === "" ? line : `${line} // ${bounds}`,
    ];
  });
  return lines.length === 0 ? "{}" : `{\n${lines.join("\n")}\n${indent}}`;
}

/** Returns the bounds and the default of a value: "1 to 100, 10 by default". */
export function boundsOf(schema: JsonSchema): string {
  const parts = [
    between(schema.minimum, schema.maximum, ""),
    between(schema.minLength, schema.maxLength, " characters"),
    between(schema.minItems, schema.maxItems, " items"),
    schema.default === undefined || schema.default === ""
      ? ""
      : `${JSON.stringify(schema.default)} by default`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function between(least: unknown, most: unknown, unit: string): string {
  const min = typeof least === "number" && least > Number.MIN_SAFE_INTEGER ? least : undefined;
  const max = typeof most === "number" && most < Number.MAX_SAFE_INTEGER - 1 ? most : undefined;
  if (min !== undefined && max !== undefined) return `${min} to ${max}${unit}`;
  if (min !== undefined) return `${min} or more${unit}`;
  return max === undefined ? "" : `at most ${max}${unit}`;
}
