// Structures that the messages of several APIs share.
import { array, type Fields, string, struct } from "./schema.ts";

/** An array of topics, each with an array of the given partition type. */
export function topicsWith<F extends Fields>(partition: F) {
  return array(struct({ name: string, partitions: array(struct(partition)) }));
}

/** The value that says that the client's allowed operations are not told. */
export const NO_OPERATIONS = -2_147_483_648;
