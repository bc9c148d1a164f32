// An error names a record by its place in the request: records[1].partition is 7. Where the records came as lines,
// people look for a line: line 2: partition is 7.
import { BrokerError } from "../core/errors.ts";

const PLACE = /^(expectedOffset: )?records\[(\d+)\](\.?)/;

/** Returns the place of the record that the error names, or null. */
export function placeIn(error: unknown): number | null {
  const [, , place] = (error instanceof BrokerError && PLACE.exec(error.message)) || [];
  return place === undefined ? null : Number(place);
}

/** Names the line in place of the record. `lines` are the numbers of the records' lines. Other errors stay as they are. */
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
