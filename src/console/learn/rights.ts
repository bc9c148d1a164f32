// The rights that the lesson needs on topics and groups of its own names.
import type { Operation } from "../../core/access/operations.ts";
import { listText } from "../grants-text.ts";

/** All names that the lesson makes begin like this. */
export const PREFIX = "learn-";

const NEEDED = {
  topic: ["CREATE", "WRITE", "READ", "DELETE"],
  group: ["READ", "DELETE"],
} as const;

/** A command that makes a key with the rights. */
export const KEY_COMMAND = `rivulet keys create --principal learner --grant topic-prefix:${PREFIX}:create,write,read,delete --grant group-prefix:${PREFIX}:read,delete`;

type Offered = (operation: Operation, type: "topic" | "group" | "cluster", name: string) => boolean;

/** Returns what is missing, such as "create and write topics", or null if nothing is. */
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
