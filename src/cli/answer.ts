// Checks answers: an older broker leaves fields out, and another server answers with anything.
import { ConnectionError } from "../sdk/index.ts";

/** Returns the answer. @throws ConnectionError if it lacks one of the fields */
export function whole<T extends object>(answer: T, ...fields: readonly (keyof T & string)[]): T {
  const lacking = fields.find((field) => ((answer as T | null)?.[field] ?? null) === null);
  if (lacking !== undefined) throw notWhole(lacking);
  return answer;
}

/** Returns a list in an answer. @throws ConnectionError if the answer has no such list */
export function listed<T>(list: readonly T[] | undefined, field: string): readonly T[] {
  if (!Array.isArray(list)) throw notWhole(field);
  return list;
}

function notWhole(field: string): ConnectionError {
  return new ConnectionError(
    `the answer has no ${field}: not a Rivulet broker, or one of an older release`,
  );
}
