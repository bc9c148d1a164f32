// Counts the memory made from a body while the request is in progress [BND-3].
import type * as z from "zod";
import { JSON_VALUE_BYTES } from "../../core/limits.ts";
import { countJsonValues, parse, parseShaped } from "../../protocol/parse.ts";
import { Work } from "../edge/holders.ts";
import { readText } from "./body.ts";

/** Runs a request. `action` states how much memory it will take before it takes it. */
export async function whileRoom<T>(action: (work: Work) => Promise<T>): Promise<T> {
  const work = new Work();
  try {
    return await action(work);
  } finally {
    work.end();
  }
}

/** Returns the memory of a body as text, together with its bytes. */
export function textBytes(text: string): number {
  return 2 * text.length;
}

/** Runs a request with a JSON body. */
export function withJson<Schema extends z.ZodType, T>(
  request: Request,
  schema: Schema,
  action: (body: z.output<Schema>) => Promise<T>,
): Promise<T> {
  return whileRoom(async (work) => {
    const text = await readText(request);
    work.add(textBytes(text) + JSON_VALUE_BYTES * countJsonValues(text, "the body"));
    return action(parse(schema, parseShaped(text, "the body")));
  });
}
