// Checks the checker: the simulation finds faults planted in the program.
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { findFault } from "./find-fault.ts";
import { PLANTED_FAULTS } from "./planted-faults.ts";

/** `npm run simulate -- --faults` looks for all of them; these are found within a few seeds. */
const MAX_SEEDS = 60;
const QUICK = PLANTED_FAULTS.filter(({ isRare }) => !isRare);

test.each(QUICK)("[SIM-3] found: $name", async (fault) => {
  expect(await findFault(fault, MAX_SEEDS)).not.toBeNull();
});

test.each(PLANTED_FAULTS)(
  "[SIM-3] still there to be planted: $name",
  async ({ file, original }) => {
    const text = await readFile(new URL(`../../${file}`, import.meta.url), "utf8");
    expect(text.split(original)).toHaveLength(2);
  },
);

test("[SIM-3] there are at least fifteen", () => {
  expect(PLANTED_FAULTS.length).toBeGreaterThanOrEqual(15);
  expect(QUICK.length).toBeGreaterThanOrEqual(6);
});
