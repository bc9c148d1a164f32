// Checks who may call a partition: every place that names its topic's region.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { filesBelow } from "./files.ts";

test("[PLC-2] the Worker gets partitions from one place, which knows their regions", () => {
  const calling = filesBelow("src").filter((file) =>
    /\bpartitionStub\(/.test(readFileSync(file, "utf8")),
  );
  expect(calling).toEqual(["src/env.ts", "src/worker/edge/metadata.ts"]);
});

test("[RLY-6] it gets relays from there too, and from the partition, which knows its region", () => {
  const calling = [...filesBelow("src"), ...filesBelow("durable-objects")].filter((file) =>
    /\brelayStub\(/.test(readFileSync(file, "utf8")),
  );
  expect(calling).toEqual([
    "src/env.ts",
    "src/worker/edge/metadata.ts",
    "durable-objects/partition/partition-object.ts",
  ]);
});

test("[PLC-2] no other place asks the platform for an object", () => {
  const asking = [...filesBelow("src"), ...filesBelow("durable-objects")].filter((file) =>
    /\.(getByName|idFromName|idFromString)\(/.test(readFileSync(file, "utf8")),
  );
  expect(asking).toEqual(["src/env.ts", "src/worker/edge/invocation.ts"]);
});
