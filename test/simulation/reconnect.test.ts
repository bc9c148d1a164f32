// Everybody returns at once, as after a deploy.
import { expect, test } from "vitest";
import { bundle } from "./bundle.ts";
import { GLOBALS } from "./globals.ts";
import { reconnect } from "./reconnect.ts";

test("[CLU-5] members that return after a deploy ask the cluster about each topic once, however many there are", async () => {
  const program = await bundle(GLOBALS);
  for (const groups of [3, 12])
    expect(await reconnect({ topics: 3, groups, membersPerGroup: 2 }, program)).toEqual({
      calls: { topicById: 3 },
      members: 2 * groups,
      records: 2 * groups,
    });
});
