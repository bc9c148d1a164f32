import { test } from "vitest";
import { measureTrips } from "/work/main/test/simulation/trips.ts";

test("x", async () => {
  for (const m of await measureTrips()) console.log(JSON.stringify(m));
}, 60000);
