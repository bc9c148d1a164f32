import { expect, test } from "vitest";
import * as z from "zod";
import { boundsOf, schemaText } from "../../../../src/worker/http/schema-text.ts";

const json = (schema: z.ZodType) =>
  z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Record<string, unknown>;

test("[DOC-2] a shape is shown as JSON is written, with bounds and words beside it", () => {
  const schema = z.strictObject({
    name: z.string().min(1).max(249),
    partitions: z.int().min(1).default(3).describe("The count"),
    config: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
    to: z.union([z.enum(["earliest", "latest"]), z.strictObject({ offset: z.int().min(0) })]),
    ids: z.array(z.union([z.string(), z.null()])).max(5),
    type: z.literal("group"),
    any: z.unknown(),
  });
  expect(schemaText(json(schema))).toBe(`{
  name: string // 1 to 249 characters
  // The count
  partitions?: integer // 1 or more, 3 by default
  config?: { [name]: string | number }
  to: "earliest" | "latest" | {
    offset: integer // 0 or more
  }
  ids: (string | null)[] // at most 5 items
  type: "group"
  any: any
}`);
});

test("[DOC-2] a bound that is that of all numbers is none", () => {
  expect(boundsOf(json(z.int()))).toBe("");
  expect(boundsOf(json(z.int().max(9)))).toBe("at most 9");
  expect(schemaText(json(z.strictObject({})))).toBe("{}");
});
