// Structures that the messages of several APIs share.
import { nameInside, nameOutside, WHOLE } from "../../core/access/namespace.ts";
import { renameAssigned, renameSubscribed } from "../../core/group/classic-assignment.ts";
import { array, bytes, type Fields, struct, type Type, topicName } from "./schema.ts";

/** An array of topics, each with an array of the given partition type. */
export function topicsWith<F extends Fields>(partition: F) {
  return array(struct({ name: topicName, partitions: array(struct(partition)) }));
}

/** The value that says that the client's allowed operations are not told. */
export const NO_OPERATIONS = -2_147_483_648;

// [TEN-2] The bytes that classic members exchange, with the names of topics in them.
export const subscription = renamed(renameSubscribed);
export const assignment = renamed(renameAssigned);

function renamed(rename: typeof renameSubscribed): Type<Uint8Array> {
  return {
    absent: bytes.absent,
    read: (from, format) => {
      const { namespace = WHOLE } = format;
      const value = bytes.read(from, format);
      if (namespace === WHOLE) return value;
      const admit = (names: number) => from.countElements(names);
      return rename(value, (name) => nameInside(namespace, name), admit);
    },
    write: (to, value, format) => {
      const { namespace = WHOLE } = format;
      const own =
        namespace === WHOLE ? value : rename(value, (name) => nameOutside(namespace, name));
      bytes.write(to, own, format);
    },
  };
}
