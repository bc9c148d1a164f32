// [DOC-1] Every response of the HTTP API in any test is one that the operation declares: its status and, for an error, its
// code. [APK-7] No error contains a secret.
import { afterEach, expect } from "vitest";
import { told, undescribed } from "./watched-answers.ts"; // Once per runtime, which runs many files.

afterEach(() => {
  const found = [...undescribed];
  undescribed.clear();
  expect(found, "answers that operations.ts does not name").toEqual([]);
  const leaks = [...told];
  told.clear();
  expect(leaks, "answers that tell a secret").toEqual([]);
});
