// [APK-7] Whatever the tests of a file do, no broker that they start prints a secret. No response that `fetch` gets has one,
// except that to the request that makes it.
import { afterAll, expect } from "vitest";
import { secretWatch } from "../support/secret-watch.ts";
import "./watched-fetch.ts"; // Once per process, which runs many files.

afterAll(() => {
  expect(secretWatch.takeLeaks(), "what tells a secret").toEqual([]);
});
