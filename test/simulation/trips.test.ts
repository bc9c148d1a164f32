// Sequential round trips, beside the table of ARCHITECTURE.md, so that it has exactly the counted values.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Measured, measureTrips, type Trips } from "./trips.ts";

const ARCHITECTURE = readFileSync(new URL("../../ARCHITECTURE.md", import.meta.url), "utf8");
/** The time of a round trip from Sydney: to the cluster object in Frankfurt, to the others, to the Worker. */
const CLUSTER_MS = 280;
const OBJECT_MS = 10;
const CLIENT_MS = 20;

function rowOf({ operation, first, cold, warm }: Measured): string {
  const all = [first, cold, warm];
  const cells = [operation, ...all.map(tripsCell), all.map(msOf).join(", ")];
  return `| ${cells.join(" | ")} |`;
}

function tripsCell(trips: Trips | null): string {
  return trips === null ? "" : `${trips.cluster} + ${trips.objects} + ${trips.client}`;
}

function msOf(trips: Trips | null): string {
  if (trips === null) return "–";
  const { cluster, objects, client } = trips;
  return String(cluster * CLUSTER_MS + objects * OBJECT_MS + client * CLIENT_MS);
}

test("[COST-2] each operation makes the sequential round trips that ARCHITECTURE.md says", async () => {
  const section = ARCHITECTURE.split("### Cold and far\n")[1]?.split("\n#")[0] ?? "";
  const rows = section.split("\n").filter((line) => /^\| .*\d \+ \d/.test(line));
  expect(rows).toEqual((await measureTrips()).map(rowOf));
});
