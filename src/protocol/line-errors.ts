// An error names a record by its index in the request: records[1].partition is 7. If the records came as lines, people
// need the line number: line 2: partition is 7.
import { BrokerError } from "../core/errors.ts";

const PLACE = /^(expectedOffset: )?records\[(\d+)\](\.?)/;

/** Returns the index of the record that the error names, or null. */
export function placeIn(error: unknown): number | null {
  const [, , place] = (error instanceof BrokerError && PLACE.exec(error.message)) || [];
  return place === undefined ? null : Number(place);
}

/**
 * Replaces the record's index with its line number. `lines` are the line numbers of the records. Other errors stay
 * unchanged.
 */
export function atLine(error: unknown, lines: readonly number[]): unknown {
  const line = lines[placeIn(error) ?? -1];
  if (!(error instanceof BrokerError) || line === undefined) return error;
  const { code, data, retriable, message } = error;
  const detail = message.replace(
    PLACE,
    (_, before = "", __, dot) => `${before}line ${line}${dot === "" ? "" : ": "}`,
  );
  return new BrokerError(code, detail, { data, retriable, cause: error });
}
