// PROTOCOL.md and the table agree about errors.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ERRORS, type ErrorName, isErrorName } from "../../src/core/errors.ts";

/** A status may follow several names: `INVALID_RECORD, INVALID_TIMESTAMP 400`. */
const STATUS = /([A-Z]+(?:_[A-Z]+)+(?:, [A-Z]+(?:_[A-Z]+)+)*) (\d{3})\b/g;

/** Statuses that depend on more than the error's name. */
const EXCEPTIONS: Readonly<Record<string, number>> = {
  CORRUPT_MESSAGE: 500, // A stored batch is damaged [CRC-2]; see `httpStatusOf`.
  REQUEST_TIMED_OUT: 408, // A request's body does not arrive; see http/body.ts.
};

test("[ERR-1] errors have the statuses that PROTOCOL.md gives them", () => {
  const text = readFileSync("PROTOCOL.md", "utf8");
  const given = [...text.matchAll(STATUS)].flatMap(([, names = "", status]) =>
    names.split(", ").map((name) => ({ name, status: Number(status) })),
  );
  expect(given.filter(({ name }) => !isErrorName(name))).toEqual([]);
  const wrong = given.filter(
    ({ name, status }) =>
      ERRORS[name as ErrorName].httpStatus !== status && EXCEPTIONS[name] !== status,
  );
  expect(wrong).toEqual([]);
  expect(given.length).toBeGreaterThan(20);
});
