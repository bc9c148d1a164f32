// Structures that the messages of several APIs share.
import { WHOLE } from "../../core/access/namespace.ts";
import { assignmentOutside, subscriptionOutside } from "../../core/group/classic-assignment.ts";
import { array, bytes, type Fields, struct, type Type, topicName } from "./schema.ts";

/** An array of topics, each with an array of the given partition type. */
export function topicsWith<F extends Fields>(partition: F) {
  return array(struct({ name: topicName, partitions: array(struct(partition)) }));
}

/** Authorized operations are not reported. */
export const NO_OPERATIONS = -2_147_483_648;

// [TEN-2] The bytes that classic members exchange, which contain names of topics. They are translated when
// written. Those of a request are translated once its sender is known to have a right on the group, which
// limits their number.
export const subscription = shown(subscriptionOutside);
export const assignment = shown(assignmentOutside);

function shown(outside: (namespace: string, value: Uint8Array) => Uint8Array): Type<Uint8Array> {
  return {
    ...bytes,
    write: (to, value, format) => {
      const { namespace = WHOLE } = format;
      bytes.write(to, namespace === WHOLE ? value : outside(namespace, value), format);
    },
  };
}
