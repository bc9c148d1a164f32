// The rights that the lesson needs for its own topic and group names.
import type { Operation } from "../../core/access/operations.ts";
import { listText } from "../grants-text.ts";

/** The prefix of all names that the lesson creates. */
export const PREFIX = "learn-";

const NEEDED = {
  topic: ["CREATE", "WRITE", "READ", "DELETE"],
  group: ["READ", "DELETE"],
} as const;

/** A command that creates a key with these rights. */
export const KEY_COMMAND = `rivulet keys create --principal learner --grant topic-prefix:${PREFIX}:create,write,read,delete --grant group-prefix:${PREFIX}:read,delete`;

type Offered = (operation: Operation, type: "topic" | "group" | "cluster", name: string) => boolean;

/** Returns the missing rights, such as "create and write topics", or null if none is missing. */
export function missingRights(isOffered: Offered): string | null {
  const missing = (type: "topic" | "group") =>
    NEEDED[type]
      .filter((operation) => !isOffered(operation, type, PREFIX))
      .filter((operation) => operation !== "CREATE" || !isOffered("CREATE", "cluster", ""))
      .map((operation) => operation.toLowerCase());
  const parts = (["topic", "group"] as const)
    .map((type) => [listText(missing(type)), type])
    .filter(([words]) => words !== "")
    .map(([words, type]) => `${words} ${type}s`);
  return parts.length === 0 ? null : listText(parts);
}
