// A link to a stored record.
import { paths } from "../router.ts";

/** The place of a stored record. */
export interface Stored {
  readonly partition: number;
  readonly offset: number;
}

export function StoredLink({ topic, stored }: { topic: string; stored: Stored }) {
  const { partition, offset } = stored;
  return (
    <span>
      Stored in{" "}
      <a href={paths.record(topic, partition, offset)}>
        partition {partition} at offset {offset}
      </a>
      .
    </span>
  );
}
