// The API keys that have changed since a version.
import { expect, test } from "vitest";
import { KeyChanges } from "../../../../durable-objects/cluster/key-changes.ts";
import { MAX_KEY_CHANGES } from "../../../../src/core/limits.ts";

test("[APK-4] the keys changed since a version are returned, each once", () => {
  const changes = new KeyChanges();
  const first = changes.version;
  expect(changes.since(first)).toEqual([]);
  changes.note("a");
  const second = changes.version;
  changes.note("b");
  changes.note("a");
  expect(changes.since(first)).toEqual(["a", "b"]);
  expect(changes.since(second)).toEqual(["b", "a"]);
  expect(changes.since(changes.version)).toEqual([]);
});

test("[APK-4] nothing is known of a version of another life, or an invalid one", () => {
  const changes = new KeyChanges();
  const before = new KeyChanges();
  before.note("a");
  for (const version of [before.version, "", "x", `${changes.version}1`, "/0"])
    expect(changes.since(version), version).toBeNull();
});

test("[APK-4] [BND-1] a bounded number of changes is remembered, the newest", () => {
  const changes = new KeyChanges();
  const first = changes.version;
  changes.note("a");
  const second = changes.version;
  for (let i = 0; i < MAX_KEY_CHANGES; i++) changes.note(`k${i}`);
  expect(changes.since(first)).toBeNull();
  expect(changes.since(second)).toHaveLength(MAX_KEY_CHANGES);
});
